//! The subcommands in separate crates, each compiled when it is run.

use crate::command::{Failed, Misuse, cargo_for};
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::process::Command;
use xshell::Shell;

/// A subcommand in a separate crate.
pub struct Proof {
    /// Also the name of its executable.
    name: &'static str,
    package: &'static str,
    about: &'static str,
    only_linux: bool,
}

#[rustfmt::skip]
static PROOFS: &[Proof] = &[
    Proof { name: "boot",    package: "boot",    only_linux: true,  about: "Boot Debian's kernels under qemu and run the program's contract on each" },
    Proof { name: "e2e",     package: "e2e",     only_linux: true,  about: "Run the image on real container hosts, each in a sandbox; needs root" },
    Proof { name: "mutants", package: "mutants", only_linux: true,  about: "Break the program on purpose, in every way that the tests claim to notice" },
    Proof { name: "points",  package: "points",  only_linux: true,  about: "Send signals at every instruction of the program, and at every pair of instructions" },
    Proof { name: "survivors", package: "survivors", only_linux: true, about: "Change source and machine code in every small way, and look for what nothing notices; needs root" },
    Proof { name: "answers", package: "answers", only_linux: true,  about: "Give the program every answer that a kernel can give, at every system call" },
    Proof { name: "bench",   package: "bench",   only_linux: true,  about: "Measure what the program costs, next to the floor and other init programs; needs root" },
    Proof { name: "disasm",  package: "disasm",  only_linux: false, about: "Compare every platform's machine code with golden listings" },
    Proof { name: "release", package: "release", only_linux: false, about: "Make a release from its tag: the image, the binaries, sums, bill of materials, provenance" },
    Proof { name: "docs",    package: "docs",    only_linux: true,  about: "Check what the documents claim: links, commands, and tables of numbers" },
];

/// Adds the subcommands to the parser of `cargo xtask`.
pub fn list(command: clap::Command) -> clap::Command {
    command.subcommands(PROOFS.iter().map(|proof| clap::Command::new(proof.name).about(proof.about)))
}

/// Finds a subcommand by its name.
pub fn find(name: &OsStr) -> Option<&'static Proof> {
    PROOFS.iter().find(|proof| name == proof.name)
}

impl Proof {
    /// Adds the name and the description to the parser of its command line.
    pub fn describe(&self, command: clap::Command) -> clap::Command {
        command.name(self.name).bin_name(format!("cargo xtask {}", self.name)).about(self.about)
    }

    /// Runs it with these arguments.
    pub fn run(&self, shell: &Shell, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
        let status = self.command(shell, arguments)?.status().context("can't start cargo")?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => bail!(Failed(u8::try_from(code).unwrap_or(1))),
            None => bail!("`cargo xtask {}` was killed: {status}", self.name),
        }
    }

    /// Replaces this process with it, so that signals reach it. Elsewhere than on Unix, runs it.
    pub fn take_over(&self, shell: &Shell, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            Err(self.command(shell, arguments)?.exec()).context("can't start cargo")
        }
        #[cfg(not(unix))]
        self.run(shell, arguments)
    }

    fn command(&self, shell: &Shell, arguments: impl IntoIterator<Item = OsString>) -> Result<Command> {
        let name = self.name;
        if self.only_linux && !cfg!(target_os = "linux") {
            bail!(Misuse(format!("`cargo xtask {name}` works on Linux; `cargo xtask image` does here, too")));
        }
        let mut command = cargo_for("run", self.package, &shell.current_dir());
        command.args(["--bin", name, "--"]).args(arguments);
        Ok(command)
    }
}
