//! A program that this kernel stops: by ptrace, step by step.

use crate::{Event, Step, Stopped};
use anyhow::{Context, Result, bail, ensure};
use harness::process::Signals;
use harness::{Program, Running, Start, process, wait};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// The instructions that call the kernel: `syscall`, and `int 0x80` of programs for 386.
const SYSTEM_CALLS: [[u8; 2]; 2] = [[0x0f, 0x05], [0xcd, 0x80]];

/// The program begins with a page, and is smaller than one.
const PAGE: u64 = 4096;

/// A program that this process traces.
pub struct Traced {
    running: Running,
    pid: Pid,
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
        Ok(Self { running, pid, signal: None, asleep: false })
    }

    fn step(&mut self) -> Result<Step> {
        while !self.asleep {
            let is_system_call = self.is_before_system_call()?;
            ptrace::step(self.pid, self.signal.take())?;
            let status = if is_system_call { self.stops_or_sleeps()? } else { waitpid(self.pid, None)? };
            match status {
                WaitStatus::Stopped(_, Signal::SIGTRAP) => return Ok(Step::Stopped),
                // It was about to be delivered.
                WaitStatus::Stopped(_, signal) => self.signal = Some(signal),
                WaitStatus::StillAlive => self.asleep = true,
                WaitStatus::Exited(_, status) => return Ok(self.ended(ExitStatus::from_raw(status << 8))),
                WaitStatus::Signaled(_, signal, _) => return Ok(self.ended(ExitStatus::from_raw(signal as i32))),
                other => bail!("it has come to {other:?}"),
            }
        }
        Ok(Step::Asleep)
    }

    fn place(&self) -> Result<u64> {
        Ok(ptrace::getregs(self.pid)?.rip % PAGE)
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
    fn is_before_system_call(&self) -> Result<bool> {
        let place = ptrace::getregs(self.pid)?.rip;
        let word = ptrace::read(self.pid, place as ptrace::AddressType)?.to_le_bytes();
        Ok(SYSTEM_CALLS.iter().any(|call| word.starts_with(call)))
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
