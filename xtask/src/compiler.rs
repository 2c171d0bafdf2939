//! Which compiler builds the program for a target: the toolchain's own, as soon as it has `core` for it, else
//! Debian's second one, which builds `core` from source.

use crate::needs::{self, Needs};
use crate::{command, note};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use xshell::{Shell, cmd};

/// A compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compiler {
    /// The toolchain's; rustup may have fetched `core`.
    Rustup,
    /// Debian's, beside the toolchain.
    Debian,
}

impl fmt::Display for Compiler {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(match self {
            Compiler::Rustup => "rustup's",
            Compiler::Debian => "Debian's",
        })
    }
}

/// The oldest compiler that the program builds with.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

/// Where Debian's compiler is.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";

/// Finds a compiler for each target, or gets it. Each target is on its own: what rustup can fetch, it does. What
/// Debian's compiler takes becomes a need.
///
/// # Errors
/// Where the toolchain does not know a target.
pub fn choose<'a>(
    shell: &Shell,
    targets: impl IntoIterator<Item = &'a str>,
    needs: &mut Needs,
) -> Result<BTreeMap<&'a str, Compiler>> {
    let mut compilers = BTreeMap::new();
    let (mut refused, mut reasons) = (Vec::new(), String::new());
    for target in targets {
        if compilers.contains_key(target) {
            continue;
        }
        let compiler = match has_core(shell, target)? {
            true => Compiler::Rustup,
            false => match fetch_core(shell, target) {
                Ok(()) => Compiler::Rustup,
                Err(reason) => {
                    reasons += &format!("{target}: {reason:#}\n");
                    refused.push(target);
                    Compiler::Debian
                }
            },
        };
        compilers.insert(target, compiler);
    }
    if !refused.is_empty() {
        let log = command::log(shell, "rustup", reasons.as_bytes());
        let targets = if refused.len() == 1 { refused[0].into() } else { format!("{} targets", refused.len()) };
        note!("Debian's compiler builds core for {targets}: rustup can't fetch it, see {log}");
        needs.file(DEBIAN_SOURCE, "rust-web-src", "build core");
        needs.file(DEBIAN_RUSTC, "rustc-web", "build core");
    }
    Ok(compilers)
}

/// Has one compiler build for all targets. What it takes becomes a need.
///
/// # Errors
/// Where it can't build for one of them: which, and why.
pub fn only<'a>(
    shell: &Shell,
    compiler: Compiler,
    targets: impl IntoIterator<Item = &'a str>,
    needs: &mut Needs,
) -> Result<BTreeMap<&'a str, Compiler>> {
    let compilers: BTreeMap<_, _> = targets.into_iter().map(|target| (target, compiler)).collect();
    match compiler {
        Compiler::Rustup => {
            for target in compilers.keys() {
                if !has_core(shell, target)? {
                    fetch_core(shell, target).map_err(|error| {
                        let log = command::log(shell, "rustup", format!("{error:#}\n").as_bytes());
                        anyhow!("rustup can't fetch core for {target}, see {log}")
                    })?;
                }
            }
        }
        Compiler::Debian => {
            let purpose = "build with Debian's compiler";
            needs.file(DEBIAN_SOURCE, "rust-web-src", purpose);
            needs.file(DEBIAN_RUSTC, "rustc-web", purpose);
        }
    }
    Ok(compilers)
}

/// Whether the toolchain has `core` for a target.
fn has_core(shell: &Shell, target: &str) -> Result<bool> {
    let folder = cmd!(shell, "rustc --print target-libdir --target {target}").quiet().read()?;
    Ok(std::fs::read_dir(folder).is_ok_and(|mut files| {
        files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore-")))
    }))
}

/// Has rustup fetch `core` for a target.
fn fetch_core(shell: &Shell, target: &str) -> Result<()> {
    ensure!(needs::exists("rustup"), "there is no rustup");
    note!("fetching core for {target}");
    let output = cmd!(shell, "rustup target add {target}").quiet().ignore_status().output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    ensure!(has_core(shell, target)?, "rustup fetched it for another toolchain");
    Ok(())
}

/// Fails where Debian's compiler is too old.
fn check_debian(shell: &Shell) -> Result<()> {
    let version = cmd!(shell, "{DEBIAN_RUSTC} --version").quiet().read()?;
    ensure!(
        is_recent(&version),
        "{DEBIAN_RUSTC} is {version}, too old; bring rustc-web and rust-web-src up to {RUST_VERSION} or later"
    );
    Ok(())
}

/// Whether what a compiler says of its version is at least what the program needs.
fn is_recent(version: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> { text.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    version.split(' ').nth(1).is_some_and(|version| numbers(version) >= numbers(RUST_VERSION))
}

/// Compiles and links a freestanding package, with these further arguments of cargo's. Returns the linker's
/// output.
///
/// # Errors
/// Where it can't be built.
pub fn compile(
    shell: &Shell,
    compiler: Compiler,
    target: &str,
    package: &str,
    program: &str,
    arguments: &[&str],
) -> Result<PathBuf> {
    let toolchain = cmd!(shell, "rustc --print sysroot --print host-tuple").quiet().read()?;
    let (sysroot, host) = toolchain.split_once('\n').context("rustc does not say which machine it is for")?;
    // The toolchain's own linker links every architecture. For the host, build.rs asks for it.
    let linker = format!("{sysroot}/lib/rustlib/{host}/bin/rust-lld{}", std::env::consts::EXE_SUFFIX);
    let linker_variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    let folder = match compiler {
        Compiler::Rustup => "target/cross",
        Compiler::Debian => {
            check_debian(shell)?;
            "target/cross-debian"
        }
    };
    let mut command = cmd!(
        shell,
        "cargo build --quiet --release --package {package} --bin {program} --target {target} --target-dir {folder} {arguments...}"
    )
    // They would replace the flags of .cargo/config.toml.
    .env_remove("RUSTFLAGS")
    .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if host != target {
        command = command.env(linker_variable, linker);
    }
    command = match compiler {
        // The crate `syscalls` needs a nightly feature, asm_experimental_arch, on s390x and powerpc64.
        Compiler::Rustup => command.env("RUSTC_BOOTSTRAP", "syscalls"),
        // -Zbuild-std is a nightly feature of cargo's. The linker is the toolchain's even so.
        Compiler::Debian => command
            .arg("-Zbuild-std=core")
            .env("RUSTC", DEBIAN_RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("PAUSE_TOOLCHAIN", sysroot),
    };
    let output = command.quiet().ignore_status().output()?;
    if !output.status.success() {
        let log = command::log(shell, "cargo", &output.stderr);
        let messages = String::from_utf8_lossy(&output.stderr);
        let error = messages.lines().find_map(|line| line.strip_prefix("error")?.split_once(": "));
        let error = error.map_or("cargo failed", |(_, error)| error);
        bail!("{}; cargo's output is in {log}", error.chars().take(100).collect::<String>());
    }
    Ok(shell.current_dir().join(format!("{folder}/{target}/release/{program}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_recent_or_not() {
        assert!(is_recent("rustc 1.96.0 (ac68faa20 2026-05-25)"));
        assert!(is_recent("rustc 1.95.0"));
        assert!(!is_recent("rustc 1.94.1"));
        assert!(!is_recent("nothing of the kind"));
    }
}
