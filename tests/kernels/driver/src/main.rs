//! The driver of `cargo xtask kernels`: the machine's `/init`. It runs the cases on `/pause` and prints their results.
//!
//! Freestanding like the program, because some of the platforms have no std; `_start` is the program's.

#![no_std]
#![no_main]
#![allow(clippy::result_large_err, reason = "there is no heap to put an error on")]

#[allow(unused, reason = "the driver uses `_start` and handles no signals")]
#[path = "../../../../src/arch/mod.rs"]
mod arch;
mod cases;
mod pause;
mod proc;
mod protocol;
mod runtime;
mod sys;

use crate::cases::{CASES, CASES_OF_SIGNALS, CASES_OF_THE_MACHINE, Case};
use crate::protocol::{END, FAILED, KERNEL, PASSED, RUN};
use arrayvec::ArrayString;
use linux_raw_sys::general::SIGTERM;

/// Text; what doesn't fit is cut off.
type Text = ArrayString<400>;
type Result<Value = ()> = core::result::Result<Value, Text>;

macro_rules! text {
    ($($argument:tt)*) => {{
        let mut text = $crate::Text::new();
        let _ = core::fmt::Write::write_fmt(&mut text, format_args!($($argument)*));
        text
    }};
}
pub(crate) use text;

macro_rules! outln {
    ($($argument:tt)*) => {{
        $crate::sys::write_all(1, $crate::text!($($argument)*).as_bytes());
        // Separate, because a long text is cut off.
        $crate::sys::write_all(1, b"\n");
    }};
}

/// Called by `_start`.
unsafe extern "C" fn main(_argc: usize, _argv: *const usize) -> ! {
    if let Err(error) = sys::mount(c"proc", c"/proc") {
        outln!("{FAILED}the driver mounts /proc: {error}");
        sys::exit(1);
    }
    // The kernel may have left a line unfinished.
    outln!("");
    let release = proc::field(text!("/proc/sys/kernel/osrelease\0"), "");
    outln!("{KERNEL}{release}, {} KiB pages", proc::page_size_in_kib());

    let (turn, announcement) = sys::pipe();
    if sys::fork(0) == 0 {
        run_all(announcement);
    }
    sys::close(announcement);
    // The kernel reaps orphans meanwhile; and pause has to undo it.
    sys::block_and_ignore_all_signals();
    // Blocks until the first cases have been run, or the other process has ended.
    if sys::read(turn, &mut [0]) != Ok(1) {
        outln!("{FAILED}the driver runs all cases: it was killed");
        sys::exit(1);
    }
    outln!("{FAILED}the machine's PID 1 becomes pause: {}", sys::execute(c"/pause", &[c"/pause"]));
    sys::exit(1)
}

/// Runs all cases, has PID 1 become pause in between, and ends the machine.
fn run_all(announcement: sys::File) -> ! {
    let signals = if sys::open(c"/inject").is_ok() { CASES_OF_SIGNALS } else { &[] };
    let mut failed = run(CASES) + run(signals);
    sys::write_all(announcement, b"!");
    failed += run(CASES_OF_THE_MACHINE);
    let count = CASES.len() + signals.len() + CASES_OF_THE_MACHINE.len();
    outln!("{END}{} passed, {failed} failed", count - failed);
    sys::kill(1, SIGTERM);
    loop {
        sys::nap();
    }
}

fn run(cases: &[Case]) -> usize {
    let fails = |(name, run): &&Case| {
        outln!("{RUN}{name}");
        let result = run();
        match &result {
            Ok(()) => outln!("{PASSED}{name}"),
            Err(detail) => outln!("{FAILED}{name}: {detail}"),
        }
        result.is_err()
    };
    cases.iter().filter(fails).count()
}

#[panic_handler]
fn panic(information: &core::panic::PanicInfo) -> ! {
    outln!("{FAILED}the driver doesn't panic: {information}");
    sys::exit(1)
}
