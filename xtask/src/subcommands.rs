//! The subcommands in separate crates, which are compiled when they are run.

use crate::command::{self, UsageError, cargo_for};
use anyhow::{Context, Result, ensure};
use clap::{Args, Parser};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use xshell::Shell;

/// A subcommand, in the executable of the same name.
pub struct Subcommand {
    name: &'static str,
    package: &'static str,
    only_linux: bool,
    about: &'static str,
}

#[rustfmt::skip]
static SUBCOMMANDS: &[Subcommand] = &[
    Subcommand { name: "kernels",  package: "kernels",  only_linux: true,  about: "Boot Debian's kernels under qemu and run the program's contract on each" },
    Subcommand { name: "hosts",    package: "hosts",    only_linux: true,  about: "Run the image on real container hosts, each in a sandbox; needs root" },
    Subcommand { name: "inject",   package: "inject",   only_linux: true,  about: "Send signals at every instruction of the program" },
    Subcommand { name: "mutation", package: "mutation", only_linux: true,  about: "Break the program on purpose, and check that the tests notice" },
    Subcommand { name: "bench",    package: "bench",    only_linux: true,  about: "Measure the program's costs, next to an assembly baseline and other init programs; needs root" },
    Subcommand { name: "prove",    package: "prove",    only_linux: true,  about: "Prove that every platform's machine code keeps the contract, whatever its arguments and the kernel's answers" },
    Subcommand { name: "disasm",   package: "prove",    only_linux: false, about: "Compare every platform's machine code with golden listings" },
    Subcommand { name: "docs",     package: "docs",     only_linux: true,  about: "Check the documents' links, commands and tables of numbers" },
];

/// Adds the subcommands to the parser of `cargo xtask`.
pub fn list(command: clap::Command) -> clap::Command {
    command
        .subcommands(SUBCOMMANDS.iter().map(|Subcommand { name, about, .. }| clap::Command::new(*name).about(*about)))
}

pub fn find(name: &OsStr) -> Option<&'static Subcommand> {
    SUBCOMMANDS.iter().find(|subcommand| name == subcommand.name)
}

pub fn main_of_subcommand<Arguments: Args>(name: &str, run: fn(&Shell, &Arguments) -> Result<()>) -> ExitCode {
    #[derive(Parser)]
    struct Whole<Arguments: Args> {
        #[command(flatten)]
        arguments: Arguments,
    }
    let Subcommand { name, about, .. } = find(name.as_ref()).expect("a command in the list");
    let describe = |command: clap::Command| command.name(*name).bin_name(format!("cargo xtask {name}")).about(*about);
    command::main(describe, |shell, Whole { arguments }| run(shell, &arguments))
}

impl Subcommand {
    /// Replaces this process by the subcommand, which then gets its signals. On Windows, runs it.
    pub fn take_over(&self, shell: &Shell, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
        let name = self.name;
        let error = || UsageError(format!("`cargo xtask {name}` needs Linux; `cargo xtask image` doesn't"));
        ensure!(cfg!(target_os = "linux") || !self.only_linux, error());
        let mut command = cargo_for("run", self.package, &shell.current_dir());
        command.args(["--bin", name, "--"]).args(arguments);
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            Err(command.exec()).context("can't start cargo")
        }
        #[cfg(not(unix))]
        {
            let status = command.status().context("can't start cargo")?;
            std::process::exit(status.code().unwrap_or(1))
        }
    }
}
