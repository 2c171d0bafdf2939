//! System calls that are made to fail, by strace(1).

use crate::Skip;
use anyhow::{Context, Result, bail, ensure};
use contract::SYSTEM_CALLS;
use harness::{End, Program, Role, Running, Start, wait};
use nix::libc;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// What each call fails with.
const ERRORS: [&str; 6] = ["ENOSYS", "EPERM", "EINTR", "EAGAIN", "EINVAL", "ENOMEM"];

/// A system call in a trace.
struct Call {
    name: String,
    /// From the parenthesis on.
    rest: String,
    /// The how manieth of that name it is, from 1.
    ordinal: usize,
}

const STRACE: &str = "/usr/bin/strace";

/// Starts the program under strace, with these options. It is strace's first child and has its number.
fn start(program: &Program, options: &[&str], log: &Path) -> Result<Running> {
    if !Path::new(STRACE).exists() {
        bail!(Skip("strace is not installed; `cargo xtask test` installs it"));
    }
    let mut wrapper: Vec<OsString> = [STRACE, "-D", "-qq", "-o"].map(OsString::from).into();
    wrapper.push(log.into());
    wrapper.extend(options.iter().map(OsString::from));
    Start { wrapper, ..Start::new(Role::Ordinary) }.spawn(program)
}

/// Has the program live its life: it becomes ready, gets a SIGCHLD and a SIGTERM.
fn live(program: &Program, options: &[&str], log: &Path) -> Result<End> {
    let mut running = start(program, options, log)?;
    running.wait_until_ready()?;
    running.wait_until("it runs its loop", |_| {
        let text = std::fs::read_to_string(log)?;
        // An emulator waits for a signal in a way of its own.
        Ok(["pause(", "ppoll(NULL", "rt_sigsuspend("].iter().any(|call| text.contains(call)))
    })?;
    running.signal(libc::SIGCHLD)?;
    // Two signals at once would be handled last come, first served.
    running.wait_until("it has handled SIGCHLD", |_| Ok(std::fs::read_to_string(log)?.contains("rt_sigreturn(")))?;
    running.terminate()
}

/// The calls of a life in which nothing fails, from the last one that installs a handler for SIGTERM. What
/// comes before that one is an emulator's.
fn calls(program: &Program) -> Result<Vec<Call>> {
    let log = tempfile::NamedTempFile::new()?;
    let end = live(program, &[], log.path())?;
    ensure!(end.status.success(), "under strace it ended with {end:?}");
    let text = wait_for_trace(log.path())?;
    let mut calls: Vec<Call> = Vec::new();
    for line in text.lines() {
        if let Some((name, rest)) = line.split_once('(') {
            let ordinal = calls.iter().filter(|call| call.name == name).count() + 1;
            calls.push(Call { name: name.into(), rest: rest.into(), ordinal });
        }
    }
    let first = calls.iter().rposition(installs("SIGTERM")).context("it never installs a handler for SIGTERM")?;
    Ok(calls.split_off(if program.emulator.is_some() { first } else { 0 }))
}

/// The trace, once the tracer has written all of it: it outlives the program for a moment.
fn wait_for_trace(log: &Path) -> Result<String> {
    let is_whole =
        |text: &str| text.lines().last().is_some_and(|line| line.starts_with("exit") || line.starts_with("+++"));
    // A trace that stays cut off shows in what is missing.
    wait::within(wait::patience(), Duration::from_millis(1), || Ok(is_whole(&std::fs::read_to_string(log)?)))?;
    Ok(std::fs::read_to_string(log)?)
}

/// Whether a call installs a handler for that signal.
fn installs(signal: &str) -> impl Fn(&Call) -> bool {
    let start = format!("{signal}, {{");
    move |call| call.name == "rt_sigaction" && call.rest.starts_with(&start)
}

/// The strace option that makes a call fail.
fn inject(call: &Call, error: &str) -> String {
    format!("--inject={}:error={error}:when={}", call.name, call.ordinal)
}

/// The first system call installs SIGTERM's handler.
pub fn first_call(program: &Program, _: Role) -> Result<()> {
    if program.emulator.is_some() {
        // The emulator's own trace: strace sees the emulator's calls too.
        let emulator_options = vec!["-strace".into()];
        let running = Start { emulator_options, ..Start::new(Role::Ordinary) }.ready(program)?;
        let end = running.terminate()?;
        let first = end.stderr.lines().next().unwrap_or_default();
        ensure!(first.contains("rt_sigaction(15,") || first.contains("rt_sigaction(SIGTERM,"), "it is {first}");
    } else {
        let calls = calls(program)?;
        let first = calls.get(1).context("it makes no system call")?;
        ensure!(installs("SIGTERM")(first), "it is {}({}", first.name, first.rest);
    }
    Ok(())
}

/// It makes no call but those that it documents.
pub fn documented_calls(program: &Program, _: Role) -> Result<()> {
    for call in calls(program)? {
        // execve is its start.
        let is_documented = SYSTEM_CALLS.iter().chain(&["execve"]).any(|name| *name == call.name);
        ensure!(is_documented, "it calls {}({}", call.name, call.rest);
    }
    Ok(())
}

pub fn sigint(program: &Program, _: Role) -> Result<()> {
    exits_without_handler(program, "SIGINT", 1)
}

pub fn sigterm(program: &Program, _: Role) -> Result<()> {
    exits_without_handler(program, "SIGTERM", 2)
}

pub fn sigchld(program: &Program, _: Role) -> Result<()> {
    exits_without_handler(program, "SIGCHLD", 3)
}

/// It exits with that status where it can't install a handler for that signal.
fn exits_without_handler(program: &Program, signal: &str, status: i32) -> Result<()> {
    let calls = calls(program)?;
    let call = calls.iter().find(|call| installs(signal)(call)).context("it never installs that handler")?;
    for error in ERRORS {
        let log = tempfile::NamedTempFile::new()?;
        let end = start(program, &[&inject(call, error)], log.path())?.end()?;
        ensure!(end.status.code() == Some(status), "{error}: it ended with {end:?}");
    }
    Ok(())
}

/// It becomes ready and exits with 0 on SIGTERM, whichever call of those names fails, and if all do.
pub fn survives(program: &Program, names: &str) -> Result<()> {
    survives_once(program, names)?;
    for error in ERRORS {
        for name in names.split(',') {
            survives_fault(program, &format!("--inject={name}:error={error}"))?;
        }
    }
    Ok(())
}

/// The same, if one call fails.
pub fn survives_once(program: &Program, names: &str) -> Result<()> {
    let mut faults = 0;
    for call in calls(program)?.iter().filter(|call| names.split(',').any(|name| name == call.name)) {
        for error in ERRORS {
            survives_fault(program, &inject(call, error))?;
            faults += 1;
        }
    }
    ensure!(faults > 0, "it makes no such call");
    Ok(())
}

fn survives_fault(program: &Program, fault: &str) -> Result<()> {
    let log = tempfile::NamedTempFile::new()?;
    let end = live(program, &[fault], log.path()).with_context(|| fault.to_string())?;
    ensure!(end.status.success(), "{fault}: it ended with {end:?}");
    Ok(())
}
