//! Passes the driver's link arguments: no libc, and a fixed address, because nobody would apply relocations.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // For the machine's own platform the compiler driver calls the linker, elsewhere rustc itself does.
    let arguments: &[&str] = match var("HOST") == var("TARGET") {
        true => &["-nostartfiles", "-nostdlib", "-static", "-no-pie"],
        false => &["-no-pie"],
    };
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
