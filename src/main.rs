//! The first process of a Kubernetes pod: it holds the pod's namespaces open, reaps the orphans that
//! the pod's containers leave behind, and exits on SIGINT and SIGTERM.
//!
//! The original is Kubernetes' `build/pause/linux/pause.c`. Its messages and its exit statuses are an
//! interface and are kept to the letter.

#![no_std]
#![no_main]

mod arch;
#[macro_use]
mod message;
mod sys;

use core::ffi::{c_char, c_int};
use linux_raw_sys::general::{SIGCHLD, SIGINT, SIGTERM, STDERR_FILENO, STDOUT_FILENO};
use message::{Message, say};

messages! {
    VERSION: STDOUT_FILENO, concat!("pause ", env!("CARGO_PKG_VERSION"), "\n");
    WARNING: STDERR_FILENO, "Warning: pause should be the first process\n";
    INTERRUPT: STDERR_FILENO, "Shutting down, got signal: Interrupt\n";
    TERMINATED: STDERR_FILENO, "Shutting down, got signal: Terminated\n";
}

/// The common continuation of every architecture's `_start`.
///
/// # Safety
/// `argc` and `argv` are the kernel's, from the top of the stack, and nothing else uses them.
unsafe extern "C" fn main(argc: usize, argv: *mut *const c_char) -> ! {
    // SAFETY: promised by the caller.
    sys::exit(unsafe { run(argc, argv) })
}

/// Runs until a signal ends the program. Returns the exit status if it ends otherwise.
///
/// # Safety
/// The same as for `main`.
unsafe fn run(argc: usize, argv: *mut *const c_char) -> usize {
    // argv[0] is not an argument, and may not even be there. Backwards, because that is shorter.
    for index in (1..argc).rev() {
        // SAFETY: the kernel laid out `argc` pointers to strings.
        if unsafe { asks_for_version(*argv.add(index)) } {
            say(&VERSION);
            return 0;
        }
    }

    // The arguments aren't read any more, so this takes their place. A stack frame would be an instruction
    // and 9 bytes more on amd64.
    // SAFETY: the stack is writable, and the environment and the auxiliary vector behind argv leave room.
    let action = unsafe {
        let place = argv.cast();
        *place = sys::action(handle);
        &*place
    };
    // SIGTERM comes first: until its handler is there, PID 1 loses the signal.
    if sys::sigaction(SIGTERM, action) != 0 {
        return 2;
    }
    if sys::sigaction(SIGINT, action) != 0 {
        return 1;
    }
    if sys::sigaction(SIGCHLD, action) != 0 {
        return 3;
    }
    // Both of these survive exec: a mask that keeps the handlers from running, and children that died
    // before there was a handler for SIGCHLD.
    sys::set_signal_mask(&action.sa_mask);
    handle(SIGCHLD as c_int);

    if sys::getpid() != 1 {
        say(&WARNING);
    }
    loop {
        sys::pause();
    }
}

/// Whether an argument is `-v`, in either case.
///
/// # Safety
/// `argument` points to a string that the kernel laid out at the top of the stack.
unsafe fn asks_for_version(argument: *const c_char) -> bool {
    // All at once, which is 9 bytes shorter on amd64 than one after the other.
    // SAFETY: at least three readable bytes follow the last string. Linux puts the name of the program's file and a
    // word of zeros there: `__bprm_mm_init` and `do_execveat_common` in
    // <https://github.com/torvalds/linux/blob/v6.12/fs/exec.c>. Others put more; gVisor padding, 16 random bytes and
    // the name.
    let [first, second, third, _] = unsafe { argument.cast::<[u8; 4]>().read() };
    let word = [first, second, third, 0];
    word == *b"-v\0\0" || word == *b"-V\0\0"
}

/// Handles all three signals, on top of whatever the program was doing: sleeping, reaping or writing.
extern "C" fn handle(signal: c_int) {
    match signal as u32 {
        SIGCHLD => return reap(),
        SIGINT => say(&INTERRUPT),
        _ => say(&TERMINATED),
    }
    sys::exit(0)
}

/// Reaps every child that has died: one SIGCHLD can stand for many.
fn reap() {
    while sys::reap_one() {}
}

/// Nothing in the program can panic. If something could, this would be reached, and the link would fail
/// because of an undefined symbol.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe extern "C" {
        safe fn pause_must_not_contain_a_panic() -> !;
    }
    pause_must_not_contain_a_panic()
}
