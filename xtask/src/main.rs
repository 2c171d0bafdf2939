//! `cargo xtask`: everything one does with pause beside writing it. One file per subcommand.

mod boot;
mod build;
mod install;
mod platform;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xshell::Shell;

/// Builds, tests and packs pause
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(build::Arguments),
    Boot(boot::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let shell = Shell::new()?;
    // Every path that a command prints or takes is relative to the repository.
    shell.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    match command {
        Command::Build(arguments) => build::run(&shell, &arguments),
        Command::Boot(arguments) => boot::run(&shell, &arguments),
    }
}
