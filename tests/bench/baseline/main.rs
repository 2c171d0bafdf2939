//! Assembles `baseline.s`. `cargo xtask bench` calls the compiler with this file.

#![no_std]
#![no_main]

core::arch::global_asm!(
    concat!(".macro version\n.ascii \"pause ", env!("CARGO_PKG_VERSION"), "\\n\"\n.endm"),
    include_str!("baseline.s")
);

/// Never called: there is no Rust code that could panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
