//! `cargo xtask`: everything one does with pause beside writing it. One file per subcommand.

mod build;
mod demo;
mod image;
mod install;
mod mutant;
mod mutants;
mod platform;
mod test;

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
    Image(image::Arguments),
    Test(test::Arguments),
    Mutants(mutants::Arguments),
    Demo(demo::Arguments),
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
        Command::Image(arguments) => image::run(&shell, &arguments),
        Command::Test(arguments) => test::run(&shell, &arguments),
        Command::Mutants(arguments) => mutants::run(&shell, &arguments),
        Command::Demo(arguments) => demo::run(&shell, &arguments),
    }
}
