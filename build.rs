//! Passes the program's link arguments, and stops the build if the compiler's flags aren't the repository's.

use std::env::{split_paths, var, var_os};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[path = "xtask/src/flags.rs"]
mod flags;

/// The compiler's flags. Without them the program is wrong, or grows past its budget.
const FLAGS: &str = ".cargo/config.toml";

/// If set, the file keeps its symbols, and the sections that hold them.
const SYMBOLS: &str = "PAUSE_SYMBOLS";

/// The arguments that would remove those.
const STRIPPING: [&str; 3] = ["--strip-all", "-znosectionheader", "--orphan-handling=error"];

/// The linker that `cargo xtask` passes to rustc. If cargo had it, it would also link build scripts for the same target.
const LINKER: &str = "PAUSE_LINKER";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=linker.ld");
    println!("cargo::rerun-if-changed={FLAGS}");
    println!("cargo::rerun-if-env-changed={SYMBOLS}");
    println!("cargo::rerun-if-env-changed={LINKER}");

    if let Some(difference) = difference_of_flags() {
        return stop(&format!(
            "rustc's flags are other than in {FLAGS}: {difference}; look for RUSTFLAGS, and for rustflags in the \
             config.toml of parent directories and of cargo's home"
        ));
    }
    if environment("OPT_LEVEL") != "z" {
        return stop("the profile's opt-level is not \"z\": take the profiles of this repository's Cargo.toml");
    }

    let keep_symbols = var(SYMBOLS).is_ok();
    let arguments = flags::LINK.into_iter().filter(|argument| !(keep_symbols && STRIPPING.contains(argument)));
    let pass = |argument: &str| println!("cargo::rustc-link-arg-bins={argument}");
    let target = environment("TARGET");
    if var(LINKER).or(var("RUSTC_LINKER")).is_ok_and(|linker| linker.contains("lld")) {
        arguments.for_each(pass);
    } else if environment("HOST") == target {
        // The C compiler calls the linker, as for any program: lld, since others leave section tables and padding.
        let Some(lld) = lld(&target) else {
            return stop("lld 20 or newer has to link the program: install the package lld (Debian 12: lld-22)");
        };
        let lld = format!("-B{}", lld.display());
        ["-nostartfiles", "-nostdlib", "-static-pie", "-fuse-ld=lld", &lld].into_iter().for_each(pass);
        arguments.for_each(|argument| pass(&format!("-Wl,{argument}")));
    } else {
        let variable = target.to_uppercase().replace('-', "_");
        stop(&format!(
            "no linker for {target}: `cargo xtask build` finds one, CARGO_TARGET_{variable}_LINKER sets one"
        ));
    }
}

/// Finds the directory of `ld.lld`: the toolchain's, or that of the newest one in `PATH`. A package may add the version
/// to the name in `PATH`, but not in LLVM's own directory, to which that leads.
fn lld(target: &str) -> Option<PathBuf> {
    let own = PathBuf::from(format!("{}/lib/rustlib/{target}/bin/gcc-ld", sysroot()));
    if own.exists() {
        return Some(own);
    }
    let path = var_os("PATH")?;
    let files = split_paths(&path).flat_map(fs::read_dir).flatten().flatten().map(|file| file.path());
    let installed = files.filter_map(|file| {
        file.file_name()?.to_str()?.strip_prefix("ld.lld")?;
        // `Debian LLD 22.1.8 (compatible with GNU linkers)`
        let output = String::from_utf8(Command::new(&file).arg("--version").output().ok()?.stdout).ok()?;
        let version: u32 = output.split_once("LLD ")?.1.split_once('.')?.0.parse().ok()?;
        Some((version, file.canonicalize().ok()?.parent()?.to_owned()))
    });
    // Older ones can't leave out the section table.
    installed.filter(|(version, directory)| *version >= 20 && directory.join("ld.lld").exists()).max().map(|(_, it)| it)
}

/// Compares the compiler's flags with the repository's.
fn difference_of_flags() -> Option<String> {
    let config = fs::read_to_string(FLAGS).expect("a file of this repository");
    let expected = flags::parse(&config, &environment("CARGO_CFG_TARGET_ARCH"));
    let given = environment("CARGO_ENCODED_RUSTFLAGS");
    let given: Vec<_> = given.split('\x1f').filter(|flag| !flag.is_empty()).map(String::from).collect();
    let added = given.iter().filter(|flag| !expected.contains(flag)).map(|flag| format!("+ {flag}"));
    let lost = expected.iter().filter(|flag| !given.contains(flag)).map(|flag| format!("- {flag}"));
    let differences: Vec<_> = added.chain(lost).collect();
    (!differences.is_empty()).then(|| differences.join(", "))
}

fn environment(name: &str) -> String {
    var(name).unwrap_or_else(|_| panic!("cargo sets {name} for every build script"))
}

fn sysroot() -> String {
    let output = Command::new(environment("RUSTC")).args(["--print", "sysroot"]).output();
    String::from_utf8(output.expect("cargo names a compiler that runs").stdout).expect("a path in UTF-8").trim().into()
}

/// Stops the build with a message.
fn stop(message: &str) {
    println!("cargo::error={message}");
}
