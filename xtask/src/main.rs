//! `cargo xtask`: everything one does with pause beside writing it. One file per subcommand.

mod anatomy;
mod bench;
mod boot;
mod build;
mod demo;
mod e2e;
mod floor;
mod image;
mod install;
mod mutant;
mod mutants;
mod platform;
mod sandbox;
mod sizes;
mod test;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::path::Path;
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
    Boot(boot::Arguments),
    E2e(e2e::Arguments),
    Mutants(mutants::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Anatomy(anatomy::Arguments),
    /// Leave orphans behind, to be reaped
    #[command(hide = true)]
    BenchOrphans(bench::OrphansArguments),
    /// Run one host's checks (in a sandbox)
    #[command(hide = true)]
    E2eHost(e2e::HostArguments),
    /// Be a process of a sandbox
    #[command(hide = true)]
    Sandbox(sandbox::Arguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // What was wrong and what would be right is the first paragraph; the rest is how to get help.
            let message = error.to_string();
            let paragraph = message.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>();
            eprintln!("{}", paragraph.join(" "));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
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
    shell.change_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is a folder of the repository")?);
    match command {
        Command::Build(arguments) => build::run(&shell, &arguments),
        Command::Image(arguments) => image::run(&shell, &arguments),
        Command::Test(arguments) => test::run(&shell, &arguments),
        Command::Boot(arguments) => boot::run(&shell, &arguments),
        Command::E2e(arguments) => e2e::run(&shell, &arguments),
        Command::Mutants(arguments) => mutants::run(&shell, &arguments),
        Command::Demo(arguments) => demo::run(&shell, &arguments),
        Command::Bench(arguments) => bench::run(&shell, &arguments),
        Command::Anatomy(arguments) => anatomy::run(&shell, &arguments),
        Command::BenchOrphans(arguments) => bench::run_orphans(&arguments),
        Command::E2eHost(arguments) => e2e::run_host(&shell, &arguments),
        Command::Sandbox(arguments) => sandbox::run(&arguments),
    }
}
