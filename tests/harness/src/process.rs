//! What the kernel tells of a process, whoever started it.

use anyhow::{Context, Result, bail};
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use procfs::process::{ProcState, Process};
use std::ffi::c_int;
use std::fs;

/// The signals that a process handles, those that it blocks, and those that are on their way, as masks.
#[derive(Clone, Copy, Debug)]
pub struct Signals {
    /// Those with a handler: `SigCgt`.
    pub caught: u64,
    /// Those that are blocked: `SigBlk`.
    pub blocked: u64,
    /// Those that were sent to the process and not delivered yet: `ShdPnd`.
    pub pending: u64,
}

impl Signals {
    /// Whether a signal that is sent now reaches a handler: there is one, or the signal is blocked until there is.
    pub fn will_handle(&self, signal: c_int) -> bool {
        (self.caught | self.blocked) & bit(signal) != 0
    }

    /// Whether a signal is on its way.
    pub fn is_pending(&self, signal: c_int) -> bool {
        self.pending & bit(signal) != 0
    }
}

/// A signal's place in a mask.
pub fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// What a process does with signals.
///
/// # Errors
/// Where there is no such process.
pub fn signals(pid: i32) -> Result<Signals> {
    // Parsing all of the file would take longer than some programs take to start.
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let set = |name| {
        let line = status.lines().find_map(|line: &str| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap_or_default().trim(), 16).context("the kernel shows no signal masks")
    };
    Ok(Signals { caught: set("SigCgt:")?, blocked: set("SigBlk:")?, pending: set("ShdPnd:")? })
}

/// Whether a process has all of pause's handlers in place: a signal that comes before that is lost, if it is PID 1.
///
/// # Errors
/// Where there is no such process.
pub fn is_ready(pid: i32) -> Result<bool> {
    Ok(signals(pid)?.caught & contract::HANDLED == contract::HANDLED)
}

/// Whether a process sleeps, and is not merely about to: wait4 without waiting says for a moment that it does. `do_wait`
/// in <https://github.com/torvalds/linux/blob/v6.12/kernel/exit.c>
///
/// # Errors
/// Where there is no such process.
pub fn is_asleep(pid: i32) -> Result<bool> {
    let sleeps = Process::new(pid)?.stat()?.state()? == ProcState::Sleeping;
    // Who may not know the system call that a process is in has to be content with that.
    Ok(sleeps && fs::read_to_string(format!("/proc/{pid}/syscall")).map_or(true, |call| !call.starts_with(RUNNING)))
}

/// Whether the program that qemu-user runs sleeps: its process is in one of the calls by which it has a program sleep.
/// Elsewhere, too, that may sleep for a moment.
///
/// A thread of the emulator's own has to sleep, too. It does not block SIGILL and SIGFPE. If it first gets a processor
/// while one of these is on its way to the program, it takes it, and dies by SIGSEGV in a handler that looks for the state
/// of a program, of which it has none: `qemu_thread_create` in
/// <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/util/qemu-thread-posix.c#L531-536>, and `host_signal_handler` in
/// <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/signal.c#L784>
///
/// # Errors
/// Where there is no such process, or this one may not know.
pub fn is_asleep_in_emulator(pid: i32) -> Result<bool> {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall"))?;
    let number = call.split(' ').next().and_then(|number| number.parse().ok());
    if !number.is_some_and(|number| [libc::SYS_ppoll, libc::SYS_rt_sigsuspend].contains(&number)) {
        return Ok(false);
    }
    for thread in Process::new(pid)?.tasks()? {
        if thread?.stat()?.state()? != ProcState::Sleeping {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the kernel shows instead of a system call where a process is in none, or busy in one: `proc_pid_syscall` in
/// <https://github.com/torvalds/linux/blob/v6.12/fs/proc/base.c>
const RUNNING: &str = "running";

/// Whether a process is stopped, as by SIGSTOP.
///
/// # Errors
/// Where there is no such process.
pub fn is_stopped(pid: i32) -> Result<bool> {
    Ok(Process::new(pid)?.stat()?.state()? == ProcState::Stopped)
}

/// Whether another process traces a process.
///
/// # Errors
/// Where there is no such process.
pub fn is_traced(pid: i32) -> Result<bool> {
    Ok(Process::new(pid)?.status()?.tracerpid != 0)
}

/// How often a process has gone to sleep of its own accord, which is how often it has woken up, and how often it
/// was made to wait for its turn.
///
/// # Errors
/// Where there is no such process, or the kernel does not count.
pub fn switches(pid: i32) -> Result<(u64, u64)> {
    let status = Process::new(pid)?.status()?;
    match (status.voluntary_ctxt_switches, status.nonvoluntary_ctxt_switches) {
        (Some(voluntary), Some(other)) => Ok((voluntary, other)),
        _ => bail!("the kernel does not count context switches"),
    }
}

/// The children of a process, zombies included.
///
/// # Errors
/// Where there is no such process.
pub fn children(pid: i32) -> Result<Vec<i32>> {
    let children = Process::new(pid)?.task_main_thread()?.children()?;
    Ok(children.into_iter().map(u32::cast_signed).collect())
}

/// Whether a process is dead and not reaped; one that is gone is not.
pub fn is_zombie(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()?.state()).is_ok_and(|state| state == ProcState::Zombie)
}

/// Whether a process is there and not dead.
pub fn is_alive(pid: i32) -> bool {
    Process::new(pid).is_ok() && !is_zombie(pid)
}

/// How many children of a process are dead and not reaped.
///
/// # Errors
/// Where there is no such process.
pub fn zombies(pid: i32) -> Result<usize> {
    Ok(children(pid)?.into_iter().filter(|&child| is_zombie(child)).count())
}

/// Has this process end quietly once nobody reads what it prints any more, as other programs do.
pub fn end_with_its_reader() {
    // SAFETY: no handler is installed; the signal's default is to end the process.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
