//! Counts instructions, system calls and page faults until a program is ready, with ptrace.

use crate::Values;
use crate::contender::{Contender, is_ready};
use anyhow::{Result, ensure};
use harness::{Child, Role, Spawn};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use procfs::process::Process;

/// Number of instructions outside of the kernel. A system call is one step, and only a system call makes it ready.
pub fn instructions(contender: &Contender) -> Result<u64> {
    stops(contender, |pid| ptrace::step(pid, None))
}

/// Number of system calls. Each stops a program twice, before and after.
pub fn system_calls(contender: &Contender) -> Result<u64> {
    Ok(stops(contender, |pid| ptrace::syscall(pid, None))?.div_ceil(2))
}

pub fn page_faults(contender: &Contender) -> Result<Values> {
    let (mut child, pid) = start(contender)?;
    let faults = || anyhow::Ok(Process::new(pid.as_raw())?.stat()?.minflt);
    let before = faults()?;
    ptrace::detach(pid, None)?;
    contender.settle(&mut child)?;
    Ok(vec![Some((faults()? - before) as f64)])
}

/// Number of stops until it is ready, if `resume` continues it to the next one.
fn stops(contender: &Contender, resume: fn(Pid) -> nix::Result<()>) -> Result<u64> {
    let (_child, pid) = start(contender)?;
    ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD)?;
    let mut stops = 0;
    while !is_ready(pid.as_raw())? {
        resume(pid)?;
        wait_for_stop(pid)?;
        stops += 1;
    }
    Ok(stops)
}

/// Starts it, stopped before its first instruction.
fn start(contender: &Contender) -> Result<(Child, Pid)> {
    let child = Spawn { traced: true, ..contender.spawn(Role::Init)? }.spawn(&contender.program)?;
    let pid = Pid::from_raw(child.pid);
    wait_for_stop(pid)?;
    Ok((child, pid))
}

fn wait_for_stop(pid: Pid) -> Result<()> {
    let status = waitpid(pid, None)?;
    let is_stopped = matches!(status, WaitStatus::Stopped(..) | WaitStatus::PtraceSyscall(_));
    ensure!(is_stopped, "it ended before it was ready: {status:?}");
    Ok(())
}
