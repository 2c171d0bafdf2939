//! A program of another platform, stopped by its emulator: qemu-user has a stub for gdb.
//!
//! What such a stop is worth, by what qemu does with signals:
//! <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/signal.c>
//! - While the program is stopped, the emulator blocks every signal: what is sent waits in this machine's kernel. When
//!   it goes on, it unblocks what the program itself does not block, takes what has waited, and hands it to the program,
//!   all before the next instruction: `process_pending_signals`. It tells the stub's client, which sees that the
//!   program has not moved. So a signal comes exactly where it was sent.
//! - At its very first stop it blocks nothing, and a signal would cost the connection. A breakpoint on the first
//!   instruction makes a second stop of it.
//! - A step over a system call executes the instruction behind it, too; a step into a handler executes the handler's
//!   first. A breakpoint comes between.
//! - It looks for a restorer in every action, and so for the mask of a handler one word too far where the architecture
//!   has none. The program puts its action where argv was; with one string in the environment, behind it comes a word
//!   of zeros, the environment's end: handlers block what they should. `TARGET_SA_RESTORER` in
//!   <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/generic/signal.h>
//! - Where a signal meets the kernel's default, the emulator ends itself by that signal. As PID 1 it can't, and hangs.
//!   There, what a kernel keeps from the program can't be sent.

use crate::gdb::{Client, Stop};
use crate::{Event, Step, Stopped};
use anyhow::{Context, Result, ensure};
use harness::process::{self, Signals, bit};
use harness::{Program, Role, Running, Start, wait};
use nix::libc::{self, c_int};
use object::Endianness::{Big, Little};
use object::elf::ELFCLASS32;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;
use xtask::platform::{PLATFORMS, Platform};

/// The program begins with a page, and is smaller than one.
const PAGE: u64 = 4096;

/// What one has to know of an architecture to follow its programs.
struct Machine {
    /// Its name, as Rust has it.
    architecture: &'static str,
    /// The instructions that call the kernel, or how they begin.
    calls: &'static [&'static [u8]],
    /// How many bytes each has.
    call_length: usize,
    /// The stub's number of the program counter. All numbers are by the order in
    /// <https://gitlab.com/qemu-project/qemu/-/tree/v7.2.0/gdb-xml>.
    counter: usize,
    /// The stub's number of the register with the number of a system call.
    number: usize,
    /// The same for its first two arguments.
    arguments: [usize; 2],
    /// The numbers of system calls.
    numbers: Numbers,
}

/// The numbers of the system calls that change what signals do.
struct Numbers {
    rt_sigaction: u64,
    rt_sigprocmask: u64,
    /// Both that end a handler.
    returns: [u64; 2],
}

/// The numbers on one architecture. Where there is no `sigreturn`, `rt_sigreturn` stands in its place.
macro_rules! numbers {
    ($architecture:ident, $sigreturn:ident) => {{
        use syscalls::$architecture::Sysno;
        Numbers {
            rt_sigaction: Sysno::rt_sigaction as u64,
            rt_sigprocmask: Sysno::rt_sigprocmask as u64,
            returns: [Sysno::rt_sigreturn as u64, Sysno::$sigreturn as u64],
        }
    }};
}

#[rustfmt::skip]
static MACHINES: &[Machine] = &[
    Machine { architecture: "aarch64",     calls: &[&[0x01, 0x00, 0x00, 0xd4]], call_length: 4, counter: 32, number: 8,  arguments: [0, 1],   numbers: numbers!(aarch64, rt_sigreturn) },
    Machine { architecture: "arm",         calls: ARM_CALLS,                    call_length: 4, counter: 15, number: 7,  arguments: [0, 1],   numbers: numbers!(arm, sigreturn) },
    Machine { architecture: "loongarch64", calls: &[&[0x00, 0x00, 0x2b, 0x00]], call_length: 4, counter: 33, number: 11, arguments: [4, 5],   numbers: numbers!(loongarch64, rt_sigreturn) },
    Machine { architecture: "powerpc64",   calls: &[&[0x02, 0x00, 0x00, 0x44]], call_length: 4, counter: 64, number: 0,  arguments: [3, 4],   numbers: numbers!(powerpc64, sigreturn) },
    Machine { architecture: "riscv64",     calls: &[&[0x73, 0x00, 0x00, 0x00]], call_length: 4, counter: 32, number: 17, arguments: [10, 11], numbers: numbers!(riscv64, rt_sigreturn) },
    // The second byte is the number of the call, where it is not 0.
    Machine { architecture: "s390x",       calls: &[&[0x0a]],                   call_length: 2, counter: 1,  number: 3,  arguments: [4, 5],   numbers: numbers!(s390x, sigreturn) },
    Machine { architecture: "x86",         calls: &[&[0xcd, 0x80]],             call_length: 2, counter: 8,  number: 0,  arguments: [3, 1],   numbers: numbers!(x86, sigreturn) },
];

/// On 32-bit Arm: the program's own, and the two by which qemu ends a handler. It puts their numbers into the
/// instructions, too: <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/arm/signal.c>
const ARM_CALLS: &[&[u8]] = &[&[0x00, 0x00, 0x00, 0xef], &[0x77, 0x00, 0x90, 0xef], &[0xad, 0x00, 0x90, 0xef]];

/// A program that its emulator stops.
pub struct Emulated {
    running: Running,
    client: Client,
    platform: &'static Platform,
    machine: &'static Machine,
    role: Role,
    /// Where the next instruction is.
    counter: u64,
    /// The signal that it gets when it goes on, by gdb's number.
    signal: Option<u8>,
    state: Step,
    /// A breakpoint that is set.
    breakpoint: Option<u64>,
    /// Where the handlers are that it has installed, signal by signal.
    handlers: BTreeMap<c_int, u64>,
    /// The signals that it blocks when no handler runs, as a mask.
    blocked: u64,
    /// The handlers that run: of which signal, and where each goes back to.
    running_handlers: Vec<(c_int, u64)>,
    /// The signal that was sent last.
    sent: Option<c_int>,
    /// The program's file.
    file: Vec<u8>,
    /// Where in memory the file begins.
    base: u64,
    /// Where the stub's socket is.
    _folder: TempDir,
}

/// What a system call changes of what signals do.
enum Call {
    /// It installs a handler: for which signal, and where that is.
    Handle(c_int, u64),
    /// It sets the mask of blocked signals.
    Block(u64),
    /// It ends a handler.
    Return,
    /// Nothing.
    Other,
}

/// The signals that the program handles: gdb's numbers and Linux's.
const SIGNALS: [(u8, c_int); 3] = [(2, libc::SIGINT), (15, libc::SIGTERM), (20, libc::SIGCHLD)];

impl Stopped for Emulated {
    fn start(program: &Program, start: Start) -> Result<Self> {
        let emulator = program.emulator.as_ref().context("it has no emulator")?;
        let platform = PLATFORMS.iter().find(|platform| emulator.as_os_str() == &*platform.emulator());
        let platform = platform.context("its emulator is no platform's")?;
        let machine = MACHINES.iter().find(|machine| machine.architecture == platform.architecture);
        let machine = machine.with_context(|| format!("nothing is known of {}", platform.architecture))?;
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("gdb");
        let options = vec!["-g".into(), socket.to_str().context("a path in UTF-8")?.into()];
        let (role, blocked) = (start.role, if start.block { u64::MAX } else { 0 });
        let environment = ["NAME=value"].into_iter().collect();
        let mut running = Start { emulator_options: options, environment, ..start }.spawn(program)?;
        let mut client = None;
        wait::until("the emulator's stub listens", Duration::from_micros(100), || {
            let status = running.poll_status()?;
            ensure!(status.is_none(), "the emulator has ended: {status:?}");
            client = Client::connect(&socket).ok();
            Ok(client.is_some())
        })?;
        let mut emulated = Self {
            running,
            client: client.context("connected above")?,
            platform,
            machine,
            role,
            counter: 0,
            signal: None,
            state: Step::Stopped,
            breakpoint: None,
            handlers: BTreeMap::new(),
            blocked,
            running_handlers: Vec::new(),
            sent: None,
            file: fs::read(&program.file)?,
            base: 0,
            _folder: folder,
        };
        let first = emulated.register(machine.counter)?;
        emulated.base = first - first % PAGE;
        emulated.go_on_to(first)?;
        ensure!(emulated.hear()? == Step::Stopped && emulated.counter == first, "it does not stop where it begins");
        Ok(emulated)
    }

    fn step(&mut self) -> Result<Step> {
        if self.state != Step::Stopped || self.signal.is_some() {
            return self.deliver();
        }
        let from = self.counter;
        let call = self.call()?;
        match &call {
            None => self.client.step()?,
            Some(Call::Return) => {
                let (_, back) = self.running_handlers.last().context("it ends a handler, and none runs")?;
                self.go_on_to(*back)?;
            }
            Some(_) => self.go_on_to(from + self.machine.call_length as u64)?,
        }
        self.hear()?;
        if self.counter != from {
            match call {
                Some(Call::Handle(signal, handler)) => _ = self.handlers.insert(signal, handler),
                Some(Call::Block(mask)) => self.blocked = mask,
                Some(Call::Return) => _ = self.running_handlers.pop(),
                _ => {}
            }
        }
        self.deliver()
    }

    fn place(&self) -> Result<u64> {
        Ok(self.counter % PAGE)
    }

    fn signals(&self) -> Result<Signals> {
        let caught = self.handlers.keys().fold(0, |mask, &signal| mask | bit(signal));
        let pending = process::signals(self.running.pid())?.pending;
        Ok(Signals { caught, blocked: self.blocked, pending })
    }

    fn takes(&self, event: Event) -> Result<bool> {
        let is_kept = self.role == Role::Init && event != Event::ChildDies;
        Ok(!is_kept || self.signals()?.will_handle(event.signal()))
    }

    fn send(&mut self, event: Event) -> Result<()> {
        event.happen(self.running.pid())?;
        self.sent = Some(event.signal());
        if self.state == Step::Asleep && self.comes_now(event.signal()) {
            self.receive()?;
        }
        Ok(())
    }

    fn let_go(mut self) -> Result<Running> {
        if self.state == Step::Stopped && self.signal.is_none() && self.sent.is_some_and(|sent| self.comes_now(sent)) {
            let from = self.counter;
            self.client.step()?;
            self.hear()?;
            ensure!(self.signal.is_some() && self.counter == from, "the emulator delivers a signal somewhere else");
        }
        // Without its client the stub lets signals pass, but not the one that it has just told of.
        self.deliver()?;
        self.client.leave()?;
        Ok(self.running)
    }
}

impl Emulated {
    /// The signal that it gets when it goes on, by Linux's number.
    fn signal(&self) -> Option<c_int> {
        SIGNALS.iter().find(|(number, _)| Some(*number) == self.signal).map(|&(_, signal)| signal)
    }

    /// Whether a signal that is sent now comes to the program at once: the emulator does not take the deaths of children
    /// that nobody handles, and a handler blocks its own signal.
    fn comes_now(&self, signal: c_int) -> bool {
        let is_handled = self.handlers.contains_key(&signal);
        let is_blocked =
            self.blocked & bit(signal) != 0 || self.running_handlers.iter().any(|(running, _)| *running == signal);
        !is_blocked && (is_handled || signal != libc::SIGCHLD)
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        let add = |number, byte: &u8| number << 8 | u64::from(*byte);
        match self.platform.byte_order {
            Little => bytes.iter().rev().fold(0, add),
            Big => bytes.iter().fold(0, add),
        }
    }

    fn register(&mut self, number: usize) -> Result<u64> {
        let bytes = self.client.register(number)?;
        Ok(self.number(&bytes))
    }

    fn memory(&mut self, address: u64, length: usize) -> Result<u64> {
        let bytes = self.client.memory(address, length)?;
        Ok(self.number(&bytes))
    }

    /// The next instruction, or its first bytes. To look into the file is faster than to ask.
    fn instruction(&mut self, length: usize) -> Result<Vec<u8>> {
        let offset = usize::try_from(self.counter.wrapping_sub(self.base))?;
        match self.file.get(offset..).and_then(|rest| rest.get(..length)) {
            Some(instruction) => Ok(instruction.to_vec()),
            None => self.client.memory(self.counter, length),
        }
    }

    /// The system call that the next instruction is, if it is one.
    fn call(&mut self) -> Result<Option<Call>> {
        let machine = self.machine;
        let instruction = self.instruction(machine.call_length)?;
        let Some(rest) = machine.calls.iter().find_map(|call| instruction.strip_prefix(*call)) else { return Ok(None) };
        let number = match rest {
            [number, ..] if *number != 0 => (*number).into(),
            _ => self.register(machine.number)?,
        };
        let [first, second] = machine.arguments;
        Ok(Some(if number == machine.numbers.rt_sigaction {
            let (signal, action) = (self.register(first)?, self.register(second)?);
            // The handler comes first, on each of these architectures.
            let word = if self.platform.class == ELFCLASS32 { 4 } else { 8 };
            Call::Handle(signal.try_into()?, self.memory(action, word)?)
        } else if number == machine.numbers.rt_sigprocmask {
            let (how, mask) = (self.register(first)?, self.register(second)?);
            ensure!(how == libc::SIG_SETMASK as u64, "it changes its mask in a way that is not followed here");
            Call::Block(self.memory(mask, 8)?)
        } else if machine.numbers.returns.contains(&number) {
            Call::Return
        } else {
            Call::Other
        }))
    }

    /// Lets the program go on, to stop there.
    fn go_on_to(&mut self, address: u64) -> Result<()> {
        self.client.set_breakpoint(address)?;
        self.breakpoint = Some(address);
        self.client.go_on(self.signal.take())
    }

    /// Waits until the program has stopped or ended, or sleeps.
    fn hear(&mut self) -> Result<Step> {
        let (client, pid) = (&mut self.client, self.running.pid());
        let mut is_asleep = false;
        wait::until("it stops or sleeps", Duration::ZERO, || {
            if client.has_news()? {
                return Ok(true);
            }
            is_asleep = process::is_asleep_in_emulator(pid)?;
            Ok(is_asleep)
        })?;
        if is_asleep {
            // Where the end of a handler was missed, a signal would count as blocked that is not, and come unseen.
            ensure!(self.running_handlers.is_empty(), "it sleeps within a handler");
            self.state = Step::Asleep;
            return Ok(Step::Asleep);
        }
        self.receive()
    }

    /// Receives that the program has stopped or ended.
    fn receive(&mut self) -> Result<Step> {
        self.signal = match self.client.stop()? {
            Stop::End => {
                self.state = Step::Ended;
                return Ok(Step::Ended);
            }
            Stop::Trap => None,
            Stop::Signal(signal) => Some(signal),
        };
        if let Some(address) = self.breakpoint.take() {
            self.client.remove_breakpoint(address)?;
        }
        self.counter = self.register(self.machine.counter)?;
        self.state = Step::Stopped;
        Ok(Step::Stopped)
    }

    /// Lets a signal that the program is about to get come to it, and others that come with it: up to the first
    /// instruction of the last handler.
    fn deliver(&mut self) -> Result<Step> {
        while self.signal.is_some() {
            let handler = self.signal().and_then(|signal| Some((signal, *self.handlers.get(&signal)?)));
            match handler {
                Some((signal, handler)) => {
                    self.running_handlers.push((signal, self.counter));
                    self.go_on_to(handler)?;
                }
                None => self.client.go_on(self.signal.take())?,
            }
            self.hear()?;
        }
        Ok(self.state)
    }
}
