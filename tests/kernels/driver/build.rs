//! Passes the driver's link arguments: no libc, and a fixed address, because nothing applies relocations.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // With `cargo xtask`, rustc calls the linker itself; with `cargo build`, it calls the compiler driver.
    let arguments: &[&str] = match std::env::var("PAUSE_LINKER") {
        Ok(_) => &["-no-pie"],
        Err(_) => &["-nostartfiles", "-nostdlib", "-static", "-no-pie"],
    };
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
