//! Injects every result that a kernel can return, at every system call of a program, alone and in pairs. A call with an
//! injected result is not made.

use crate::ptrace::Ptrace;
use crate::scenario::{INIT, ORDINARY, Pipes, message};
use crate::{INSTRUCTIONS, Scenario, Step, Tracee};
use anyhow::{Context, Result, bail, ensure};
use contract::{SYSTEM_CALLS, VERSION, WARNING};
use harness::{Output, Program, Role, process};
use iced_x86::{Decoder, DecoderOptions};
use nix::errno::Errno::{self, *};
use nix::libc;
use nix::sys::signal::Signal::{SIGCHLD, SIGINT, SIGTERM};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use syscalls::Sysno;
use xshell::Shell;
use xtask::parallel;
use xtask::platform::Platform;

const VERSION_ARGUMENT: &[&str] = &["x", "-v"];

static SCENARIOS: [Scenario; 6] = [
    Scenario { arguments: VERSION_ARGUMENT, ..INIT },
    Scenario { signals: &[SIGCHLD, SIGTERM], ..INIT },
    Scenario { signals: &[SIGCHLD, SIGINT], ..INIT },
    Scenario { arguments: VERSION_ARGUMENT, ..ORDINARY },
    Scenario { signals: &[SIGCHLD, SIGTERM], ..ORDINARY },
    Scenario { signals: &[SIGCHLD, SIGINT], ..ORDINARY },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InjectedResult {
    Error(Errno),
    Value(u16),
    /// Of poll, the file's events.
    Revents(i16),
}

/// Errors that a seccomp filter returns for any call.
const FILTER_ERRORS: [Errno; 2] = [EPERM, ENOSYS];

/// The events that poll can return if asked for POLLOUT.
const REVENTS: [i16; 4] = [libc::POLLOUT, libc::POLLERR, libc::POLLHUP, libc::POLLNVAL];

impl InjectedResult {
    /// Returns all results of a call: the errors of its manual page, and values. The kernel itself returns the others:
    /// a handler is installed, a message written.
    fn all(call: &Call) -> Vec<Self> {
        let all_but_one = (call.third as u16).wrapping_sub(1);
        let (errors, values): (&[Errno], &[u16]) = match call.number {
            Sysno::rt_sigaction | Sysno::rt_sigprocmask => (&[EFAULT, EINVAL], &[]),
            // No child has changed its state; or an unknown one has.
            Sysno::wait4 => (&[ECHILD, EINTR, EINVAL, ESRCH], &[0, 1000]),
            Sysno::getpid => (&[], &[1, 2, 1000]),
            Sysno::poll => (&[EFAULT, EINTR, EINVAL, ENOMEM], &[]),
            Sysno::write => (
                &[EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, EPIPE],
                &[0, 1, all_but_one],
            ),
            Sysno::pause => (&[EINTR], &[]),
            _ => (&[], &[]),
        };
        let sets = if call.number == Sysno::poll { 1 << REVENTS.len() } else { 0 };
        let events = |set: usize| (0..REVENTS.len()).filter(|bit| set >> bit & 1 != 0).map(|bit| REVENTS[bit]).sum();
        let errors = errors.iter().chain(&FILTER_ERRORS).map(|&error| Self::Error(error));
        let values = values.iter().map(|&value| Self::Value(value));
        errors.chain(values).chain((0..sets).map(|set| Self::Revents(events(set)))).collect()
    }

    fn value(self) -> i64 {
        match self {
            Self::Error(error) => -(error as i64),
            Self::Value(value) => value.into(),
            // Number of files with events.
            Self::Revents(events) => (events != 0).into(),
        }
    }
}

/// A system call, with its first and third argument.
#[derive(Clone, Debug)]
struct Call {
    number: Sysno,
    offset: u64,
    first: u64,
    third: u64,
    injected: Option<InjectedResult>,
}

/// A run of the program, from its first instruction to its end.
struct Trace {
    calls: Vec<Call>,
    reached: BTreeSet<u64>,
    /// A hash of the instructions in their order.
    path: u64,
    /// Whether there was a zombie while the program slept.
    left_zombies: bool,
    output: Output,
}

/// Injects a result: the index of the call, and the result.
type Injection = (usize, InjectedResult);

impl Trace {
    fn record(program: &Program, scenario: &Scenario, pipes: &Pipes, injections: &[Injection]) -> Result<Self> {
        let children = scenario.signals.iter().filter(|signal| **signal == SIGCHLD).count();
        let mut tracee = Ptrace::start(program, pipes.spawn(scenario, children)?)?;
        let mut signals = scenario.signals.iter();
        let (mut calls, mut reached, mut left_zombies) = (Vec::new(), BTreeSet::new(), false);
        let mut path = DefaultHasher::new();
        for _ in 0..INSTRUCTIONS {
            let offset = tracee.offset();
            offset.hash(&mut path);
            reached.insert(offset);
            if let Some(registers) = tracee.syscall()? {
                let number = Sysno::new(usize::try_from(registers.rax)?).context("unknown system call")?;
                let injected = injections.iter().find(|(index, _)| *index == calls.len()).map(|&(_, result)| result);
                calls.push(Call { number, offset, first: registers.rdi, third: registers.rdx, injected });
                if let Some(result) = injected {
                    if let InjectedResult::Revents(events) = result {
                        tracee.write_revents(registers.rdi, events)?;
                    }
                    tracee.skip_syscall(result.value())?;
                    continue;
                }
            }
            match tracee.step()? {
                Step::Stopped => {}
                Step::Asleep => {
                    left_zombies |= process::zombies(tracee.child.pid())? > 0;
                    tracee.send(*signals.next().context("it sleeps after a signal that should have ended it")?)?;
                }
                Step::Ended => {
                    let output = tracee.child.end()?;
                    return Ok(Self { calls, reached, path: path.finish(), left_zombies, output });
                }
            }
        }
        bail!("it does not end after {INSTRUCTIONS} instructions")
    }

    /// Returns all injections at calls from this index on.
    fn injections(&self, from: usize) -> Vec<Injection> {
        let all = |(index, call)| InjectedResult::all(call).into_iter().map(move |result| (index, result));
        self.calls.iter().enumerate().skip(from).flat_map(all).collect()
    }
}

#[derive(Debug, Default)]
pub struct Tally {
    /// Offsets of system calls.
    pub calls: BTreeSet<u64>,
    /// Different results at different calls of a scenario.
    pub results: usize,
    pub runs: usize,
    /// Hashes of the different paths through the program.
    pub paths: BTreeSet<u64>,
    /// Offsets of the instructions that were reached.
    pub reached: BTreeSet<u64>,
    pub violations: Vec<String>,
}

/// Injects every result and every two results in every scenario, on all processors. Stops early after `enough`
/// violations.
pub fn explore(program: &Program, enough: usize) -> Result<Tally> {
    let pipes = &Pipes::new()?;
    let mut tally = Tally::default();
    let mut firsts = Vec::new();
    for scenario in &SCENARIOS {
        firsts.extend(tally.run(program, scenario, pipes, &[]).into_iter().map(|first| (scenario, first)));
    }
    tally.results = firsts.len();
    let violations = AtomicUsize::new(tally.violations.len());
    let inject = |(scenario, first)| {
        let mut tally = Tally::default();
        if violations.load(Relaxed) < enough {
            for second in tally.run(program, scenario, pipes, &[first]) {
                tally.run(program, scenario, pipes, &[first, second]);
            }
            violations.fetch_add(tally.violations.len(), Relaxed);
        }
        tally
    };
    for found in parallel::map(firsts, parallel::processors(), inject) {
        tally.calls.extend(found.calls);
        tally.runs += found.runs;
        tally.paths.extend(found.paths);
        tally.reached.extend(found.reached);
        tally.violations.extend(found.violations);
    }
    Ok(tally)
}

impl Tally {
    /// Runs the program and checks the result. Returns all injections that can follow.
    fn run(&mut self, program: &Program, run: &Scenario, pipes: &Pipes, injections: &[Injection]) -> Vec<Injection> {
        self.runs += 1;
        let trace = Trace::record(program, run, pipes, injections);
        match trace.and_then(|trace| check(run, &trace).map(|()| trace)) {
            Ok(trace) => {
                self.calls.extend(trace.calls.iter().map(|call| call.offset));
                self.reached.extend(&trace.reached);
                self.paths.insert(trace.path);
                trace.injections(injections.last().map_or(0, |(index, _)| index + 1))
            }
            Err(error) => {
                self.violations.push(format!("{run:?}, {injections:?}: {error:#}"));
                Vec::new()
            }
        }
    }
}

/// The exit status if the handler of a signal can't be installed.
const STATUSES: [(i32, i32); 3] = [(libc::SIGTERM, 2), (libc::SIGINT, 1), (libc::SIGCHLD, 3)];

/// The oracle: fails if the contract requires something else.
fn check(scenario: &Scenario, trace: &Trace) -> Result<()> {
    let Trace { calls, left_zombies, output, .. } = trace;
    let documented = SYSTEM_CALLS.iter().find(|calls| calls.architecture == "amd64").context("it is in the table")?.own;
    let other = calls.iter().find(|call| !documented.contains(&call.number.name()));
    ensure!(other.is_none(), "undocumented system call: {other:?}");

    let failed = calls.iter().find(|call| call.number == Sysno::rt_sigaction && call.injected.is_some());
    let status = match failed {
        None => 0,
        Some(call) => STATUSES.iter().find(|(signal, _)| *signal as u64 == call.first).context("it handles another")?.1,
    };
    ensure!(output.status.code() == Some(status), "it ended with {}, expected status {status}", output.status);

    // If wait4 did not report a child, it can't have reaped it.
    let mut reaps = calls.iter().filter(|call| call.number == Sysno::wait4).filter_map(|call| call.injected);
    ensure!(!left_zombies || reaps.any(|result| result.value() <= 0), "it sleeps, and there is a zombie");

    let asked = scenario.arguments == VERSION_ARGUMENT;
    let messages = match failed {
        _ if asked => vec![VERSION],
        None => messages(scenario, calls)?,
        Some(_) => Vec::new(),
    };
    let written = written(&messages, calls)?;
    let expected = if asked { [written.as_str(), ""] } else { ["", written.as_str()] };
    let found = [&*output.stdout, &*output.stderr];
    ensure!(found == expected, "stdout and stderr are {found:?}, expected {expected:?}");
    Ok(())
}

/// Returns the messages that the program has to write to stderr.
fn messages(scenario: &Scenario, calls: &[Call]) -> Result<Vec<&'static str>> {
    let getpid = calls.iter().find(|call| call.number == Sysno::getpid).context("it does not call getpid")?;
    let is_init = getpid.injected.map_or(scenario.role == Role::Init, |result| result.value() == 1);
    let warning = (!is_init).then_some(WARNING);
    Ok(warning.into_iter().chain(scenario.signals.iter().filter_map(|signal| message(*signal))).collect())
}

/// Returns the part of these messages that is written. For each there is one poll. If that returns POLLOUT and nothing
/// else, one write follows, otherwise none.
fn written(messages: &[&str], calls: &[Call]) -> Result<String> {
    let is_output = |call: &&Call| [Sysno::poll, Sysno::write].contains(&call.number);
    let mut calls = calls.iter().filter(is_output).peekable();
    let mut written = String::new();
    for message in messages {
        let poll = calls.next().filter(|call| call.number == Sysno::poll);
        let poll = poll.with_context(|| format!("no poll before {message:?}"))?;
        let is_ready = poll.injected.is_none_or(|result| result == InjectedResult::Revents(libc::POLLOUT));
        let write = calls.next_if(|call| call.number == Sysno::write);
        ensure!(is_ready == write.is_some(), "stderr is ready for {message:?}: {is_ready}, but the write is {write:?}");
        if let Some(write) = write {
            ensure!(write.third == message.len() as u64, "it writes {} bytes of {message:?}", write.third);
            if write.injected.is_none() {
                written += message;
            }
        }
    }
    let more = calls.next();
    ensure!(more.is_none(), "it writes more than its messages: {more:?}");
    Ok(written)
}

/// Returns the offsets of the program's instructions in the file.
pub fn instructions(shell: &Shell, platform: &'static Platform) -> Result<BTreeSet<u64>> {
    let (program, functions) = disasm::functions(shell, platform)?;
    let decode = |(_, range): (String, Range<usize>)| {
        let start = range.start as u64;
        let decoder = Decoder::with_ip(64, &program[range], start, DecoderOptions::NONE);
        decoder.into_iter().map(|code| code.ip()).collect::<Vec<_>>()
    };
    Ok(functions.into_iter().flat_map(decode).collect())
}
