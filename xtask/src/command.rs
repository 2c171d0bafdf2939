//! Common to all commands: arguments, signals and exit statuses.

use crate::messages::{outln, status, take_output_error, wrap};
#[cfg(unix)]
use crate::{output, owner};
use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use clap::error::ErrorKind;
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitCode};
use xshell::{Cmd, Shell};

const USAGE_ERROR: u8 = 2;

/// Bad input. The message has the fault and the remedy.
#[derive(Debug)]
pub struct UsageError(pub String);

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The exit status of another command, which has printed why it failed.
#[derive(Debug)]
pub struct ChildExit(pub u8);

impl fmt::Display for ChildExit {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "exit status {}", self.0)
    }
}

/// The main function of a command line: parses the arguments, after `amend` has completed the parser, and runs.
pub fn main<Arguments: Parser>(
    amend: impl FnOnce(clap::Command) -> clap::Command,
    run: impl FnOnce(&Shell, Arguments) -> Result<()>,
) -> ExitCode {
    let parse = || Arguments::from_arg_matches(&amend(Arguments::command()).try_get_matches()?);
    let error = match parse() {
        Ok(arguments) => return start(|shell| run(shell, arguments)),
        Err(error) => error,
    };
    let message = error.to_string();
    match error.kind() {
        ErrorKind::DisplayHelp => {
            outln(format_args!("{}", message.trim_end()));
            return exit(Ok(()));
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => status(format_args!("{message}")),
        _ => {
            // Without the usage that follows.
            let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
            let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
            status(format_args!("{}", wrap(&lines.join(" ").replace(" tip: ", "; "))));
        }
    }
    exit(Err(anyhow!(ChildExit(USAGE_ERROR))))
}

/// Runs a command in the caller's checkout.
pub fn start(run: impl FnOnce(&Shell) -> Result<()>) -> ExitCode {
    let run = || {
        // Elsewhere, a signal ends the process at once.
        #[cfg(unix)]
        exit_on_signals().context("can't handle signals")?;
        run(&repository()?)
    };
    exit(run())
}

/// Makes a signal wait until nothing is half-written, and end the process with the exit status that a shell shows.
#[cfg(unix)]
fn exit_on_signals() -> Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    use std::io::{PipeWriter, Read, Write, pipe};
    use std::sync::OnceLock;
    static CAUGHT: OnceLock<PipeWriter> = OnceLock::new();
    extern "C" fn catch(signal: i32) {
        // It has room for 65,536 signals.
        let _ = CAUGHT.get().map(|mut pipe| pipe.write(&[signal as u8]));
    }
    let (mut caught, pipe) = pipe()?;
    CAUGHT.set(pipe).expect("a process runs one command");
    for number in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: The handler makes one system call, and its pipe stays open.
        let before = unsafe { signal(number, SigHandler::Handler(catch)) }?;
        if matches!(before, SigHandler::SigIgn) {
            // Started by nohup, or in the background.
            // SAFETY: It is not a handler.
            unsafe { signal(number, before) }?;
        }
    }
    std::thread::spawn(move || {
        let mut number = [0];
        caught.read_exact(&mut number).expect("the pipe is open");
        output::cleanup();
        owner::give_back();
        std::process::exit(128 + i32::from(number[0]));
    });
    Ok(())
}

/// Cleans up at the end of a command, prints its error, and turns its result into an exit status.
pub fn exit(mut result: Result<()>) -> ExitCode {
    #[cfg(unix)]
    owner::give_back();
    if let Some(error) = take_output_error() {
        result = result.and(Err(error).context("can't write to standard output"));
    }
    let Err(error) = result else { return ExitCode::SUCCESS };
    if let Some(&ChildExit(status)) = error.downcast_ref() {
        return ExitCode::from(status);
    }
    status(format_args!("{}", wrap(&format!("error: {error:#}"))));
    if error.is::<UsageError>() { ExitCode::from(USAGE_ERROR) } else { ExitCode::FAILURE }
}

/// Returns a shell in the checkout that contains the caller's directory, whichever one this program was built from. The
/// process stays in the caller's directory: paths on the command line are relative to that.
pub(crate) fn repository() -> Result<Shell> {
    let output = cargo().args(["locate-project", "--workspace", "--message-format", "plain"]).output();
    let output = output.context("can't start cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: "));
    }
    let manifest = String::from_utf8(output.stdout).context("the repository's path is not UTF-8, which cargo needs")?;
    let shell = Shell::new()?;
    shell.change_dir(Path::new(manifest.trim_end()).parent().context("a file in a directory")?);
    Ok(shell)
}

/// Returns the cargo that has started this process, or the one in `PATH`.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// Returns a command that builds or runs a package of this repository, with the options of the alias `xtask`.
pub fn cargo_for(subcommand: &str, package: &str, repository: &Path) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--locked", "--config", "profile.dev.panic='unwind'", "--target", "host-tuple"]);
    command.args(["--package", package, "--manifest-path"]).arg(repository.join("Cargo.toml"));
    command
}

/// Prints a command, then runs it.
pub fn run(command: Cmd) -> Result<()> {
    status(format_args!("$ {command}"));
    Ok(command.quiet().run()?)
}
