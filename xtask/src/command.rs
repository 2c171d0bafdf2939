//! Common to all commands: arguments, messages, signals and exit statuses.

use crate::proofs;
#[cfg(unix)]
use crate::{output, owner};
use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;
use clap::{Args, Parser};
use std::fmt;
use std::io::{ErrorKind as IoErrorKind, IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use xshell::{Cmd, Shell};

/// The exit status after bad input.
const MISUSED: u8 = 2;

/// The longest line of a message, in characters.
const WIDTH: usize = 120;

/// Bad input: the message says what is wrong and what would be right.
#[derive(Debug)]
pub struct Misuse(pub String);

impl fmt::Display for Misuse {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

/// The exit status of another command, which has printed why it failed.
#[derive(Debug)]
pub struct Failed(pub u8);

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "exit status {}", self.0)
    }
}

impl std::error::Error for Failed {}

/// The main function of a command line: parses the arguments, after `amend` has completed the parser, and runs.
pub fn main<Arguments: Parser>(
    amend: impl FnOnce(clap::Command) -> clap::Command,
    run: impl FnOnce(&Shell, Arguments) -> Result<()>,
) -> ExitCode {
    let parse = || Arguments::from_arg_matches(&amend(Arguments::command()).try_get_matches()?);
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // The usage follows.
            let message = error.to_string();
            let message = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
            let message: Vec<_> = message.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
            note(format_args!("{}", wrap(&message.join(" ").replace(" tip: ", "; "))));
            return exit(ExitCode::from(MISUSED));
        }
        Err(help) if help.use_stderr() => {
            note(format_args!("{help}"));
            return exit(ExitCode::from(MISUSED));
        }
        Err(help) => {
            say(format_args!("{}", help.to_string().trim_end()));
            return exit(end(Ok(())));
        }
    };
    start(|shell| run(shell, arguments))
}

/// Runs a command in the caller's checkout.
pub fn start(run: impl FnOnce(&Shell) -> Result<()>) -> ExitCode {
    let handled = exit_on_signals().context("can't handle signals");
    exit(end(handled.and_then(|()| run(&repository()?))))
}

/// Makes a signal wait until nothing is half-written, and end the process with the exit status that a shell shows.
#[cfg(unix)]
fn exit_on_signals() -> Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    use std::io::{PipeWriter, Read, pipe};
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
            // SAFETY: There is no handler.
            unsafe { signal(number, before) }?;
        }
    }
    std::thread::spawn(move || {
        let mut number = [0];
        caught.read_exact(&mut number).expect("the pipe is open");
        output::abandon();
        give_back();
        std::process::exit(128 + i32::from(number[0]));
    });
    Ok(())
}

/// Elsewhere, a signal ends the process at once.
#[cfg(not(unix))]
fn exit_on_signals() -> Result<()> {
    Ok(())
}

/// Cleans up at the end of a command.
fn exit(code: ExitCode) -> ExitCode {
    give_back();
    code
}

fn give_back() {
    #[cfg(unix)]
    owner::give_back(repository().ok().map(|shell| shell.current_dir()));
}

/// The main function of a command in a separate crate.
pub fn main_of_proof<Arguments: Args>(name: &str, run: fn(&Shell, &Arguments) -> Result<()>) -> ExitCode {
    #[derive(Parser)]
    struct Whole<Arguments: Args> {
        #[command(flatten)]
        arguments: Arguments,
    }
    let proof = proofs::find(name.as_ref()).expect("a command in the list");
    main::<Whole<Arguments>>(|command| proof.describe(command), |shell, whole| run(shell, &whole.arguments))
}

/// Turns a result into an exit status, and prints the error.
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
    note(format_args!("{}", wrap(&format!("error: {error:#}"))));
    if error.is::<Misuse>() { ExitCode::from(MISUSED) } else { ExitCode::FAILURE }
}

/// Wraps the first line of a message. The other lines are a command to type, or a table.
fn wrap(message: &str) -> String {
    let (first, rest) = message.split_at(message.find('\n').unwrap_or(message.len()));
    let mut lines = vec![String::new()];
    for word in first.split(' ') {
        let line = lines.last_mut().expect("it begins with one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= WIDTH {
            line.extend([" ", word]);
        } else {
            lines.push(word.into());
        }
    }
    lines.join("\n") + rest
}

/// Writes the output of another program to a file below target. Returns its path in the checkout, for a message.
pub fn log(shell: &Shell, name: &str, output: &[u8]) -> String {
    let path = format!("target/log/{name}.txt");
    match shell.write_file(&path, output) {
        Ok(()) => path,
        Err(error) => error.to_string(),
    }
}

/// Returns a shell in the checkout that the caller is in, whichever one this program was built from. The process stays
/// in the caller's directory: paths on the command line are relative to that.
fn repository() -> Result<Shell> {
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
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// Returns a command that builds or runs a package of this repository, with the options of the alias `xtask`.
pub fn cargo_for(subcommand: &str, package: &str, repository: &Path) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--config", "profile.dev.panic='unwind'", "--target", "host-tuple"]);
    command.args(["--package", package, "--manifest-path"]).arg(repository.join("Cargo.toml"));
    command
}

/// The first error of standard output. Nothing is written after it.
static LOST: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Writes a line to standard output. If that fails, the command goes on, and fails at its end.
pub fn say(line: fmt::Arguments) {
    let mut lost = LOST.lock().expect("no panic while it is held");
    if lost.is_none() {
        *lost = writeln!(stdout(), "{line}").and_then(|()| stdout().flush()).err();
    }
}

/// Writes a line to standard error, and ignores errors.
pub fn note(line: fmt::Arguments) {
    // Clears a progress bar.
    let clear = if stderr().is_terminal() { "\r\x1b[2K" } else { "" };
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

/// Prints a command, then runs it.
pub fn run(command: Cmd) -> Result<()> {
    note!("$ {command}");
    Ok(command.quiet().run()?)
}
