//! `cargo xtask`: the one door to everything that one does with pause beside writing it.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xtask::{build, command, image, proofs, test, verify};

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
    Verify(verify::Arguments),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    // Its own parser reads all that follows, `--help` too.
    if let Some(proof) = words.next().and_then(|name| proofs::find(&name)) {
        return command::start(|shell| proof.take_over(shell, words));
    }
    command::main(proofs::list, |shell, Arguments { command }| match command {
        Command::Build(arguments) => build::run(shell, &arguments),
        Command::Image(arguments) => image::run(shell, &arguments),
        Command::Test(arguments) => test::run(shell, &arguments),
        Command::Verify(arguments) => verify::run(shell, &arguments),
    })
}
