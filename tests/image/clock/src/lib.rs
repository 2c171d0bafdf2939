//! A clock years ahead, for programs that are started with this library in `LD_PRELOAD`.
//!
//! Debian's `faketime` does as much for most programs. The compiler hangs under it: its allocator asks for the time while
//! it starts, `faketime` then asks the dynamic linker for a function that is missing, and that allocates. A time namespace
//! shifts only the clocks that count from the start of the machine.

use nix::libc::{
    CLOCK_REALTIME, CLOCK_REALTIME_COARSE, SYS_clock_gettime, c_int, clockid_t, suseconds_t, syscall, time_t, timespec,
    timeval,
};
use std::ffi::c_void;

/// How far ahead, in seconds: twelve years, three of them leap years.
const AHEAD: time_t = (12 * 365 + 3) * 24 * 60 * 60;

/// Instead of the C library's.
///
/// # Safety
/// `now` has room for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, now: *mut timespec) -> c_int {
    // SAFETY: The kernel writes to `now` alone, which has room.
    let result = unsafe { syscall(SYS_clock_gettime, clock, now) };
    if result == 0 && matches!(clock, CLOCK_REALTIME | CLOCK_REALTIME_COARSE) {
        // SAFETY: The kernel has just written it.
        unsafe { (*now).tv_sec += AHEAD };
    }
    result as c_int
}

/// Instead of the C library's.
///
/// # Safety
/// `now` has room for a time. Nobody has asked for a time zone here in this century.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gettimeofday(now: *mut timeval, _zone: *mut c_void) -> c_int {
    let time = realtime();
    // SAFETY: It has room.
    unsafe { *now = timeval { tv_sec: time.tv_sec, tv_usec: time.tv_nsec as suseconds_t / 1000 } };
    0
}

/// Instead of the C library's.
///
/// # Safety
/// `now` is null or has room for a number of seconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn time(now: *mut time_t) -> time_t {
    let seconds = realtime().tv_sec;
    if !now.is_null() {
        // SAFETY: It has room.
        unsafe { *now = seconds };
    }
    seconds
}

fn realtime() -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: It has room. This clock can always be read.
    unsafe { clock_gettime(CLOCK_REALTIME, &mut now) };
    now
}
