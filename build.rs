//! Passes the program's link arguments, and stops the build if the compiler's flags are not the expected ones.

use std::env::var;
use std::fs;
use std::path::Path;
use std::process::Command;

#[path = "xtask/src/flags.rs"]
mod flags;

/// The expected flags. Without them the program is wrong, or grows past its budget.
const FLAGS: &str = ".cargo/config.toml";

/// What the linker is told, and why.
const LINK: [&str; 6] = [
    // Position-independent, so that the kernel chooses the address…
    "-pie",
    // …and starts the program itself: there is no dynamic linker to ask for.
    "--no-dynamic-linker",
    // Nothing is relocated at run time, so nothing needs protection afterwards: no PT_GNU_RELRO.
    "-znorelro",
    // A section table serves linkers and debuggers. The kernel reads program headers only.
    "-znosectionheader",
    // A build ID names debug information, of which there is none.
    "--build-id=none",
    // A section that linker.ld has no place for would grow a segment that nobody asked for.
    "--orphan-handling=error",
];

/// If set, the file keeps its symbols, and the sections that hold them.
const SYMBOLS: &str = "PAUSE_SYMBOLS";

/// The flags that would remove those.
const STRIPPING: [&str; 2] = ["-znosectionheader", "--orphan-handling=error"];

/// The linker that rustc calls itself, if `cargo xtask` has chosen one. A linker that cargo were told of would link the
/// build scripts of the same target, too.
const LINKER: &str = "PAUSE_LINKER";

/// What puts the program together. The compiler and its linker run in the workspace's root, so this is all it takes, and
/// it is the same for every checkout: cargo takes over what this script has said in another one that shares its target
/// folder. `path_args` in <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/util/workspace.rs>
const SCRIPT: &str = "linker.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SCRIPT}");
    println!("cargo::rerun-if-env-changed={SYMBOLS}");
    println!("cargo::rerun-if-env-changed={LINKER}");
    println!("cargo::rerun-if-changed={FLAGS}");

    if let Some(difference) = difference_of_flags() {
        return stop(&format!(
            "rustc's flags are other than in {FLAGS}: {difference}; look for RUSTFLAGS, and for rustflags in the \
             config.toml of parent directories and of cargo's home"
        ));
    }
    if environment("OPT_LEVEL") != "z" {
        return stop("the profile's opt-level is not \"z\": take the profiles of this repository's Cargo.toml");
    }

    // linker.ld fails where the program is larger than this.
    let budget = format!("--defsym=BUDGET={}", contract::BINARY_BUDGET);
    let keep_symbols = var(SYMBOLS).is_ok();
    let flags = LINK.into_iter().filter(|flag| !(keep_symbols && STRIPPING.contains(flag)));
    let arguments = || flags.clone().chain([budget.as_str()]);

    let target = environment("TARGET");
    if var(LINKER).or(var("RUSTC_LINKER")).is_ok_and(|linker| linker.contains("lld")) {
        println!("cargo::rustc-link-arg-bins=-T{SCRIPT}");
        for argument in arguments() {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    } else if environment("HOST") == target {
        // The compiler driver calls the linker, as for any program, but adds nothing of its own. The
        // toolchain's own lld does the work: other linkers leave section tables and padding.
        let lld = format!("{}/lib/rustlib/{target}/bin/gcc-ld", sysroot());
        if !Path::new(&lld).exists() {
            return stop(
                "this toolchain has no rust-lld, which links the program: take rustup's, or `cargo xtask build`",
            );
        }
        for argument in ["-nostartfiles", "-nostdlib", "-static-pie", "-fuse-ld=lld", &format!("-B{lld}")] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
        println!("cargo::rustc-link-arg-bins=-T{SCRIPT}");
        for argument in arguments() {
            println!("cargo::rustc-link-arg-bins=-Wl,{argument}");
        }
    } else {
        stop(&format!("no linker for {target} is set: `cargo xtask build` finds one for every platform"));
    }
}

/// Compares the compiler's flags with the expected ones.
fn difference_of_flags() -> Option<String> {
    let config = fs::read_to_string(FLAGS).expect("a file of this repository");
    let expected = flags::parse(&config, &environment("CARGO_CFG_TARGET_ARCH"));
    let given = environment("CARGO_ENCODED_RUSTFLAGS");
    let given: Vec<_> = given.split('\x1f').filter(|flag| !flag.is_empty()).collect();
    let added = given.iter().filter(|flag| !expected.iter().any(|expected| expected == *flag));
    let lost = expected.iter().filter(|flag| !given.contains(&flag.as_str()));
    let differences: Vec<_> =
        added.map(|flag| format!("+ {flag}")).chain(lost.map(|flag| format!("- {flag}"))).collect();
    (!differences.is_empty()).then(|| differences.join(", "))
}

fn environment(name: &str) -> String {
    var(name).unwrap_or_else(|_| panic!("cargo sets {name} for every build script"))
}

/// Path of the toolchain.
fn sysroot() -> String {
    let output = Command::new(environment("RUSTC")).args(["--print", "sysroot"]).output();
    String::from_utf8(output.expect("cargo names a compiler that runs").stdout).expect("a path in UTF-8").trim().into()
}

/// Ends the build with one sentence.
fn stop(sentence: &str) {
    println!("cargo::error={sentence}");
}
