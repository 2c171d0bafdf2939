//! Passes the program's link arguments, and stops the build where something that it needs is missing.

use std::env::var;
use std::process::Command;

/// The flags of `.cargo/config.toml` without which the program is wrong or grows past its budget, and the
/// architecture that needs each; none stands for all.
const NEEDED: [(&str, &str); 6] = [
    ("", "-Cllvm-args=-disable-machine-licm"),
    ("x86_64", "-Cno-redzone=yes"),
    ("powerpc64", "-Cllvm-args=-disable-ppc-ctrloops"),
    ("powerpc64", "-Cllvm-args=-disable-ppc-instr-form-prep"),
    ("powerpc64", "-Cllvm-args=-enable-global-merge=0"),
    ("loongarch64", "-Ctarget-feature=-lsx"),
];

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

/// Where set, the linker writes to this file what it puts where.
const LINK_MAP: &str = "PAUSE_LINK_MAP";

/// Where set, the toolchain whose linker links: a compiler from elsewhere has none.
const TOOLCHAIN: &str = "PAUSE_TOOLCHAIN";

/// What puts the program together. The compiler and its linker run in the workspace's root, so this is all it takes, and
/// it is the same for every checkout: cargo takes over what this script has said in another one that shares its target
/// folder. `path_args` in <https://github.com/rust-lang/cargo/blob/0.96.0/src/cargo/util/workspace.rs>
const SCRIPT: &str = "linker.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SCRIPT}");
    println!("cargo::rerun-if-env-changed={LINK_MAP}");
    println!("cargo::rerun-if-env-changed={TOOLCHAIN}");

    let (architecture, flags) = (environment("CARGO_CFG_TARGET_ARCH"), environment("CARGO_ENCODED_RUSTFLAGS"));
    let is_lost = |&&(needs_it, flag): &&(&str, &str)| {
        (needs_it.is_empty() || needs_it == architecture) && flags.split('\x1f').all(|given| given != flag)
    };
    if let Some((_, lost)) = NEEDED.iter().find(is_lost) {
        return stop(&format!(
            "the compiler was called without {lost} of .cargo/config.toml: unset RUSTFLAGS, which replaces \
             the flags of that file instead of adding to them"
        ));
    }
    if environment("OPT_LEVEL") != "z" {
        return stop("the profile's opt-level is not \"z\": take the profiles of this repository's Cargo.toml");
    }

    // linker.ld fails where the program is larger than this.
    let budget = format!("--defsym=BUDGET={}", contract::BINARY_BUDGET);
    let map = var(LINK_MAP).map(|file| format!("-Map={file}")).ok();
    let arguments = || LINK.into_iter().chain([budget.as_str()]).chain(map.as_deref());

    let (host, target) = (environment("HOST"), environment("TARGET"));
    if host == target {
        // The compiler driver calls the linker, as for any program, but adds nothing of its own. The
        // toolchain's own lld does the work: other linkers leave section tables and padding.
        let lld = format!("-B{}/lib/rustlib/{host}/bin/gcc-ld", sysroot());
        for argument in ["-nostartfiles", "-nostdlib", "-static-pie", "-fuse-ld=lld", &lld] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
        println!("cargo::rustc-link-arg-bins=-T{SCRIPT}");
        for argument in arguments() {
            println!("cargo::rustc-link-arg-bins=-Wl,{argument}");
        }
    } else if var("RUSTC_LINKER").is_ok_and(|linker| linker.trim_end_matches(".exe").ends_with("lld")) {
        println!("cargo::rustc-link-arg-bins=-T{SCRIPT}");
        for argument in arguments() {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    } else {
        stop(&format!("no linker for {target} is set: `cargo xtask build` finds one for every platform"));
    }
}

fn environment(name: &str) -> String {
    var(name).unwrap_or_else(|_| panic!("cargo sets {name} for every build script"))
}

/// Where the toolchain that links the program is installed: as a rule, the one that builds it.
fn sysroot() -> String {
    if let Ok(toolchain) = var(TOOLCHAIN) {
        return toolchain;
    }
    let output = Command::new(environment("RUSTC")).args(["--print", "sysroot"]).output();
    String::from_utf8(output.expect("cargo names a compiler that runs").stdout).expect("a path in UTF-8").trim().into()
}

/// Ends the build with one sentence.
fn stop(sentence: &str) {
    println!("cargo::error={sentence}");
}
