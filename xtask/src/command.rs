//! What all commands have in common: how one finds the repository, reads its arguments, speaks, fails and ends.

use crate::{output, proofs};
use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;
use clap::{Args, Parser};
use std::fmt;
use std::io::{ErrorKind as IoErrorKind, IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use xshell::{Cmd, Shell};

/// The exit status of a command that was used wrongly.
const MISUSED: u8 = 2;

/// The exit status of a command that somebody interrupted: 128 and SIGINT, as shells have it.
const INTERRUPTED: i32 = 130;

/// Bad input: what was wrong, and what would be right.
#[derive(Debug)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// The exit status of another command that stood in for this one and has said why it failed.
#[derive(Debug)]
pub struct Failed(pub u8);

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "exit status {}", self.0)
    }
}

impl std::error::Error for Failed {}

/// The main function of a command line: reads the arguments, after `amend` has completed what they can be, and
/// runs. Errors are one line, and an exit status of 2 where the input was bad.
pub fn main<Arguments: Parser>(
    amend: impl FnOnce(clap::Command) -> clap::Command,
    run: impl FnOnce(&Shell, Arguments) -> Result<()>,
) -> ExitCode {
    let parse = || Arguments::from_arg_matches(&amend(Arguments::command()).try_get_matches()?);
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // What was wrong and what would be right is the first paragraph; the rest is how to get help.
            let message = error.to_string();
            let paragraph = message.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>();
            note(format_args!("{}", paragraph.join(" ")));
            return ExitCode::from(MISUSED);
        }
        Err(help) if help.use_stderr() => {
            note(format_args!("{help}"));
            return ExitCode::from(MISUSED);
        }
        Err(help) => {
            say(format_args!("{}", help.to_string().trim_end()));
            return end(Ok(()));
        }
    };
    start(|shell| run(shell, arguments))
}

/// Runs a command whose arguments have been read, in the checkout that the caller is in.
pub fn start(run: impl FnOnce(&Shell) -> Result<()>) -> ExitCode {
    // What a command has begun to write must not stay behind half-written.
    let handler = ctrlc::set_handler(|| {
        output::abandon();
        std::process::exit(INTERRUPTED)
    });
    end(handler.context("can't handle interrupts").and_then(|()| run(&repository()?)))
}

/// The main function of a command that has a crate of its own.
pub fn main_of_proof<Arguments: Args>(name: &str, run: fn(&Shell, &Arguments) -> Result<()>) -> ExitCode {
    #[derive(Parser)]
    struct Whole<Arguments: Args> {
        #[command(flatten)]
        arguments: Arguments,
    }
    let proof = proofs::find(name.as_ref()).expect("a command in the list");
    main::<Whole<Arguments>>(|command| proof.describe(command), |shell, whole| run(shell, &whole.arguments))
}

/// Turns what came of a command into its exit status, and says what went wrong.
fn end(mut result: Result<()>) -> ExitCode {
    if let Some(error) = LOST.lock().expect("no panic while it is held").take()
        && error.kind() != IoErrorKind::BrokenPipe
    {
        result = result.and(Err(error).context("can't write to standard output"));
    }
    let Err(error) = result else { return ExitCode::SUCCESS };
    if let Some(&Failed(status)) = error.downcast_ref() {
        return ExitCode::from(status);
    }
    note(format_args!("error: {error:#}"));
    if error.is::<Misuse>() { ExitCode::from(MISUSED) } else { ExitCode::FAILURE }
}

/// A shell in the checkout that the caller is in, whichever one this program was built from. The caller's own
/// folder, to which the paths on the command line belong, stays this process's.
fn repository() -> Result<Shell> {
    let output = cargo().args(["locate-project", "--workspace", "--message-format", "plain"]).output();
    let output = output.context("can't start cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("error: "));
    }
    let manifest = String::from_utf8(output.stdout).context("the repository's path is not UTF-8, which cargo needs")?;
    let shell = Shell::new()?;
    shell.change_dir(Path::new(manifest.trim_end()).parent().context("a file in a folder")?);
    Ok(shell)
}

/// The cargo that has started this process, or the one in `PATH`.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// Cargo, to `build` or `run` a package of this repository for this machine, as the alias `xtask` does.
pub fn cargo_for(subcommand: &str, package: &str, repository: &Path) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--quiet", "--config", "profile.dev.panic='unwind'", "--target", "host-tuple"]);
    command.args(["--package", package, "--manifest-path"]).arg(repository.join("Cargo.toml"));
    command
}

/// What kept the first thing from being written to standard output. After that, nothing more is.
static LOST: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Writes a line to standard output. Nobody may be reading any more: that ends no command in the middle of its
/// work.
pub fn say(line: fmt::Arguments) {
    let mut lost = LOST.lock().expect("no panic while it is held");
    if lost.is_none() {
        *lost = writeln!(stdout(), "{line}").and_then(|()| stdout().flush()).err();
    }
}

/// Writes a line to standard error, if that takes it.
pub fn note(line: fmt::Arguments) {
    // A progress bar may stand in the line, which is cleared then.
    let clear = if stderr().is_terminal() { "\r\x1b[2K" } else { "" };
    // There is nobody else to tell.
    let _ = writeln!(stderr(), "{clear}{line}");
}

/// Writes a line to standard output, as `println!` does, but never panics.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => { $crate::command::say(format_args!($($argument)*)) };
}

/// Writes a line to standard error, as `eprintln!` does, but never panics.
#[macro_export]
macro_rules! note {
    ($($argument:tt)*) => { $crate::command::note(format_args!($($argument)*)) };
}

/// Shows a command, then runs it.
///
/// # Errors
/// Where it fails.
pub fn run(command: Cmd) -> Result<()> {
    note!("$ {command}");
    Ok(command.quiet().run()?)
}
