//! The system calls that the program makes: a thin, typed function for each, the same on every
//! architecture.

use crate::arch::{Contract, Port};
use core::ffi::c_int;
use core::mem::zeroed;
use core::ptr::null;
use linux_raw_sys::general::{
    __kernel_timespec, SA_NOCLDSTOP, SIG_SETMASK, WNOHANG, kernel_sigaction, kernel_sigset_t, pollfd, rusage,
};
use syscalls::{Sysno, raw_syscall};

/// The size of a signal set, for rt_sigaction and rt_sigprocmask: 8 bytes, for 64 signals.
/// `rt_sigaction` in <https://github.com/torvalds/linux/blob/v6.12/kernel/signal.c>
const SIGSET_SIZE: usize = size_of::<kernel_sigset_t>();

/// The `pid` of wait4 that stands for any child.
const ANY_CHILD: usize = usize::MAX;

/// The action for a signal: call `handler`, but not for children that merely stop.
pub fn action(handler: extern "C" fn(c_int)) -> kernel_sigaction {
    // SAFETY: a kernel_sigaction of zero bytes is valid: no handler, no flags, nothing masked.
    let mut action: kernel_sigaction = unsafe { zeroed() };
    action.sa_handler_kernel = Some(handler);
    action.sa_flags = SA_NOCLDSTOP.into();
    Port::set_restorer(&mut action);
    action
}

/// Installs `action` for `signal`. Returns 0, or a negative error.
pub fn sigaction(signal: u32, action: &kernel_sigaction) -> c_int {
    let (new, old) = (&raw const *action, null::<kernel_sigaction>());
    // SAFETY: the kernel reads `action`, and doesn't write the old one.
    unsafe { raw_syscall!(Sysno::rt_sigaction, signal, new, old, SIGSET_SIZE) as c_int }
}

/// Blocks the signals in `mask` and no others. Nothing could be done about a failure.
pub fn set_signal_mask(mask: &kernel_sigset_t) {
    let (new, old) = (&raw const *mask, null::<kernel_sigset_t>());
    // SAFETY: the kernel reads `mask`, and doesn't write the old one.
    unsafe { raw_syscall!(Sysno::rt_sigprocmask, SIG_SETMASK, new, old, SIGSET_SIZE) };
}

/// Reaps one child that has died, if there is one. Returns whether there was.
pub fn reap_one() -> bool {
    // SAFETY: without pointers for a status and for resource usage, the kernel writes nothing.
    let pid = unsafe { raw_syscall!(Sysno::wait4, ANY_CHILD, null::<c_int>(), WNOHANG, null::<rusage>()) };
    pid as c_int > 0
}

/// The number of this process in its PID namespace.
pub fn getpid() -> c_int {
    // SAFETY: there is nothing to get wrong.
    unsafe { raw_syscall!(Sysno::getpid) as c_int }
}

/// Sets `poll.revents` to the events that the file is ready for now. A call that fails leaves it unchanged.
pub fn poll(poll: &mut pollfd) {
    let at_once = __kernel_timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel reads and writes one pollfd, and leaves a timeout of zero alone.
    unsafe {
        match Port::POLL {
            Some(number) => raw_syscall!(number, &raw mut *poll, 1, 0),
            None => raw_syscall!(Sysno::ppoll, &raw mut *poll, 1, &raw const at_once, null::<kernel_sigset_t>()),
        }
    };
}

/// Writes `text` to `file`. A failure is ignored.
///
/// # Safety
/// `text` points to `length` bytes.
pub unsafe fn write(file: c_int, text: *const u8, length: usize) {
    // Unsigned, because to extend a sign takes a byte more on amd64.
    // SAFETY: promised by the caller.
    unsafe { raw_syscall!(Sysno::write, file as u32, text, length) };
}

/// Sleeps until a signal has been handled.
pub fn pause() {
    // SAFETY: no memory is handed over; a null timeout is endless.
    unsafe {
        match Port::PAUSE {
            Some(number) => raw_syscall!(number),
            None => {
                raw_syscall!(Sysno::ppoll, null::<pollfd>(), 0, null::<__kernel_timespec>(), null::<kernel_sigset_t>())
            }
        }
    };
}

/// Ends the program. Inline, because that is shorter: 12 bytes on amd64.
#[inline(always)]
pub fn exit(status: usize) -> ! {
    loop {
        // SAFETY: the call does not return, unless a filter makes it fail; then it is tried again.
        unsafe { raw_syscall!(Sysno::exit, status) };
    }
}
