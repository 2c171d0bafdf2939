//! `cargo xtask`: the one door to everything that one does with pause beside writing it.

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;
use xtask::{build, command, image, proofs, test};

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
    /// A command with a crate of its own, and its arguments
    #[command(external_subcommand)]
    Proof(Vec<OsString>),
}

fn main() -> ExitCode {
    command::main(proofs::list, |shell, Arguments { command }| match command {
        Command::Build(arguments) => build::run(shell, &arguments),
        Command::Image(arguments) => image::run(shell, &arguments),
        Command::Test(arguments) => test::run(shell, &arguments),
        Command::Proof(words) => proofs::run(shell, &words),
    })
}
