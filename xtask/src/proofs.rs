//! The commands that prove and measure: each a crate of its own, built only when it is called for.

use crate::command::{Failed, Misuse};
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::sync::OnceLock;
use xshell::Shell;

/// A command that proves or measures something.
pub struct Proof {
    /// Its name, which is its package's too.
    name: &'static str,
    /// What it does.
    about: &'static str,
    /// Whether Linux alone has what it takes.
    only_linux: bool,
}

#[rustfmt::skip]
static PROOFS: &[Proof] = &[
    Proof { name: "boot",    only_linux: true,  about: "Boot Debian's kernels under qemu and run the program's contract on each" },
    Proof { name: "e2e",     only_linux: true,  about: "Run the image on real container hosts, each in a sandbox; needs root" },
    Proof { name: "mutants", only_linux: true,  about: "Break the program on purpose, in every way that the tests claim to notice" },
    Proof { name: "bench",   only_linux: true,  about: "Measure what the program costs, beside the floor and other init programs" },
    Proof { name: "anatomy", only_linux: false, about: "Draw every byte of the program, with its disassembly, as an SVG" },
    Proof { name: "demo",    only_linux: true,  about: "Show what pause is for: a PID namespace, orphans, and who reaps them" },
    Proof { name: "docs",    only_linux: true,  about: "Check what the documents claim: links, commands, and tables of numbers" },
];

/// The command that this executable is, where it is one of them.
static CURRENT: OnceLock<&'static str> = OnceLock::new();

/// Says which command this executable is.
pub fn set_current(name: &'static str) {
    CURRENT.get_or_init(|| name);
}

/// Gives the current command's parser its name and its description.
pub fn describe(command: clap::Command) -> clap::Command {
    let current = CURRENT.get();
    match PROOFS.iter().find(|proof| Some(&proof.name) == current) {
        Some(proof) => command.name(proof.name).bin_name(format!("cargo xtask {}", proof.name)).about(proof.about),
        None => command,
    }
}

/// Adds all of them to a list of commands.
pub fn list(command: clap::Command) -> clap::Command {
    command.subcommands(PROOFS.iter().map(|proof| clap::Command::new(proof.name).about(proof.about)))
}

/// The one of that name.
pub fn find(name: &OsStr) -> Option<&'static Proof> {
    PROOFS.iter().find(|proof| name == proof.name)
}

impl Proof {
    /// Runs it with these arguments. Its exit status becomes this program's.
    ///
    /// # Errors
    /// Where it can't run here, or fails.
    pub fn run(&self, shell: &Shell, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
        let name = self.name;
        if self.only_linux && !cfg!(target_os = "linux") {
            bail!(Misuse(format!("`cargo xtask {name}` works on Linux; `cargo xtask image` does here, too")));
        }
        let manifest = shell.current_dir().join("Cargo.toml");
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        command.args(["run", "--quiet", "--target", "host-tuple", "--package", name, "--manifest-path"]);
        let status = command.arg(manifest).arg("--").args(arguments).status().context("can't start cargo")?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => bail!(Failed(u8::try_from(code).unwrap_or(1))),
            None => bail!("`cargo xtask {name}` was killed: {status}"),
        }
    }
}
