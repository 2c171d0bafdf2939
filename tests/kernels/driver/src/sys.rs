//! The driver's system calls. All are in the generic table, so that no architecture needs code: clone3 instead of fork,
//! because its arguments have the same order everywhere.

use core::ffi::{CStr, c_int};
use core::ptr::null;
use linux_raw_sys::general::{
    __kernel_old_timespec, AT_FDCWD, O_CLOEXEC, O_RDONLY, P_PID, SIG_BLOCK, SIGCHLD, WEXITED, WNOHANG, WNOWAIT, pollfd,
    rlimit64,
};
use syscalls::{Errno, Sysno, syscall};

pub type File = u32;
pub type Pid = u32;
pub type Result<Value = usize> = core::result::Result<Value, Errno>;

/// Size of the kernel's signal sets, in bytes.
const SIGSET: usize = 8;

macro_rules! call {
    ($name:ident $(, $argument:expr)*) => {
        // SAFETY: each pointer below is to memory of the size that the kernel expects, and lives long enough.
        unsafe { syscall!(Sysno::$name $(, $argument)*) }
    };
}

pub fn exit(status: usize) -> ! {
    loop {
        call!(exit_group, status).ok();
    }
}

/// Forks, with these CLONE_NEW… flags. Returns 0 in the child.
pub fn fork(flags: u32) -> Pid {
    // struct clone_args: https://man7.org/linux/man-pages/man2/clone.2.html
    let mut arguments = [0_u64; 8];
    arguments[0] = flags.into();
    arguments[4] = SIGCHLD.into();
    call!(clone3, arguments.as_ptr(), size_of_val(&arguments)).expect("the kernel can fork") as Pid
}

/// Executes a program with up to three arguments and no environment. Returns only if that fails.
pub fn execute(program: &CStr, arguments: &[&CStr]) -> Errno {
    let mut pointers = [null(); 4];
    for (pointer, argument) in pointers[..3].iter_mut().zip(arguments) {
        *pointer = argument.as_ptr();
    }
    let environment = &pointers[3..];
    let result = call!(execve, program.as_ptr(), pointers.as_ptr(), environment.as_ptr());
    result.expect_err("execve returns only if it fails")
}

/// Reaps a child if it has ended. Returns its wait status.
pub fn reap(pid: Pid) -> Option<c_int> {
    let mut status: c_int = 0;
    let ended = call!(wait4, pid, &raw mut status, WNOHANG, 0);
    (ended == Ok(pid as usize)).then_some(status)
}

/// Waits until a child has ended, without reaping it.
pub fn wait_for_zombie(pid: Pid) {
    call!(waitid, P_PID, pid, 0, WEXITED | WNOWAIT, 0).ok();
}

pub fn kill(pid: Pid, signal: u32) {
    call!(kill, pid, signal).ok();
}

pub fn join_namespace(file: File) -> Result {
    call!(setns, file, 0)
}

/// Blocks and ignores every signal, which survives exec.
pub fn block_and_ignore_all_signals() {
    let all = u64::MAX;
    call!(rt_sigprocmask, SIG_BLOCK, &raw const all, 0, SIGSET).ok();
    // On every platform, the kernel's struct sigaction starts with the handler, here SIG_IGN, and is at most as large.
    let ignore = [1_usize, 0, 0, 0, 0];
    for signal in 1..=64 {
        call!(rt_sigaction, signal, ignore.as_ptr(), 0, SIGSET).ok();
    }
}

pub fn limit(resource: u32, value: u64) {
    let limit = rlimit64 { rlim_cur: value, rlim_max: value };
    call!(prlimit64, 0, resource, &raw const limit, 0).ok();
}

pub fn mount(kind: &CStr, directory: &CStr) -> Result {
    call!(mount, kind.as_ptr(), directory.as_ptr(), kind.as_ptr(), 0, 0)
}

/// Makes a pipe. Returns the reading and the writing end, which exec closes.
pub fn pipe() -> (File, File) {
    let mut files: [File; 2] = [0; 2];
    call!(pipe2, files.as_mut_ptr(), O_CLOEXEC).expect("the kernel has pipes");
    (files[0], files[1])
}

pub fn open(path: &CStr) -> Result<File> {
    call!(openat, AT_FDCWD, path.as_ptr(), O_RDONLY | O_CLOEXEC).map(|file| file as File)
}

/// Duplicates a descriptor; exec doesn't close the duplicate.
pub fn duplicate(from: File, to: File) {
    call!(dup3, from, to, 0).ok();
}

pub fn close(file: File) {
    call!(close, file).ok();
}

pub fn read(file: File, buffer: &mut [u8]) -> Result {
    call!(read, file, buffer.as_mut_ptr(), buffer.len())
}

/// Reads directory entries. Returns their size in bytes.
pub fn read_directory(file: File, buffer: &mut [u8]) -> Result {
    call!(getdents64, file, buffer.as_mut_ptr(), buffer.len())
}

/// Writes everything, or gives up. Never inlined: on ppc64le a system call clears ctr, which the crate `syscalls`
/// doesn't declare, and with which the caller calls a case.
#[inline(never)]
pub fn write_all(file: File, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match call!(write, file, bytes.as_ptr(), bytes.len()) {
            Ok(count) => bytes = &bytes[count..],
            Err(_) => return,
        }
    }
}

/// Whether POLLIN or POLLOUT applies to a file now.
pub fn poll(file: File, events: u32) -> bool {
    let mut poll = pollfd { fd: file as c_int, events: events as _, revents: 0 };
    let timeout = __kernel_old_timespec { tv_sec: 0, tv_nsec: 0 };
    call!(ppoll, &raw mut poll, 1, &raw const timeout, 0, SIGSET).ok();
    poll.revents & events as i16 != 0
}

pub fn nap() {
    let timeout = __kernel_old_timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    call!(ppoll, 0, 0, &raw const timeout, 0, SIGSET).ok();
}
