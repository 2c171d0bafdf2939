//! A clock twelve years ahead, for programs that are started with this library in `LD_PRELOAD`.
//!
//! Debian's `faketime` hangs rustc, whose allocator asks for the time while faketime, which allocates, is starting. A time
//! namespace shifts only the clocks that count from the start of the machine.

use std::ffi::{c_char, c_int, c_long, c_void};

/// `timespec`.
type Time = [c_long; 2];

const CLOCK_REALTIME: c_int = 0;
const CLOCK_REALTIME_COARSE: c_int = 5;
const AHEAD: c_long = (12 * 365 + 3) * 24 * 60 * 60;
const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;

unsafe extern "C" {
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// # Safety
/// `now` has room for a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, now: *mut Time) -> c_int {
    // SAFETY: The C library has this function, with this type.
    let real: unsafe extern "C" fn(c_int, *mut Time) -> c_int =
        unsafe { std::mem::transmute(dlsym(RTLD_NEXT, c"clock_gettime".as_ptr())) };
    // SAFETY: There is room.
    let result = unsafe { real(clock, now) };
    if result == 0 && matches!(clock, CLOCK_REALTIME | CLOCK_REALTIME_COARSE) {
        // SAFETY: It has just been written.
        unsafe { (*now)[0] += AHEAD };
    }
    result
}
