//! The first process of a Kubernetes pod: it holds the pod's namespaces open, reaps the orphans that
//! the pod's containers leave behind, and goes when it is told to.
//!
//! The original is Kubernetes' `build/pause/linux/pause.c`. Its messages and its exit statuses are an
//! interface and are kept to the letter.

#![no_std]
#![no_main]

mod arch;
mod sys;

use core::ffi::{c_char, c_int};
use linux_raw_sys::general::{SIGCHLD, SIGINT, SIGTERM, STDERR_FILENO, STDOUT_FILENO};

const VERSION: &str = concat!("pause ", env!("CARGO_PKG_VERSION"), "\n");
const WARNING: &str = "Warning: pause should be the first process\n";
const INTERRUPT: &str = "Shutting down, got signal: Interrupt\n";
const TERMINATED: &str = "Shutting down, got signal: Terminated\n";

/// The signals that are handled, and the exit status where one can't be. SIGTERM comes first: until its
/// handler is there, PID 1 loses the signal.
static HANDLED: [(u8, u8); 3] = [(SIGTERM as u8, 2), (SIGINT as u8, 1), (SIGCHLD as u8, 3)];

/// Where every architecture's `_start` leads.
///
/// # Safety
/// `stack` is the stack pointer as the kernel left it: it points to the number of arguments, which
/// precedes the arguments.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: promised by the caller.
    sys::exit(unsafe { run(stack) })
}

/// Runs until a signal ends the program. Returns the exit status if it doesn't come to that.
///
/// # Safety
/// The same as for `main`.
unsafe fn run(stack: *const usize) -> usize {
    // SAFETY: promised by the caller.
    let (argc, argv) = unsafe { (*stack, stack.add(1).cast::<*const c_char>()) };
    // argv[0] is not an argument, and may not even be there. Backwards, because that is shorter.
    for index in (1..argc).rev() {
        // SAFETY: the kernel laid out `argc` pointers to strings.
        if unsafe { asks_for_version(*argv.add(index)) } {
            say(STDOUT_FILENO, VERSION);
            return 0;
        }
    }

    let action = sys::action(handle);
    for &(signal, status) in &HANDLED {
        if sys::sigaction(signal, &action) != 0 {
            return status.into();
        }
    }
    // Both of these survive exec: a mask that keeps the handlers from running, and children that died
    // before there was a handler for SIGCHLD.
    sys::set_signal_mask(&action.sa_mask);
    handle(SIGCHLD as c_int);

    if sys::getpid() != 1 {
        say(STDERR_FILENO, WARNING);
    }
    loop {
        sys::pause();
    }
}

/// Whether an argument is `-v`, in either case.
///
/// # Safety
/// `argument` points to a NUL-terminated string.
unsafe fn asks_for_version(argument: *const c_char) -> bool {
    let argument: *const u8 = argument.cast();
    // SAFETY: each byte is read only if the one before it is not the end of the string.
    unsafe { *argument == b'-' && *argument.add(1) | 0x20 == b'v' && *argument.add(2) == 0 }
}

/// Handles all three signals, on top of whatever the program was doing: sleeping, reaping or writing.
extern "C" fn handle(signal: c_int) {
    let message = match signal as u32 {
        SIGCHLD => return reap(),
        SIGINT => INTERRUPT,
        _ => TERMINATED,
    };
    say(STDERR_FILENO, message);
    sys::exit(0)
}

/// Reaps every child that has died: one SIGCHLD can stand for many.
fn reap() {
    while sys::reap_one() {}
}

/// Writes a message, or drops it where the reader is slow or gone: it must neither block nor kill the
/// process that holds the pod together.
fn say(file: u32, message: &str) {
    if sys::is_writable(file) {
        sys::write(file, message);
    }
}

/// Nothing in the program can panic. If something could, this would be reached, and the link would fail
/// for want of a symbol that exists nowhere.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe extern "C" {
        safe fn pause_must_not_contain_a_panic() -> !;
    }
    pause_must_not_contain_a_panic()
}
