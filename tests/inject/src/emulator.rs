//! A tracee of another platform, stopped by its emulator: qemu-user has a stub for gdb.
//!
//! What qemu does with signals: <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/signal.c>
//! - While the program is stopped, the emulator blocks all signals, so they stay pending in this machine's kernel. When
//!   it continues, it unblocks those that the program does not block and delivers what is pending before the next
//!   instruction: `process_pending_signals`. The client is notified, and sees that the program has not moved. So a
//!   signal arrives exactly where it was sent.
//! - At its very first stop it blocks nothing, and a signal would close the connection. A breakpoint on the first
//!   instruction makes a second stop there.
//! - A step over a system call also executes the next instruction; a step into a handler also executes the handler's
//!   first. A breakpoint comes between.
//! - It expects a restorer in every action, and so reads the mask of a handler one word too far on an architecture
//!   without one. The program stores its action in place of argv; if the environment has one string, a word of zeros
//!   follows there, so that handlers block the right signals. `TARGET_SA_RESTORER` in
//!   <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/generic/signal.h>
//! - If the default action of a signal is to kill, the emulator kills itself with it. As PID 1 it can't, and hangs.
//!   Signals that a kernel does not deliver to PID 1 can't be sent to such a program.

use crate::gdb::Client;
use crate::{PAGE, Step, Tracee, scenario};
use anyhow::{Context, Result, ensure};
use harness::process::{self, Signals, bit};
use harness::{Child, Program, Role, Spawn, wait};
use nix::libc;
use nix::sys::signal::Signal::{self, SIGCHLD, SIGINT, SIGTERM};
use object::Endianness::Little;
use object::elf::ELFCLASS32;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;
use xtask::platform::{PLATFORMS, Platform};

/// gdb's number of SIGTRAP, after a step or at a breakpoint.
const TRAP: u8 = 5;

/// The signals that the program handles, with gdb's numbers.
const SIGNALS: [(u8, Signal); 3] = [(2, SIGINT), (15, SIGTERM), (20, SIGCHLD)];

struct Abi {
    name: &'static str,
    /// The beginnings of system call instructions, and their length.
    calls: &'static [&'static [u8]],
    length: usize,
    /// The program counter, and the registers of a system call's number and first two arguments, by their order in
    /// <https://gitlab.com/qemu-project/qemu/-/tree/v7.2.0/gdb-xml>.
    pc: usize,
    registers: [usize; 3],
    /// The numbers of rt_sigaction, rt_sigprocmask, rt_sigreturn and, if there is one, sigreturn.
    numbers: [u64; 4],
}

/// The numbers of architectures that share them.
const OLD: [u64; 4] = [174, 175, 173, 119];
const POWER: [u64; 4] = [173, 174, 172, 119];
const NEW: [u64; 4] = [134, 135, 139, 139];

#[rustfmt::skip]
static ABIS: &[Abi] = &[
    Abi { name: "aarch64", calls: &[&[1, 0, 0, 0xd4]], length: 4, pc: 32, registers: [8, 0, 1], numbers: NEW },
    Abi { name: "arm", calls: ARM_CALLS, length: 4, pc: 15, registers: [7, 0, 1], numbers: OLD },
    Abi { name: "loongarch64", calls: &[&[0, 0, 0x2b, 0]], length: 4, pc: 33, registers: [11, 4, 5], numbers: NEW },
    Abi { name: "powerpc64", calls: &[&[2, 0, 0, 0x44]], length: 4, pc: 64, registers: [0, 3, 4], numbers: POWER },
    Abi { name: "riscv64", calls: &[&[0x73, 0, 0, 0]], length: 4, pc: 32, registers: [17, 10, 11], numbers: NEW },
    // The second byte is the number of the call, unless it is 0.
    Abi { name: "s390x", calls: &[&[0x0a]], length: 2, pc: 1, registers: [3, 4, 5], numbers: OLD },
    Abi { name: "x86", calls: &[&[0xcd, 0x80]], length: 2, pc: 8, registers: [0, 3, 1], numbers: OLD },
];

/// The program's own, and the two by which qemu ends a handler, whose instructions contain their numbers:
/// <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/arm/signal.c>
const ARM_CALLS: &[&[u8]] = &[&[0, 0, 0, 0xef], &[0x77, 0, 0x90, 0xef], &[0xad, 0, 0x90, 0xef]];

pub struct Emulator {
    child: Child,
    client: Client,
    platform: &'static Platform,
    abi: &'static Abi,
    role: Role,
    pc: u64,
    /// Delivered when the program continues, by gdb's number.
    signal: Option<u8>,
    state: Step,
    breakpoint: Option<u64>,
    handling: Handling,
    sent: Option<Signal>,
    file: Vec<u8>,
    base: u64,
    /// Contains the stub's socket.
    _directory: TempDir,
}

#[derive(Clone, Default)]
struct Handling {
    handlers: BTreeMap<Signal, u64>,
    /// Mask outside of handlers.
    blocked: u64,
    /// The handlers that are running, with the address that each returns to.
    active: Vec<(Signal, u64)>,
}

impl Tracee for Emulator {
    fn start(program: &Program, spawn: Spawn) -> Result<Self> {
        let emulator = program.emulator.as_ref().context("it has no emulator")?;
        let platform = PLATFORMS.iter().find(|platform| emulator.as_os_str() == &*platform.emulator());
        let platform = platform.context("unknown emulator")?;
        let abi = ABIS.iter().find(|abi| abi.name == platform.architecture);
        let abi = abi.with_context(|| format!("unknown architecture {}", platform.architecture))?;
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("gdb");
        let emulator_options = vec!["-g".into(), socket.display().to_string()];
        let (role, blocked) = (spawn.role, if spawn.block { u64::MAX } else { 0 });
        let environment = vec![c"NAME=value".into()];
        let mut child = Spawn { emulator_options, environment, ..spawn }.spawn(program)?;
        let client = wait::until_some("the emulator's stub listens", Duration::from_micros(100), || {
            let status = child.poll_status()?;
            ensure!(status.is_none(), "the emulator has ended: {status:?}");
            Ok(Client::connect(&socket).ok())
        })?;
        let mut emulator = Self {
            child,
            client,
            platform,
            abi,
            role,
            pc: 0,
            signal: None,
            state: Step::Stopped,
            breakpoint: None,
            handling: Handling { blocked, ..Handling::default() },
            sent: None,
            file: std::fs::read(&program.file)?,
            base: 0,
            _directory: directory,
        };
        let first = emulator.register(abi.pc)?;
        emulator.base = first / PAGE * PAGE;
        emulator.continue_to(first)?;
        ensure!(emulator.wait()? == Step::Stopped && emulator.pc == first, "it does not stop where it begins");
        Ok(emulator)
    }

    fn step(&mut self) -> Result<Step> {
        if self.state != Step::Stopped || self.signal.is_some() {
            return self.deliver();
        }
        let (before, after) = (self.pc, self.after_syscall()?);
        match &after {
            None => self.client.send("s")?,
            Some(after) => {
                // A return from a handler continues elsewhere.
                let next = self.handling.active.get(after.active.len()).map(|&(_, back)| back);
                self.continue_to(next.unwrap_or(before + self.abi.length as u64))?;
            }
        }
        self.wait()?;
        if let Some(after) = after.filter(|_| self.pc != before) {
            self.handling = after;
        }
        self.deliver()
    }

    fn is_at_call(&mut self) -> Result<bool> {
        Ok(self.after_syscall()?.is_some())
    }

    fn signals(&self) -> Result<Signals> {
        let caught = self.handling.handlers.keys().fold(0, |mask, &signal| mask | bit(signal as i32));
        let pending = process::signals(self.child.pid)?.pending;
        Ok(Signals { caught, blocked: self.handling.blocked, pending })
    }

    fn accepts(&self, signal: Signal) -> Result<bool> {
        Ok(self.role == Role::Ordinary || signal == SIGCHLD || self.signals()?.will_handle(signal as i32))
    }

    fn send(&mut self, signal: Signal) -> Result<()> {
        scenario::send(self.child.pid, signal)?;
        self.sent = Some(signal);
        if self.state == Step::Asleep && self.is_delivered_now(signal) {
            let packet = self.client.receive()?;
            self.update(&packet)?;
        }
        Ok(())
    }

    fn detach(mut self) -> Result<Child> {
        let is_due = self.sent.is_some_and(|sent| self.is_delivered_now(sent));
        if self.state == Step::Stopped && self.signal.is_none() && is_due {
            let before = self.pc;
            self.client.send("s")?;
            self.wait()?;
            ensure!(self.signal.is_some() && self.pc == before, "the emulator delivers a signal somewhere else");
        }
        // Without a client, the stub delivers signals, except for one that it has just reported.
        self.deliver()?;
        self.client.disconnect()?;
        Ok(self.child)
    }
}

impl Emulator {
    /// Whether a signal that is sent now is delivered at once. The emulator does not report the death of a child
    /// without a handler, and a handler blocks its own signal.
    fn is_delivered_now(&self, signal: Signal) -> bool {
        let Handling { handlers, blocked, active } = &self.handling;
        let is_blocked = blocked & bit(signal as i32) != 0 || active.iter().any(|(active, _)| *active == signal);
        !is_blocked && (handlers.contains_key(&signal) || signal != SIGCHLD)
    }

    /// Requests bytes, and returns them as a number in the program's byte order.
    fn number(&mut self, request: &str) -> Result<u64> {
        let mut bytes = self.client.bytes(request)?;
        if self.platform.byte_order == Little {
            bytes.reverse();
        }
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn register(&mut self, number: usize) -> Result<u64> {
        self.number(&format!("p{number:x}"))
    }

    /// Returns what follows from the next instruction if it is a system call.
    fn after_syscall(&mut self) -> Result<Option<Handling>> {
        let Abi { calls, length, registers: [number, first, second], numbers, .. } = *self.abi;
        let offset = usize::try_from(self.pc.wrapping_sub(self.base))?;
        // Reading the file is faster than a request.
        let instruction = match self.file.get(offset..).and_then(|rest| rest.get(..length)) {
            Some(instruction) => instruction.to_vec(),
            None => self.client.bytes(&format!("m{:x},{length:x}", self.pc))?,
        };
        let Some(rest) = calls.iter().find_map(|call| instruction.strip_prefix(*call)) else { return Ok(None) };
        let number = match rest {
            [number, ..] if *number != 0 => (*number).into(),
            _ => self.register(number)?,
        };
        let mut after = self.handling.clone();
        match numbers.iter().position(|other| *other == number) {
            None => {}
            Some(0) => {
                let (signal, action) = (self.register(first)?, self.register(second)?);
                // The handler comes first, on each of these architectures.
                let word = if self.platform.class == ELFCLASS32 { 4 } else { 8 };
                let handler = self.number(&format!("m{action:x},{word}"))?;
                after.handlers.insert(Signal::try_from(i32::try_from(signal)?)?, handler);
            }
            Some(1) => {
                let (how, mask) = (self.register(first)?, self.register(second)?);
                ensure!(how == libc::SIG_SETMASK as u64, "only SIG_SETMASK is supported");
                after.blocked = self.number(&format!("m{mask:x},8"))?;
            }
            Some(_) => drop(after.active.pop().context("it returns from a handler, and none is active")?),
        }
        Ok(Some(after))
    }

    /// Continues up to an address, with the signal if there is one.
    fn continue_to(&mut self, address: u64) -> Result<()> {
        self.client.request(&format!("Z0,{address:x},1"))?;
        self.breakpoint = Some(address);
        self.resume()
    }

    fn resume(&mut self) -> Result<()> {
        let packet = self.signal.take().map_or("c".into(), |signal| format!("C{signal:02x}"));
        self.client.send(&packet)
    }

    fn wait(&mut self) -> Result<Step> {
        let (client, pid) = (&mut self.client, self.child.pid);
        let mut packet = None;
        wait::until("it stops or sleeps", Duration::ZERO, || {
            packet = client.poll()?;
            Ok(packet.is_some() || process::is_asleep_in_emulator(pid)?)
        })?;
        if let Some(packet) = packet {
            return self.update(&packet);
        }
        // If the end of a handler was missed, its signal would wrongly count as blocked.
        ensure!(self.handling.active.is_empty(), "it sleeps within a handler");
        self.state = Step::Asleep;
        Ok(Step::Asleep)
    }

    fn update(&mut self, packet: &str) -> Result<Step> {
        if packet.starts_with(['W', 'X']) {
            self.state = Step::Ended;
            return Ok(Step::Ended);
        }
        let signal = packet.strip_prefix('T').and_then(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok());
        let signal = signal.with_context(|| format!("unexpected packet {packet:?}"))?;
        self.signal = (signal != TRAP).then_some(signal);
        if let Some(address) = self.breakpoint.take() {
            self.client.request(&format!("z0,{address:x},1"))?;
        }
        self.pc = self.register(self.abi.pc)?;
        self.state = Step::Stopped;
        Ok(Step::Stopped)
    }

    /// Delivers a signal that the stub has reported, and others with it, up to the last handler's first instruction.
    fn deliver(&mut self) -> Result<Step> {
        while let Some(number) = self.signal {
            let signal = SIGNALS.iter().find(|(gdb, _)| *gdb == number).map(|&(_, signal)| signal);
            match signal.and_then(|signal| Some((signal, *self.handling.handlers.get(&signal)?))) {
                Some((signal, handler)) => {
                    self.handling.active.push((signal, self.pc));
                    self.continue_to(handler)?;
                }
                None => self.resume()?,
            }
            self.wait()?;
        }
        Ok(self.state)
    }
}
