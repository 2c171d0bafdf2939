//! The system calls that the driver makes: a thin, typed function for each.
//!
//! All of them are in the generic table of system calls, so that no architecture needs code of its own:
//! hence clone3 for fork, whose arguments are in the same order everywhere.

use crate::text::Text;
use core::ffi::{CStr, c_int, c_long, c_void};
use core::mem::{transmute, zeroed};
use core::ptr::null;
use linux_raw_sys::general::{
    __kernel_old_timespec, __kernel_sighandler_t, AT_FDCWD, CLOCK_MONOTONIC, CLONE_NEWPID, O_CLOEXEC, O_RDONLY, P_PID,
    POLLIN, POLLOUT, SIG_BLOCK, SIGCHLD, WEXITED, WNOHANG, WNOWAIT, clone_args, kernel_sigaction, pollfd, rlimit64,
};
use linux_raw_sys::system::new_utsname;
use syscalls::{Errno, Sysno, syscall};

/// A file descriptor.
pub type File = u32;

/// A process number.
pub type Pid = u32;

/// The number of bytes in a signal set of the kernel's.
const SIGSET_SIZE: usize = 8;

/// Ends this process.
pub fn exit(status: usize) -> ! {
    loop {
        // SAFETY: the call does not return.
        unsafe { syscall!(Sysno::exit_group, status).ok() };
    }
}

/// Forks. Returns 0 in the child.
pub fn fork() -> Pid {
    clone(0)
}

/// Forks, with the child as PID 1 of a new PID namespace. Returns 0 in the child.
pub fn fork_into_namespace() -> Pid {
    clone(CLONE_NEWPID)
}

fn clone(flags: u32) -> Pid {
    // SAFETY: a clone_args of zero bytes is valid: a fork.
    let mut arguments: clone_args = unsafe { zeroed() };
    arguments.flags = flags.into();
    arguments.exit_signal = SIGCHLD.into();
    // SAFETY: without CLONE_VM the child works on copies.
    let pid = unsafe { syscall!(Sysno::clone3, &raw const arguments, size_of::<clone_args>()) };
    pid.expect("the kernel can fork") as Pid
}

/// Becomes another program, with an empty environment. Returns only where that fails, with the reason.
pub fn execute(program: &CStr, arguments: &[&CStr]) -> Errno {
    let mut pointers = [null(); 4];
    for (pointer, argument) in pointers[..3].iter_mut().zip(arguments) {
        *pointer = argument.as_ptr();
    }
    let environment = &pointers[3..];
    // SAFETY: both arrays end with a null.
    let result = unsafe { syscall!(Sysno::execve, program.as_ptr(), pointers.as_ptr(), environment.as_ptr()) };
    result.expect_err("execve returns only where it fails")
}

/// The wait status of a child that has ended, which is gone then.
pub fn reap(pid: Pid) -> Option<c_int> {
    let mut status: c_int = 0;
    // SAFETY: the kernel writes the status.
    let ended = unsafe { syscall!(Sysno::wait4, pid, &raw mut status, WNOHANG, 0) };
    (ended == Ok(pid as usize)).then_some(status)
}

/// Waits for the end of a child, which stays a zombie.
pub fn await_zombie(pid: Pid) {
    // SAFETY: nobody asks for details, so the kernel writes nothing.
    unsafe { syscall!(Sysno::waitid, P_PID, pid, 0, WEXITED | WNOWAIT, 0).ok() };
}

/// Sends a signal.
pub fn kill(pid: Pid, signal: u32) -> Result<usize, Errno> {
    // SAFETY: no memory is handed over.
    unsafe { syscall!(Sysno::kill, pid, signal) }
}

/// Joins the PID namespace of that file: its future children are born there.
pub fn join_namespace(file: File) -> Result<usize, Errno> {
    // SAFETY: no memory is handed over.
    unsafe { syscall!(Sysno::setns, file, CLONE_NEWPID) }
}

/// Blocks every signal and ignores it. Both survive exec.
pub fn block_and_ignore_all_signals() {
    let all = u64::MAX;
    // SAFETY: the kernel reads `all`.
    unsafe { syscall!(Sysno::rt_sigprocmask, SIG_BLOCK, &raw const all, 0, SIGSET_SIZE).ok() };
    // SAFETY: a kernel_sigaction of zero bytes is valid.
    let mut ignore: kernel_sigaction = unsafe { zeroed() };
    // SAFETY: SIG_IGN is the number 1 in the place of a function, which nobody calls.
    ignore.sa_handler_kernel = unsafe { transmute::<usize, __kernel_sighandler_t>(1) };
    for signal in 1..=64 {
        // SAFETY: the kernel reads `ignore`. SIGKILL and SIGSTOP are refused.
        unsafe { syscall!(Sysno::rt_sigaction, signal, &raw const ignore, 0, SIGSET_SIZE).ok() };
    }
}

/// Sets a resource limit of this process, soft and hard.
pub fn limit(resource: u32, value: u64) {
    let limit = rlimit64 { rlim_cur: value, rlim_max: value };
    // SAFETY: the kernel reads `limit`.
    unsafe { syscall!(Sysno::prlimit64, 0, resource, &raw const limit, 0).ok() };
}

/// Mounts a file system that has no device.
pub fn mount(kind: &CStr, folder: &CStr) -> Result<usize, Errno> {
    // SAFETY: the kernel reads strings.
    unsafe { syscall!(Sysno::mount, kind.as_ptr(), folder.as_ptr(), kind.as_ptr(), 0, 0) }
}

/// What `uname -r` prints.
pub fn kernel_release() -> Text {
    // SAFETY: a new_utsname of zero bytes is valid: empty strings.
    let mut name: new_utsname = unsafe { zeroed() };
    // SAFETY: the kernel fills it in.
    unsafe { syscall!(Sysno::uname, &raw mut name).ok() };
    // Signed on some architectures, unsigned on others.
    let release = name.release.map(|character| character.to_ne_bytes()[0]);
    Text::new(CStr::from_bytes_until_nul(&release).unwrap_or_default().to_bytes())
}

/// A pipe: the end to read from, and the end to write to. Neither survives exec.
pub fn pipe() -> (File, File) {
    let mut files: [File; 2] = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    unsafe { syscall!(Sysno::pipe2, files.as_mut_ptr(), O_CLOEXEC) }.expect("the kernel has a pipe");
    (files[0], files[1])
}

/// Opens a file for reading.
pub fn open(path: &CStr) -> Result<File, Errno> {
    // SAFETY: the kernel reads a string.
    unsafe { syscall!(Sysno::openat, AT_FDCWD, path.as_ptr(), O_RDONLY | O_CLOEXEC) }.map(|file| file as File)
}

/// Makes `to` a name for the same file as `from`, one that survives exec.
pub fn duplicate(from: File, to: File) {
    // SAFETY: no memory is handed over.
    unsafe { syscall!(Sysno::dup3, from, to, 0).ok() };
}

/// Closes a file.
pub fn close(file: File) {
    // SAFETY: no memory is handed over.
    unsafe { syscall!(Sysno::close, file).ok() };
}

/// Reads. Returns how many bytes.
pub fn read(file: File, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes into the buffer.
    unsafe { syscall!(Sysno::read, file, buffer.as_mut_ptr(), buffer.len()) }
}

/// Reads entries of a folder. Returns how many bytes they take.
pub fn read_folder(file: File, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes into the buffer.
    unsafe { syscall!(Sysno::getdents64, file, buffer.as_mut_ptr(), buffer.len()) }
}

/// Writes everything, or gives up.
pub fn write_all(file: File, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads the bytes.
        match unsafe { syscall!(Sysno::write, file, bytes.as_ptr(), bytes.len()) } {
            Ok(count) => bytes = &bytes[count..],
            Err(_) => return,
        }
    }
}

/// Whether there is something to read in the file.
pub fn is_readable(file: File) -> bool {
    poll(file, POLLIN)
}

/// Whether the file takes a write without blocking.
pub fn is_writable(file: File) -> bool {
    poll(file, POLLOUT)
}

fn poll(file: File, events: u32) -> bool {
    let mut poll = pollfd { fd: file as c_int, events: events as _, revents: 0 };
    let at_once = __kernel_old_timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel reads and writes one pollfd and a timeout.
    unsafe { syscall!(Sysno::ppoll, &raw mut poll, 1, &raw const at_once, 0, SIGSET_SIZE).ok() };
    poll.revents & events as i16 != 0
}

/// The time since the machine was started, in seconds.
pub fn uptime() -> c_long {
    let mut time = __kernel_old_timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the time.
    unsafe { syscall!(Sysno::clock_gettime, CLOCK_MONOTONIC, &raw mut time).ok() };
    time.tv_sec
}

/// Sleeps for a millisecond, or a little longer.
pub fn nap() {
    let millisecond = __kernel_old_timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let no_mask: *const c_void = null();
    // SAFETY: the kernel reads and writes a timeout.
    unsafe { syscall!(Sysno::ppoll, 0, 0, &raw const millisecond, no_mask, SIGSET_SIZE).ok() };
}
