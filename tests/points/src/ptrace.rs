//! A program that this kernel stops: by ptrace, step by step.

use crate::{Event, Step, Stopped};
use anyhow::{Context, Result, bail, ensure};
use harness::process::Signals;
use harness::{Program, Running, Start, process, wait};
use nix::libc::user_regs_struct;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// The instructions that call the kernel, `syscall` and, of programs for 386, `int 0x80`; and the number of exit with each.
const SYSTEM_CALLS: [([u8; 2], u64); 2] = [([0x0f, 0x05], 60), ([0xcd, 0x80], 1)];

/// The program begins with a page, and is smaller than one.
const PAGE: u64 = 4096;

/// A program that this process traces.
pub struct Traced {
    running: Running,
    pid: Pid,
    /// Its registers, while it is stopped.
    registers: user_regs_struct,
    /// Where the page begins that it starts in, and what is there: to read that once takes less than to read two bytes at
    /// every stop.
    start: u64,
    page: Vec<u8>,
    /// What it is to be delivered when it goes on.
    signal: Option<Signal>,
    asleep: bool,
}

impl Stopped for Traced {
    fn start(program: &Program, start: Start) -> Result<Self> {
        let running = Start { traced: true, ..start }.spawn(program)?;
        let pid = Pid::from_raw(running.pid());
        let status = waitpid(pid, None)?;
        ensure!(matches!(status, WaitStatus::Stopped(_, Signal::SIGTRAP)), "it can't be started: {status:?}");
        let registers = ptrace::getregs(pid)?;
        let start = registers.rip / PAGE * PAGE;
        let mut page = vec![0; PAGE as usize];
        File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut page, start)?;
        Ok(Self { running, pid, registers, start, page, signal: None, asleep: false })
    }

    fn step(&mut self) -> Result<Step> {
        while !self.asleep {
            let may_sleep = self.is_before_system_call(true)?;
            ptrace::step(self.pid, self.signal.take())?;
            let status = if may_sleep { self.stops_or_sleeps()? } else { waitpid(self.pid, None)? };
            match status {
                WaitStatus::Stopped(_, signal) => {
                    self.registers = ptrace::getregs(self.pid)?;
                    if signal == Signal::SIGTRAP {
                        return Ok(Step::Stopped);
                    }
                    // It was about to be delivered.
                    self.signal = Some(signal);
                }
                WaitStatus::StillAlive => self.asleep = true,
                WaitStatus::Exited(_, status) => return Ok(self.ended(ExitStatus::from_raw(status << 8))),
                WaitStatus::Signaled(_, signal, _) => return Ok(self.ended(ExitStatus::from_raw(signal as i32))),
                other => bail!("it has come to {other:?}"),
            }
        }
        Ok(Step::Asleep)
    }

    fn place(&self) -> Result<u64> {
        Ok(self.registers.rip % PAGE)
    }

    fn signals(&self) -> Result<Signals> {
        process::signals(self.pid.as_raw())
    }

    fn send(&mut self, event: Event) -> Result<()> {
        event.happen(self.pid.as_raw())?;
        if self.asleep {
            let status = waitpid(self.pid, None)?;
            // That is the end of the step that it slept in. What woke it is still on its way.
            ensure!(matches!(status, WaitStatus::Stopped(_, Signal::SIGTRAP)), "it has come to {status:?}");
            self.registers = ptrace::getregs(self.pid)?;
            self.asleep = false;
        }
        Ok(())
    }

    fn let_go(self) -> Result<Running> {
        ptrace::detach(self.pid, self.signal).context("it can't be let go")?;
        Ok(self.running)
    }
}

impl Traced {
    /// Its number outside of its namespace.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Its registers, if its next instruction is a system call and nothing is to be delivered before.
    ///
    /// # Errors
    /// Where they can't be read.
    pub fn system_call(&self) -> Result<Option<user_regs_struct>> {
        // What is pending takes longest to find out, and few instructions are system calls.
        let is_next = self.is_before_system_call(false)? && !self.asleep && self.signal.is_none();
        let is_next = is_next && process::signals(self.pid())?.pending == 0;
        Ok(is_next.then_some(self.registers))
    }

    /// Passes over the system call before which it has these registers, with this result. Like the kernel, it spoils
    /// rcx and r11.
    ///
    /// # Errors
    /// Where they can't be written.
    pub fn answer(&mut self, registers: user_regs_struct, result: i64) -> Result<()> {
        let rip = registers.rip + SYSTEM_CALLS[0].0.len() as u64;
        let rax = result.cast_unsigned();
        self.registers = user_regs_struct { rip, rax, rcx: rip, r11: registers.eflags, ..registers };
        Ok(ptrace::setregs(self.pid, self.registers)?)
    }

    /// Writes what a file is ready for into its pollfd.
    ///
    /// # Errors
    /// Where there is none.
    pub fn write_revents(&mut self, pollfd: u64, revents: i16) -> Result<()> {
        let place = pollfd as ptrace::AddressType;
        let word = ptrace::read(self.pid, place)?.cast_unsigned();
        let word = word << 16 >> 16 | u64::from(revents.cast_unsigned()) << 48;
        Ok(ptrace::write(self.pid, place, word.cast_signed())?)
    }

    /// What has ended.
    pub fn into_running(self) -> Running {
        self.running
    }

    /// Whether the next instruction is a system call, and perhaps one that may sleep for long. On its way out, PID 1
    /// sleeps until all others of its namespace are gone.
    fn is_before_system_call(&self, that_may_sleep: bool) -> Result<bool> {
        let user_regs_struct { rip, rax, .. } = self.registers;
        let place = rip.wrapping_sub(self.start) as usize;
        let instruction = match self.page.get(place..).and_then(<[u8]>::first_chunk) {
            Some(&bytes) => bytes,
            None => {
                let [first, second, ..] = ptrace::read(self.pid, rip as ptrace::AddressType)?.to_le_bytes();
                [first, second]
            }
        };
        let is_one = |(call, exit): &([u8; 2], u64)| *call == instruction && !(that_may_sleep && rax == *exit);
        Ok(SYSTEM_CALLS.iter().any(is_one))
    }

    fn ended(&mut self, status: ExitStatus) -> Step {
        self.running.has_ended(status);
        Step::Ended
    }

    /// Waits until it has stopped, or sleeps: [`WaitStatus::StillAlive`] then.
    fn stops_or_sleeps(&self) -> Result<WaitStatus> {
        let mut status = WaitStatus::StillAlive;
        wait::until("it stops or sleeps", Duration::ZERO, || {
            // In this order: one that is about to stop does not sleep.
            let asleep = process::is_asleep(self.pid.as_raw())?;
            status = waitpid(self.pid, Some(WaitPidFlag::WNOHANG))?;
            Ok(asleep || status != WaitStatus::StillAlive)
        })?;
        Ok(status)
    }
}
