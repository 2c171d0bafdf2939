//! System calls that strace(1) makes fail, or that a seccomp profile refuses.

use crate::Skip;
use anyhow::{Context, Result, bail, ensure};
use contract::SystemCalls;
use harness::{Child, Output, Program, Role, Spawn, Stream, process};
use nix::libc;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child as Tracer, Command, Stdio};
use tempfile::NamedTempFile;
use xtask::{platform, seccomp};

const ERRORS: [&str; 6] = ["ENOSYS", "EPERM", "EINTR", "EAGAIN", "EINVAL", "ENOMEM"];

struct Call {
    name: String,
    /// The text after the parenthesis.
    rest: String,
    /// Its ordinal among calls of this name, from 1.
    ordinal: usize,
}

const STRACE: &str = "/usr/bin/strace";

struct Traced {
    child: Child,
    tracer: Tracer,
    log: NamedTempFile,
}

impl Traced {
    fn start(program: &Program, spawn: Spawn, options: &[&str]) -> Result<Self> {
        ensure!(Path::new(STRACE).exists(), Skip("strace is not installed; `cargo xtask test` installs it"));
        let log = NamedTempFile::new()?;
        // A seccomp profile would also confine a tracer that started the program.
        let mut child = Spawn { stopped: true, ..spawn }.spawn(program)?;
        child.wait_until("it stops", |child| process::is_stopped(child.pid))?;
        let mut strace = Command::new(STRACE);
        strace.arg("-qq").arg("-o").arg(log.path()).args(options).args(["-p", &child.pid.to_string()]);
        let tracer = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        child.wait_until("strace is attached", |child| process::is_traced(child.pid))?;
        child.signal(libc::SIGCONT)?;
        Ok(Self { child, tracer, log })
    }

    /// Waits until the program is ready, and sends it SIGCHLD and SIGTERM.
    fn live(mut self) -> Result<(Output, String)> {
        self.child.wait_until_ready()?;
        // Emulators wait for signals by other calls.
        self.wait_for("it runs its loop", &["pause(", "ppoll(NULL", "rt_sigsuspend("])?;
        self.child.signal(libc::SIGCHLD)?;
        // Of two signals at once the last is handled first.
        self.wait_for("it has handled SIGCHLD", &["sigreturn("])?;
        self.child.signal(libc::SIGTERM)?;
        self.end()
    }

    fn wait_for(&mut self, what: &str, texts: &[&str]) -> Result<()> {
        let log = self.log.path();
        self.child.wait_until(what, |_| {
            let trace = fs::read_to_string(log)?;
            Ok(texts.iter().any(|text| trace.contains(text)))
        })
    }

    /// Waits until the program ends. Returns the trace from its execve on.
    fn end(mut self) -> Result<(Output, String)> {
        let end = self.child.end()?;
        self.tracer.wait()?;
        let trace = fs::read_to_string(self.log.path())?;
        let start = trace.find("execve(").with_context(|| format!("it was not executed: {trace:?}"))?;
        Ok((end, trace[start..].into()))
    }
}

/// The calls of a run in which nothing fails; under an emulator, without its own calls, which come first.
fn calls(program: &Program) -> Result<Vec<Call>> {
    let (end, trace) = Traced::start(program, Spawn::new(Role::Ordinary), &[])?.live()?;
    ensure!(end.status.success(), "under strace it ended ({}): {end:?}", end.status);
    let mut calls: Vec<Call> = Vec::new();
    for (name, rest) in trace.lines().filter_map(|line| line.split_once('(')) {
        let ordinal = calls.iter().filter(|call| call.name == name).count() + 1;
        calls.push(Call { name: name.into(), rest: rest.into(), ordinal });
    }
    let first = calls.iter().rposition(installs("SIGTERM")).context("it never installs a handler for SIGTERM")?;
    Ok(calls.split_off(if program.emulator.is_some() { first } else { 0 }))
}

fn installs(signal: &str) -> impl Fn(&Call) -> bool {
    let start = format!("{signal}, {{");
    move |call| call.name == "rt_sigaction" && call.rest.starts_with(&start)
}

/// The strace option that makes a call fail.
fn inject(call: &Call, error: &str) -> String {
    format!("--inject={}:error={error}:when={}", call.name, call.ordinal)
}

pub fn first_call(program: &Program, _: Role) -> Result<()> {
    let first = match program.emulator {
        Some(_) => emulated_trace(program)?.lines().next().map(String::from),
        None => calls(program)?.get(1).map(|call| format!("{}({}", call.name, call.rest)),
    };
    let first = first.context("it makes no system call")?;
    ensure!(first.contains("rt_sigaction(15,") || first.contains("rt_sigaction(SIGTERM,"), "it is {first}");
    Ok(())
}

pub fn documented_calls(program: &Program, _: Role) -> Result<()> {
    let made: BTreeSet<String> = match &program.emulator {
        Some(_) => emulated_names(&emulated_trace(program)?).map(String::from).collect(),
        // The first one is its start.
        None => calls(program)?.into_iter().skip(1).map(|call| call.name).collect(),
    };
    let documented = documented(program)?;
    let is_whole = documented.own.iter().all(|&name| made.contains(name));
    ensure!(is_whole && made.iter().all(|name| documented.all().any(|known| known == name)), "it calls {made:?}");
    Ok(())
}

pub fn documented(program: &Program) -> Result<&'static SystemCalls> {
    // A program with another name is for this machine.
    let native = || SystemCalls::of(platform::native().ok()?.name);
    SystemCalls::of(&program.name).or_else(native).context("no calls are documented for it")
}

/// The emulator's own trace of a run: strace sees the emulator's calls too.
fn emulated_trace(program: &Program) -> Result<String> {
    let log = NamedTempFile::new()?;
    let stderr = Stream::File(log.reopen()?.into());
    let emulator_options = vec!["-strace".into()];
    let mut child = Spawn { emulator_options, stderr, ..Spawn::new(Role::Ordinary) }.ready(program)?;
    let reaps = || {
        let trace = fs::read_to_string(log.path())?;
        anyhow::Ok(emulated_names(&trace).filter(|name| *name == "wait4").count())
    };
    child.wait_until_asleep()?;
    let before = reaps()?;
    child.signal(libc::SIGCHLD)?;
    child.wait_until("it has handled SIGCHLD", |_| Ok(reaps()? > before))?;
    child.wait_until_asleep()?;
    let end = child.end_by(libc::SIGTERM)?;
    ensure!(end.status.success(), "traced by its emulator it ended with {end:?}");
    Ok(fs::read_to_string(log.path())?)
}

/// The names of the calls in it: each follows a number and a blank, and precedes a parenthesis.
fn emulated_names(trace: &str) -> impl Iterator<Item = &str> {
    let calls = trace.lines().filter_map(|line| line.split_once(' '));
    let calls = calls.filter(|(number, _)| number.parse::<u32>().is_ok());
    calls.filter_map(|(_, call)| Some(call.split_once('(')?.0))
}

/// Some kernels restart an interrupted poll by another call.
pub fn interrupted_poll(program: &Program, role: Role) -> Result<()> {
    let spawn = Spawn { stderr: Stream::Full, ..Spawn::new(role) };
    let mut traced = Traced::start(program, spawn, &["--inject=poll,ppoll:signal=SIGCONT:when=1"])?;
    traced.child.wait_until_ready()?;
    traced.wait_for("it is interrupted", &["--- SIGCONT"])?;
    traced.child.wait_until_asleep()?;
    traced.child.signal(libc::SIGTERM)?;
    let (end, trace) = traced.end()?;
    ensure!(end.status.success() && end.stderr.is_empty(), "it ended with {end:?}");
    let is_restarted = trace.contains("restart_syscall(");
    let documented = SystemCalls::of(platform::native()?.name).context("this machine's calls are documented")?;
    ensure!(is_restarted == documented.by_kernel.contains(&"restart_syscall"), "the trace is {trace}");
    Ok(())
}

/// It exits with this status if it can't install a handler for this signal.
pub fn without_handler(program: &Program, signal: &str, status: i32) -> Result<()> {
    let calls = calls(program)?;
    let call = calls.iter().find(|call| installs(signal)(call)).context("it never installs that handler")?;
    for error in ERRORS {
        let (end, _) = Traced::start(program, Spawn::new(Role::Ordinary), &[&inject(call, error)])?.end()?;
        ensure!(end.status.code() == Some(status), "{error}: it ended with {end:?}");
    }
    Ok(())
}

/// It becomes ready and exits with 0 on SIGTERM if any call of these names fails, and if all of one name do.
pub fn survives(program: &Program, names: &str) -> Result<()> {
    survives_once(program, names)?;
    let faults = names.split(',').flat_map(|name| ERRORS.map(|error| format!("--inject={name}:error={error}")));
    survives_each(program, faults)
}

/// It becomes ready and exits with 0 on SIGTERM if any one call of these names fails.
pub fn survives_once(program: &Program, names: &str) -> Result<()> {
    let mut calls = calls(program)?;
    calls.retain(|call| names.split(',').any(|name| name == call.name));
    ensure!(!calls.is_empty(), "it makes no such call");
    survives_each(program, calls.iter().flat_map(|call| ERRORS.map(|error| inject(call, error))))
}

pub fn version(program: &Program, role: Role) -> Result<()> {
    for error in ERRORS {
        let fault = format!("--inject=exit:error={error}:when=1");
        let (end, _) = Traced::start(program, Spawn::new(role).arguments(["-v"]), &[&fault])?.end()?;
        ensure!(end.status.success() && end.stderr.is_empty(), "{fault}: it ended with {end:?}");
    }
    Ok(())
}

fn survives_each(program: &Program, faults: impl Iterator<Item = String>) -> Result<()> {
    for fault in faults {
        let live = || Traced::start(program, Spawn::new(Role::Ordinary), &[&fault])?.live();
        let (end, _) = live().with_context(|| fault.clone())?;
        ensure!(end.status.success(), "{fault}: it ended with {end:?}");
    }
    Ok(())
}

/// The calls that the profile has to allow here. The runtime starts the program by execve.
pub fn allowed() -> impl Iterator<Item = &'static str> {
    let calls = platform::native().ok().and_then(|platform| SystemCalls::of(platform.name));
    calls.into_iter().flat_map(|calls| calls.all()).chain(["execve"])
}

/// Fails if the program passes the cases that make all calls under a profile without this one.
pub fn needs(program: &Program, profile: &Path, call: &str) -> Result<()> {
    let whole = serde_json::from_slice(&fs::read(profile)?)?;
    let file = NamedTempFile::new()?;
    fs::write(file.path(), seccomp::without(&whole, call).to_string())?;
    let confined = Program { profile: Some(file.path().into()), ..program.clone() };
    for case in [documented_calls, interrupted_poll] {
        if let Err(error) = case(&confined, Role::Ordinary) {
            // Any other error, or a reason to skip it, doesn't show that the profile is at work.
            return if format!("{error:#}").contains("(SIGSYS)") { Ok(()) } else { Err(error) };
        }
    }
    bail!("the cases pass without {call}")
}
