//! Passes the driver's link arguments: no libc, and a fixed address, because nobody would apply relocations.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // `cargo xtask` has rustc call the linker itself, `cargo build` the compiler driver.
    let arguments: &[&str] = match var("PAUSE_LINKER") {
        Ok(_) => &["-no-pie"],
        Err(_) => &["-nostartfiles", "-nostdlib", "-static", "-no-pie"],
    };
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
