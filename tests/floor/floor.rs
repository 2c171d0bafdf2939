//! The floor: the program's whole contract in assembly for x86-64. `cargo xtask bench` measures how far from it
//! the program is.
//!
//! `cargo xtask test --floor` runs the table of cases on it.

#![no_std]
#![no_main]

core::arch::global_asm!(
    concat!(".macro version\n.ascii \"pause ", env!("CARGO_PKG_VERSION"), "\\n\"\n.endm"),
    include_str!("floor.s")
);

/// Nothing in the file can panic: it has no Rust.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
