//! Functions that the compiler expects from libc.
//!
//! Volatile accesses keep the compiler from turning a loop into a call of the function that contains it.

use core::ffi::c_int;

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for step in 0..count {
        let index = if to.cast_const() < from { step } else { count - 1 - step };
        // SAFETY: the caller passes `count` bytes each.
        unsafe { to.add(index).write_volatile(*from.add(index)) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise is stronger.
    unsafe { memmove(to, from, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: c_int, count: usize) -> *mut u8 {
    for index in 0..count {
        // SAFETY: the caller passes `count` bytes.
        unsafe { to.add(index).write_volatile(value as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> c_int {
    // SAFETY: the caller passes `count` bytes each.
    let pair = |index| unsafe { (one.add(index).read_volatile(), other.add(index).read_volatile()) };
    let mut pairs = (0..count).map(pair);
    pairs.find(|(left, right)| left != right).map_or(0, |(left, right)| c_int::from(left) - c_int::from(right))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, count: usize) -> c_int {
    // SAFETY: the same contract.
    unsafe { memcmp(one, other, count) }
}

/// If `core` was built for programs that unwind, it refers to this. It is never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
