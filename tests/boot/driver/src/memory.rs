//! The functions that the compiler takes for granted, and that libc would bring.
//!
//! Volatile, so that the compiler does not see in one of them the very function that it is.

use core::ffi::c_int;

/// Copies `count` bytes that don't overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller vouches for `count` bytes.
        unsafe { to.add(index).write_volatile(*from.add(index)) };
    }
    to
}

/// Copies `count` bytes that may overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for step in 0..count {
        let index = if to.cast_const() < from { step } else { count - 1 - step };
        // SAFETY: the caller vouches for `count` bytes.
        unsafe { to.add(index).write_volatile(*from.add(index)) };
    }
    to
}

/// Sets `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: c_int, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller vouches for `count` bytes.
        unsafe { to.add(index).write_volatile(value as u8) };
    }
    to
}

/// Compares `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> c_int {
    for index in 0..count {
        // SAFETY: the caller vouches for `count` bytes.
        let (left, right) = unsafe { (one.add(index).read_volatile(), other.add(index).read_volatile()) };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
    }
    0
}

/// Compares `count` bytes for equality.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> c_int {
    // SAFETY: the same contract.
    unsafe { memcmp(one, other, count) }
}

/// What would unwind the stack. `core` refers to it where it was built for programs that do; nobody calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
