//! Programs under the eyes of a tracer: what they do until they are ready, counted.

use crate::contender::{Contender, is_ready};
use anyhow::{Result, ensure};
use harness::{Role, Running, Start};
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use procfs::process::Process;

/// What a program does from its first instruction until it is ready.
pub struct Trace {
    /// Instructions, outside of the kernel.
    pub instructions: u64,
    /// System calls.
    pub system_calls: u64,
}

/// Traces a program until it is ready.
///
/// # Errors
/// Where it ends before, or can't be traced here.
pub fn until_ready(contender: &Contender) -> Result<Trace> {
    // A system call is one step, and nothing else makes a program ready.
    let instructions = stops_until_ready(contender, |pid| ptrace::step(pid, None))?;
    // Each stops it twice, before and after.
    let system_calls = stops_until_ready(contender, |pid| ptrace::syscall(pid, None))?.div_ceil(2);
    Ok(Trace { instructions, system_calls })
}

/// How often a program stops until it is ready, where `resume` says what stops it.
fn stops_until_ready(contender: &Contender, resume: fn(Pid) -> nix::Result<()>) -> Result<u64> {
    let (_running, pid) = start(contender)?;
    ptrace::setoptions(pid, Options::PTRACE_O_TRACESYSGOOD)?;
    let mut stops = 0;
    while !is_ready(pid.as_raw())? {
        resume(pid)?;
        let status = waitpid(pid, None)?;
        ensure!(is_stopped(&status), "it ended before it was ready: {status:?}");
        stops += 1;
    }
    Ok(stops)
}

fn is_stopped(status: &WaitStatus) -> bool {
    matches!(status, WaitStatus::Stopped(..) | WaitStatus::PtraceSyscall(_))
}

/// A program, stopped before its first instruction.
fn start(contender: &Contender) -> Result<(Running, Pid)> {
    let running = Start { traced: true, ..contender.condition(Role::Init)? }.spawn(&contender.program)?;
    let pid = Pid::from_raw(running.pid());
    let status = waitpid(pid, None)?;
    ensure!(is_stopped(&status), "it can't be started: {status:?}");
    Ok((running, pid))
}

/// Runs a program until it sleeps. Returns how many page faults that took.
///
/// # Errors
/// Where it can't be traced, or does not come to rest.
pub fn page_faults(contender: &Contender) -> Result<u64> {
    let (mut running, pid) = start(contender)?;
    let faults = || -> Result<u64> { Ok(Process::new(pid.as_raw())?.stat()?.minflt) };
    let before = faults()?;
    ptrace::detach(pid, None)?;
    contender.settle(&mut running)?;
    Ok(faults()? - before)
}
