//! The kernel's view of a process. All of this fails if the process doesn't exist.

use anyhow::{Context, Result};
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use procfs::process::{ProcState, Process};
use std::ffi::c_int;
use std::fs;

/// Masks of the signals that a process catches (`SigCgt`), blocks (`SigBlk`), and that are pending (`ShdPnd`).
#[derive(Clone, Copy, Debug)]
pub struct Signals {
    pub caught: u64,
    pub blocked: u64,
    pub pending: u64,
}

impl Signals {
    /// Whether a signal that is sent now reaches a handler: there is one, or the signal is blocked until there is.
    pub fn will_handle(&self, signal: c_int) -> bool {
        (self.caught | self.blocked) & bit(signal) != 0
    }
}

pub fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

pub fn signals(pid: i32) -> Result<Signals> {
    // Parsing the whole file would take longer than some programs take to start.
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let set = |name| {
        let line = status.lines().find_map(|line: &str| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap_or_default().trim(), 16).context("the kernel shows no signal masks")
    };
    Ok(Signals { caught: set("SigCgt:")?, blocked: set("SigBlk:")?, pending: set("ShdPnd:")? })
}

/// Whether a process has all of pause's handlers: as PID 1 it loses signals that come before.
pub fn is_ready(pid: i32) -> Result<bool> {
    Ok(signals(pid)?.caught & contract::HANDLED == contract::HANDLED)
}

fn state(pid: i32) -> Result<ProcState> {
    Ok(Process::new(pid)?.stat()?.state()?)
}

/// Whether a process sleeps in a system call. In wait4 without waiting, the state alone shows it sleeping for a moment:
/// `do_wait` in <https://github.com/torvalds/linux/blob/v6.12/kernel/exit.c>
pub fn is_asleep(pid: i32) -> Result<bool> {
    // "running" means outside of a system call, or busy in one: `proc_pid_syscall` in
    // <https://github.com/torvalds/linux/blob/v6.12/fs/proc/base.c>. Without permission to read it, the state decides.
    let is_running = |call: String| call.starts_with("running");
    Ok(state(pid)? == ProcState::Sleeping && !fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(is_running))
}

/// Whether a program under qemu-user sleeps: the emulator is in one of the calls by which it lets a program sleep. It may
/// sleep in others for a moment.
///
/// The emulator's own thread has to sleep, too. It doesn't block SIGILL and SIGFPE: if it first runs while one of them is
/// pending for the program, it takes it, and dies by SIGSEGV in a handler that looks for a program's state:
/// `qemu_thread_create` in
/// <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/util/qemu-thread-posix.c#L531-536>, and `host_signal_handler` in
/// <https://gitlab.com/qemu-project/qemu/-/blob/v7.2.0/linux-user/signal.c#L784>
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

/// Address of argc, at the start.
pub fn start_of_stack(pid: i32) -> Result<u64> {
    Ok(Process::new(pid)?.stat()?.startstack)
}

pub fn is_stopped(pid: i32) -> Result<bool> {
    Ok(state(pid)? == ProcState::Stopped)
}

pub fn is_traced(pid: i32) -> Result<bool> {
    Ok(Process::new(pid)?.status()?.tracerpid != 0)
}

/// Numbers of context switches: voluntary ones, as often as the process went to sleep, and others.
pub fn switches(pid: i32) -> Result<(u64, u64)> {
    let status = Process::new(pid)?.status()?;
    let switches = status.voluntary_ctxt_switches.zip(status.nonvoluntary_ctxt_switches);
    switches.context("the kernel does not count context switches")
}

/// The children of a process, including zombies.
pub fn children(pid: i32) -> Result<Vec<i32>> {
    // Each thread has those that it forked.
    let children = Process::new(pid)?.tasks()?.map(|thread| thread?.children());
    Ok(children.collect::<Result<Vec<_>, _>>()?.concat().into_iter().map(u32::cast_signed).collect())
}

/// Whether a process is dead and not reaped; false if it doesn't exist.
pub fn is_zombie(pid: i32) -> bool {
    state(pid).is_ok_and(|state| state == ProcState::Zombie)
}

pub fn is_alive(pid: i32) -> bool {
    Process::new(pid).is_ok() && !is_zombie(pid)
}

pub fn zombies(pid: i32) -> Result<usize> {
    Ok(children(pid)?.into_iter().filter(|&child| is_zombie(child)).count())
}

/// Makes this process end quietly when its output's reader is gone, as other programs do.
pub fn end_with_its_reader() {
    // SAFETY: No handler is installed; the signal's default is to end the process.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
