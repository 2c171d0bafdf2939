//! System calls that are made to fail, by strace(1).

use crate::Skip;
use anyhow::{Context, Result, bail, ensure};
use contract::SystemCalls;
use harness::{End, Program, Role, Running, Start, Stream, process};
use nix::libc;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::NamedTempFile;
use xtask::platform;

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

/// A program that strace watches.
struct Traced {
    running: Running,
    tracer: Child,
    log: NamedTempFile,
}

impl Traced {
    /// Starts the program like that, under strace with these options.
    fn start(program: &Program, start: Start, options: &[&str]) -> Result<Self> {
        if !Path::new(STRACE).exists() {
            bail!(Skip("strace is not installed; `cargo xtask test` installs it"));
        }
        let log = NamedTempFile::new()?;
        // A tracer that started the program would be confined as it is.
        let mut running = Start { stopped: true, ..start }.spawn(program)?;
        running.wait_until("it stops", |running| process::is_stopped(running.pid()))?;
        let mut strace = Command::new(STRACE);
        strace.arg("-qq").arg("-o").arg(log.path()).args(options).args(["-p", &running.pid().to_string()]);
        let tracer = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut traced = Self { running, tracer, log };
        traced.running.wait_until("strace watches it", |running| process::is_traced(running.pid()))?;
        traced.running.signal(libc::SIGCONT)?;
        Ok(traced)
    }

    /// Has the program live its life: it becomes ready, gets a SIGCHLD and a SIGTERM.
    fn live(mut self) -> Result<(End, String)> {
        self.running.wait_until_ready()?;
        // An emulator waits for a signal in a way of its own.
        self.wait_for("it runs its loop", &["pause(", "ppoll(NULL", "rt_sigsuspend("])?;
        self.running.signal(libc::SIGCHLD)?;
        // Two signals at once would be handled last come, first served.
        self.wait_for("it has handled SIGCHLD", &["sigreturn("])?;
        self.running.signal(libc::SIGTERM)?;
        self.end()
    }

    /// Waits until one of these is in the trace.
    fn wait_for(&mut self, what: &str, texts: &[&str]) -> Result<()> {
        let log = self.log.path();
        self.running.wait_until(what, |_| {
            let trace = fs::read_to_string(log)?;
            Ok(texts.iter().any(|text| trace.contains(text)))
        })
    }

    /// Waits for the program's end. Returns that, and the trace from the moment at which it became the program.
    fn end(mut self) -> Result<(End, String)> {
        let end = self.running.end()?;
        self.tracer.wait()?;
        let trace = fs::read_to_string(self.log.path())?;
        let start = trace.find("execve(").with_context(|| format!("it was not executed: {trace:?}"))?;
        Ok((end, trace[start..].into()))
    }
}

/// Starts the program under strace, with these options.
fn start(program: &Program, options: &[&str]) -> Result<Traced> {
    Traced::start(program, Start::new(Role::Ordinary), options)
}

/// The calls of a life in which nothing fails, from the last one that installs a handler for SIGTERM. What
/// comes before that one is an emulator's.
fn calls(program: &Program) -> Result<Vec<Call>> {
    let (end, trace) = start(program, &[])?.live()?;
    ensure!(end.status.success(), "under strace it ended with {end:?}");
    let mut calls: Vec<Call> = Vec::new();
    for line in trace.lines() {
        if let Some((name, rest)) = line.split_once('(') {
            let ordinal = calls.iter().filter(|call| call.name == name).count() + 1;
            calls.push(Call { name: name.into(), rest: rest.into(), ordinal });
        }
    }
    let first = calls.iter().rposition(installs("SIGTERM")).context("it never installs a handler for SIGTERM")?;
    Ok(calls.split_off(if program.emulator.is_some() { first } else { 0 }))
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

/// It makes every call that it documents, and no other.
pub fn documented_calls(program: &Program, _: Role) -> Result<()> {
    let made: BTreeSet<String> = match &program.emulator {
        Some(_) => emulated_calls(program)?,
        // The first one is its start.
        None => calls(program)?.into_iter().skip(1).map(|call| call.name).collect(),
    };
    let documented = documented(program)?;
    let missing: Vec<_> = documented.own.iter().filter(|&&name| !made.contains(name)).collect();
    ensure!(missing.is_empty(), "it does not call {missing:?}");
    let other: Vec<_> = made.iter().filter(|name| !documented.all().any(|known| known == **name)).collect();
    ensure!(other.is_empty(), "it calls {other:?}");
    Ok(())
}

/// The calls that are documented for a program.
pub fn documented(program: &Program) -> Result<&'static SystemCalls> {
    // One that goes by another name is for this machine.
    let native = || SystemCalls::of(platform::native().ok()?.name);
    SystemCalls::of(&program.name).or_else(native).context("no calls are documented for it")
}

/// The names of the calls that it makes in a life under an emulator, which traces them itself: strace sees the
/// emulator's calls too.
fn emulated_calls(program: &Program) -> Result<BTreeSet<String>> {
    let log = NamedTempFile::new()?;
    let stderr = Stream::File(log.reopen()?.into());
    let emulator_options = vec!["-strace".into()];
    let mut running = Start { emulator_options, stderr, ..Start::new(Role::Ordinary) }.ready(program)?;
    // A number, a blank, and a name before a parenthesis.
    let name = |line: &str| {
        let (number, call) = line.split_once(' ')?;
        number.parse::<u32>().ok()?;
        Some(call.split_once('(')?.0.to_owned())
    };
    let trace = || -> Result<Vec<String>> { Ok(fs::read_to_string(log.path())?.lines().filter_map(name).collect()) };
    let reaps = || -> Result<usize> { Ok(trace()?.iter().filter(|name| *name == "wait4").count()) };
    running.wait_until_asleep()?;
    let before = reaps()?;
    running.signal(libc::SIGCHLD)?;
    running.wait_until("it has handled SIGCHLD", |_| Ok(reaps()? > before))?;
    running.wait_until_asleep()?;
    let end = running.terminate()?;
    ensure!(end.status.success(), "traced by its emulator it ended with {end:?}");
    Ok(trace()?.into_iter().collect())
}

/// It drops its message and goes on where the kernel makes it go on with a poll that something has interrupted.
pub fn interrupted_poll(program: &Program, role: Role) -> Result<()> {
    let stderr = || Start { stderr: Stream::Full, ..Start::new(role) };
    let interrupt = "--inject=poll,ppoll:signal=SIGCONT:when=1";
    let mut traced = Traced::start(program, stderr(), &[interrupt])?;
    traced.running.wait_until_ready()?;
    traced.wait_for("it is interrupted", &["--- SIGCONT"])?;
    traced.running.wait_until_asleep()?;
    traced.running.signal(libc::SIGTERM)?;
    let (end, trace) = traced.end()?;
    ensure!(end.status.success() && end.stderr.is_empty(), "it ended with {end:?}");
    let is_restarted = trace.contains("restart_syscall(");
    let documented = SystemCalls::of(platform::native()?.name).context("this machine's calls are documented")?;
    ensure!(is_restarted == documented.by_kernel.contains(&"restart_syscall"), "the trace is {trace}");
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
        let (end, _) = start(program, &[&inject(call, error)])?.end()?;
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

/// It exits with 0 on -v, even if it has to try twice.
pub fn version(program: &Program, role: Role) -> Result<()> {
    for error in ERRORS {
        let fault = format!("--inject=exit:error={error}:when=1");
        let (end, _) = Traced::start(program, Start::new(role).arguments(["-v"]), &[&fault])?.end()?;
        ensure!(end.status.success() && end.stderr.is_empty(), "{fault}: it ended with {end:?}");
    }
    Ok(())
}

fn survives_fault(program: &Program, fault: &str) -> Result<()> {
    let (end, _) = start(program, &[fault]).and_then(Traced::live).with_context(|| fault.to_string())?;
    ensure!(end.status.success(), "{fault}: it ended with {end:?}");
    Ok(())
}
