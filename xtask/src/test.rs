//! `cargo xtask test`: the table of cases on every platform, natively or under an emulator.

use crate::build::{self, Binary};
use crate::platform::Selection;
use crate::{bench, floor, image, install, sizes};
use anyhow::{Result, ensure};
use std::path::PathBuf;
use xshell::{Shell, cmd};

/// Build the program and run the table of cases on it, where need be under qemu-user
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// Test this pause program instead, by what upstream promises; one for this machine
    #[arg(long, value_name = "PATH", conflicts_with = "platforms", value_parser = existing_file)]
    against: Option<PathBuf>,

    /// Take the sizes of the binaries and of the image, as they are now, for right
    #[arg(long, conflicts_with_all = ["against", "floor"])]
    bless: bool,

    /// Test the floor instead, the reference in assembly, by what this program promises, and hold the program
    /// to what it may take in multiples of the floor
    #[arg(long, conflicts_with_all = ["platforms", "against"])]
    floor: bool,

    /// Only cases whose names contain this
    filter: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// Where a case fails, or where none was run.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let filter = arguments.filter.as_slice();
    install::ensure(shell, "/usr/bin/strace", &["strace"], "make system calls fail")?;
    if let Some(path) = &arguments.against {
        let program = format!("{0}={0}", path.display());
        let _programs = shell.push_env("PAUSE_PROGRAMS", program);
        let _against = shell.push_env("PAUSE_AGAINST", "1");
        return cargo_test(shell, &["behaviour"], filter);
    }
    if arguments.floor {
        let floor = floor::build(shell)?;
        let _programs = shell.push_env("PAUSE_PROGRAMS", format!("floor={}", floor.display()));
        bench::compare_with_floor(shell, floor)?;
        return cargo_test(shell, &["behaviour"], filter);
    }
    let binaries = build::build(shell, &arguments.selection.platforms())?;
    let commands = binaries.iter().map(|binary| command(shell, binary)).collect::<Result<Vec<_>>>()?;
    let _programs = shell.push_env("PAUSE_PROGRAMS", commands.join(";"));
    // Beside dist/, which holds what somebody asked for.
    let folder = shell.current_dir().join("target/tested-image");
    let sizes = image::pack(&binaries, &image::default_contents(), &folder)?;
    sizes::check(&shell.current_dir(), &sizes, arguments.bless)?;
    let _image = shell.push_env("PAUSE_IMAGE", folder);
    cargo_test(shell, &["behaviour", "image"], filter)
}

/// A binary as the tests take it: its platform, a `=`, and the words of the command that runs it.
fn command(shell: &Shell, binary: &Binary) -> Result<String> {
    let (name, path) = (binary.platform.name, binary.path.display());
    if binary.platform.is_native() {
        return Ok(format!("{name}={path}"));
    }
    let emulator = format!("/usr/bin/qemu-{}-static", binary.platform.qemu_user);
    install::ensure(shell, &emulator, &["qemu-user-static"], &format!("run programs for {name}"))?;
    Ok(format!("{name}={emulator} {path}"))
}

/// Runs these tests of the repository. They have what they test from the environment.
fn cargo_test(shell: &Shell, tests: &[&str], filter: &[String]) -> Result<()> {
    let mut matching = Vec::new();
    for test in tests {
        let list = cmd!(shell, "cargo test --quiet --package pause --test {test} -- --list {filter...}").read()?;
        if !list.trim().is_empty() {
            matching.push(test);
        }
    }
    ensure!(!matching.is_empty(), "no case has {filter:?} in its name; `cargo xtask test` runs them all");
    for test in matching {
        cmd!(shell, "cargo test --quiet --package pause --test {test} -- {filter...}").run()?;
    }
    Ok(())
}

/// What `--against` accepts.
///
/// # Errors
/// Where there is no such file.
pub fn existing_file(path: &str) -> Result<PathBuf> {
    let path = PathBuf::from(path);
    ensure!(path.is_file(), "there is no such file; give the path of a pause program");
    Ok(path.canonicalize()?)
}
