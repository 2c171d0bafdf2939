//! The driver of `cargo xtask boot`: the machine's `/init`, which runs the contract of `/pause` on a real
//! kernel and prints a line for each row.
//!
//! Freestanding like the program itself, because std is hard to come by for some of the platforms; `_start`
//! is the program's own.

#![no_std]
#![no_main]
#![allow(clippy::result_large_err, reason = "there is no heap to put an error on")]

#[allow(unused, reason = "the driver takes `_start` and handles no signals")]
#[path = "../../../../src/arch/mod.rs"]
mod arch;
mod memory;
mod pause;
mod processes;
mod protocol;
mod rows;
mod sys;
mod text;

use crate::protocol::{CLOSING, FAILED, KERNEL, PASSED, RUN};
use crate::rows::{ON_THE_MACHINE, ROWS, Row};
use core::iter::from_fn;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use linux_raw_sys::auxvec::{AT_NULL, AT_PAGESZ};
use linux_raw_sys::general::SIGTERM;

/// The kernel's page size in bytes.
static PAGE_SIZE: AtomicUsize = AtomicUsize::new(0);

/// Prints a line.
macro_rules! say {
    ($($argument:tt)*) => {{
        $crate::sys::write_all(1, $crate::text::text!($($argument)*).bytes());
        // Also where the text is cut off.
        $crate::sys::write_all(1, b"\n");
    }};
}

/// Where `_start` leads.
///
/// # Safety
/// `argc` and `argv` are what the kernel laid out at the top of the stack.
unsafe extern "C" fn main(argc: usize, argv: *const usize) -> ! {
    // SAFETY: promised by the caller.
    let page_size = unsafe { auxiliary_value(argc, argv, AT_PAGESZ as usize) }.unwrap_or_default();
    PAGE_SIZE.store(page_size, Relaxed);
    if let Err(error) = sys::mount(c"proc", c"/proc") {
        say!("{FAILED}the driver can mount /proc: {error}");
        sys::exit(1);
    }
    // What came before may have left a line half finished.
    say!("");
    say!("{KERNEL}{}, {page_size} byte pages", sys::kernel_release());

    let (turn, announcement) = sys::pipe();
    if sys::fork() == 0 {
        examine(announcement);
    }
    sys::close(announcement);
    // PID 1 waits until it is its turn, or until the other one is gone.
    if sys::read(turn, &mut [0]) != Ok(1) {
        say!("{FAILED}the driver runs to its end: it was killed");
        sys::exit(1);
    }
    let error = sys::execute(c"/pause", &[c"/pause"]);
    say!("{FAILED}the machine's PID 1 becomes pause: {error}");
    sys::exit(1)
}

/// Everything but PID 1's part: runs all rows, and ends the machine.
fn examine(announcement: sys::File) -> ! {
    let mut failed = run(ROWS);
    sys::write_all(announcement, b"!");
    failed += run(ON_THE_MACHINE);
    say!("{CLOSING}{} passed, {failed} failed", ROWS.len() + ON_THE_MACHINE.len() - failed);
    sys::kill(1, SIGTERM).ok();
    // Whatever comes now, comes from PID 1.
    loop {
        sys::nap();
    }
}

/// Runs these rows. Returns how many failed.
fn run(rows: &[Row]) -> usize {
    let fails = |row: &&Row| {
        say!("{RUN}{}", row.sentence);
        match (row.run)() {
            Ok(()) => say!("{PASSED}{}", row.sentence),
            Err(detail) => {
                say!("{FAILED}{}: {detail}", row.sentence);
                return true;
            }
        }
        false
    };
    rows.iter().filter(fails).count()
}

/// A value of the auxiliary vector, which follows arguments and environment on the initial stack.
///
/// # Safety
/// `argc` and `argv` are what the kernel laid out at the top of the stack.
unsafe fn auxiliary_value(argc: usize, argv: *const usize, key: usize) -> Option<usize> {
    let mut position = argv;
    let mut next = || {
        // SAFETY: the vector ends with AT_NULL, behind which nothing is read.
        unsafe {
            let word = *position;
            position = position.add(1);
            word
        }
    };
    for _ in 0..argc + 1 {
        next(); // the arguments and the null behind them
    }
    while next() != 0 {} // the environment
    from_fn(|| Some((next(), next())))
        .take_while(|pair| pair.0 != AT_NULL as usize)
        .find(|pair| pair.0 == key)
        .map(|pair| pair.1)
}

/// A panic of the driver is a failure of its own kind.
#[panic_handler]
fn panic(information: &core::panic::PanicInfo) -> ! {
    say!("{FAILED}the driver does not panic: {information}");
    sys::exit(1)
}
