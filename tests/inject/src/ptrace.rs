//! A tracee that the kernel stops, by ptrace.

use crate::{PAGE, Step, Tracee, scenario};
use anyhow::{Context, Result, bail, ensure};
use harness::process::Signals;
use harness::{Child, Program, Spawn, process, wait};
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
use syscalls::Sysno;

const SYSCALL_INSTRUCTION: [u8; 2] = [0x0f, 0x05];

/// System calls that return at once, or end the program. In exit, a PID 1 sleeps until its namespace is empty.
const NEVER_SLEEP: [Sysno; 5] =
    [Sysno::exit, Sysno::getpid, Sysno::rt_sigaction, Sysno::rt_sigprocmask, Sysno::rt_sigreturn];

pub struct Ptrace {
    pub child: Child,
    pid: Pid,
    registers: user_regs_struct,
    /// Address and content of the program's page.
    page: (u64, Vec<u8>),
    /// Intercepted, to be delivered by the next step.
    signal: Option<Signal>,
    is_asleep: bool,
}

impl Tracee for Ptrace {
    fn start(program: &Program, spawn: Spawn) -> Result<Self> {
        let child = Spawn { traced: true, ..spawn }.spawn(program)?;
        let pid = Pid::from_raw(child.pid);
        let status = waitpid(pid, None)?;
        ensure!(matches!(status, WaitStatus::Stopped(_, Signal::SIGTRAP)), "it can't be started: {status:?}");
        let registers = ptrace::getregs(pid)?;
        let (start, mut page) = (registers.rip / PAGE * PAGE, vec![0; PAGE as usize]);
        File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut page, start)?;
        Ok(Self { child, pid, registers, page: (start, page), signal: None, is_asleep: false })
    }

    fn step(&mut self) -> Result<Step> {
        while !self.is_asleep {
            let may_sleep = self.is_at_call()? && !NEVER_SLEEP.iter().any(|call| *call as u64 == self.registers.rax);
            ptrace::step(self.pid, self.signal.take())?;
            let status = if may_sleep { self.wait_for_stop_or_sleep()? } else { waitpid(self.pid, None)? };
            let status = match status {
                WaitStatus::Stopped(_, signal) => {
                    self.registers = ptrace::getregs(self.pid)?;
                    if signal == Signal::SIGTRAP {
                        return Ok(Step::Stopped);
                    }
                    self.signal = Some(signal);
                    continue;
                }
                WaitStatus::StillAlive => {
                    self.is_asleep = true;
                    continue;
                }
                WaitStatus::Exited(_, status) => status << 8,
                WaitStatus::Signaled(_, signal, _) => signal as i32,
                other => bail!("unexpected status {other:?}"),
            };
            self.child.status = Some(ExitStatus::from_raw(status));
            return Ok(Step::Ended);
        }
        Ok(Step::Asleep)
    }

    fn is_at_call(&mut self) -> Result<bool> {
        let (rip, (start, page)) = (self.registers.rip, &self.page);
        Ok(match page.get(rip.wrapping_sub(*start) as usize..).filter(|rest| rest.len() >= SYSCALL_INSTRUCTION.len()) {
            Some(rest) => rest.starts_with(&SYSCALL_INSTRUCTION),
            // In a library, or the kernel's vDSO.
            None => ptrace::read(self.pid, rip as ptrace::AddressType)?.to_le_bytes().starts_with(&SYSCALL_INSTRUCTION),
        })
    }

    fn signals(&self) -> Result<Signals> {
        process::signals(self.pid.as_raw())
    }

    fn send(&mut self, signal: Signal) -> Result<()> {
        scenario::send(self.pid.as_raw(), signal)?;
        if self.is_asleep {
            // The step ends in which it fell asleep. The signal that woke it is still pending.
            let status = waitpid(self.pid, None)?;
            ensure!(matches!(status, WaitStatus::Stopped(_, Signal::SIGTRAP)), "unexpected status {status:?}");
            self.registers = ptrace::getregs(self.pid)?;
            self.is_asleep = false;
        }
        Ok(())
    }

    fn detach(self) -> Result<Child> {
        ptrace::detach(self.pid, self.signal).context("can't detach from it")?;
        Ok(self.child)
    }
}

impl Ptrace {
    /// Waits until it has stopped or ended, or sleeps: [`WaitStatus::StillAlive`].
    fn wait_for_stop_or_sleep(&self) -> Result<WaitStatus> {
        let poll = || waitpid(self.pid, Some(WaitPidFlag::WNOHANG));
        wait::until_some("it stops or sleeps", Duration::ZERO, || {
            // Most calls return at once. Whether it sleeps takes longer to find out, and it may stop before that.
            match poll()? {
                WaitStatus::StillAlive if process::is_asleep(self.pid.as_raw())? => Ok(Some(poll()?)),
                WaitStatus::StillAlive => Ok(None),
                status => Ok(Some(status)),
            }
        })
    }
}
