//! `cargo xtask`: all commands of this repository.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xtask::{bless, build, command, image, release, subcommands, test, verify};

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
    Release(release::Arguments),
    Bless(bless::Arguments),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    // The subcommand parses all that follows, including `--help`.
    if let Some(subcommand) = words.next().and_then(|name| subcommands::find(&name)) {
        return command::start(|shell| subcommand.take_over(shell, words));
    }
    command::main(subcommands::list, |shell, Arguments { command }| match command {
        Command::Build(arguments) => build::run(shell, &arguments),
        Command::Image(arguments) => image::run(shell, &arguments),
        Command::Test(arguments) => test::run(shell, &arguments),
        Command::Verify(arguments) => verify::run(shell, &arguments),
        Command::Release(arguments) => release::run(shell, &arguments),
        Command::Bless(arguments) => bless::run(shell, &arguments),
    })
}
