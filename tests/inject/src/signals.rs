//! Sends signals at every instruction of a program, and at every pair of instructions.
//!
//! An injection point is a place at which the program can be stopped, in one scenario: before an instruction on its way
//! to sleep, asleep, or on the way through the handler that a signal then calls and back. A pair is two such places,
//! the second on the way from the first.

use crate::scenario::{self, Pipes, SIGNALS, message};
use crate::{INSTRUCTIONS, Scenario, Stderr, Step, Tracee};
use anyhow::{Result, bail, ensure};
use contract::WARNING;
use harness::{Child, Program, Role, process};
use nix::sys::signal::Signal::{self, SIGCHLD, SIGINT, SIGTERM};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use xtask::parallel;

fn scenarios() -> impl Iterator<Item = Scenario> {
    let variants = |role| {
        let usual = Scenario { role, stderr: Stderr::Open, blocked: false };
        let [full, broken] = [Stderr::Full, Stderr::Broken].map(|stderr| Scenario { stderr, ..usual });
        [usual, full, broken, Scenario { blocked: true, ..usual }]
    };
    [Role::Init, Role::Ordinary].into_iter().flat_map(variants)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// One signal at each point on the way to sleep, and in the sleep.
    Singles,
    /// Also a second signal at each point on the way through a handler that interrupts the sleep, and back.
    Handlers,
    /// Also a second signal at each point on the way from a system call. The instructions between two calls don't change
    /// the kernel's part of the state: the handlers and the mask.
    Calls,
    /// Also a second signal at each point on the way from any other.
    Pairs,
}

#[derive(Debug, Default)]
pub struct Tally {
    pub points: usize,
    pub pairs: usize,
    pub runs: usize,
    /// Signals that could not be sent.
    pub left_out: usize,
    pub violations: Vec<String>,
}

/// Injects every signal at every point, on all processors. Stops early after `enough` violations.
pub fn explore<T: Tracee>(program: &Program, depth: Depth, enough: usize) -> Result<Tally> {
    let pipes = &Pipes::new()?;
    let mut tally = Tally::default();
    let mut points = Vec::new();
    for scenario in scenarios() {
        // With a child, which wait4 returns, the way can be another.
        let count = |children| count_points::<T>(program, &scenario, pipes, children);
        match count(0).and_then(|without| Ok(without.max(count(1)?))) {
            Ok(count) => {
                let point = |steps| InjectionPoint { program, scenario, pipes, steps, is_last: steps + 1 == count };
                points.extend((0..count).map(point));
            }
            Err(error) => tally.violations.push(format!("{scenario:?}: {error:#}")),
        }
    }
    let violations = &AtomicUsize::new(tally.violations.len());
    let inject = |point: InjectionPoint| point.inject_all::<T>(depth, violations, enough);
    for found in parallel::map(points, parallel::processors(), inject) {
        tally.points += found.points;
        tally.pairs += found.pairs;
        tally.runs += found.runs;
        tally.left_out += found.left_out;
        tally.violations.extend(found.violations);
    }
    Ok(tally)
}

/// Returns the number of points at which a program can be stopped on its way to sleep, including the sleep.
fn count_points<T: Tracee>(program: &Program, scenario: &Scenario, pipes: &Pipes, children: usize) -> Result<usize> {
    let mut tracee = T::start(program, pipes.spawn(scenario, children)?)?;
    for point in 1..INSTRUCTIONS {
        match tracee.step()? {
            Step::Stopped => {}
            Step::Asleep => return Ok(point + 1),
            Step::Ended => bail!("it ends without a signal"),
        }
    }
    bail!("it does not sleep after {INSTRUCTIONS} instructions")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// All signals were sent, and the result was checked.
    Complete,
    /// The same, and the first one came before a system call or within one that sleeps.
    AtCall,
    NotSent,
    /// The program was asleep or had ended before the place of a signal.
    TooFar,
}

struct InjectionPoint<'a> {
    program: &'a Program,
    scenario: Scenario,
    pipes: &'a Pipes,
    /// Instructions before it.
    steps: usize,
    /// Whether the program sleeps there.
    is_last: bool,
}

impl InjectionPoint<'_> {
    fn inject_all<T: Tracee>(&self, depth: Depth, violations: &AtomicUsize, enough: usize) -> Tally {
        let mut tally = Tally::default();
        let inject = |tally: &mut Tally, signals: &[(usize, Signal)]| {
            if violations.load(Relaxed) >= enough {
                return Progress::TooFar;
            }
            let progress = self.run::<T>(signals).unwrap_or_else(|error| {
                tally.violations.push(format!("{:?}, {signals:?}: {error:#}", self.scenario));
                violations.fetch_add(1, Relaxed);
                Progress::Complete
            });
            tally.runs += usize::from(matches!(progress, Progress::Complete | Progress::AtCall));
            tally.left_out += usize::from(progress == Progress::NotSent);
            progress
        };
        tally.points += 1;
        for signal in SIGNALS {
            let first = (self.steps, signal);
            let has_pairs = match inject(&mut tally, &[first]) {
                Progress::AtCall if depth == Depth::Calls => true,
                Progress::AtCall | Progress::Complete => {
                    depth == Depth::Pairs || depth == Depth::Handlers && self.is_last
                }
                Progress::NotSent | Progress::TooFar => false,
            };
            if !has_pairs {
                continue;
            }
            let mut later = 0;
            while inject(&mut tally, &[first, (later, SIGTERM)]) != Progress::TooFar {
                for second in [SIGINT, SIGCHLD] {
                    inject(&mut tally, &[first, (later, second)]);
                }
                tally.points += usize::from(self.is_last);
                tally.pairs += usize::from(depth >= Depth::Calls);
                later += 1;
            }
        }
        tally
    }

    /// Runs the program once, with each signal this many steps after the previous one.
    fn run<T: Tracee>(&self, signals: &[(usize, Signal)]) -> Result<Progress> {
        let children = signals.iter().filter(|(_, signal)| *signal == SIGCHLD).count();
        let mut tracee = T::start(self.program, self.pipes.spawn(&self.scenario, children)?)?;
        let mut sent: Vec<Sent> = Vec::new();
        let (mut is_asleep, mut at_call) = (false, false);
        for &(steps, signal) in signals {
            for _ in 0..steps {
                if is_asleep && self.is_last && sent.is_empty() {
                    // Without a child the way to sleep is shorter.
                    break;
                }
                if is_asleep {
                    return Ok(Progress::TooFar);
                }
                match tracee.step()? {
                    Step::Stopped => {}
                    Step::Asleep => is_asleep = true,
                    Step::Ended => return Ok(Progress::TooFar),
                }
            }
            if !tracee.accepts(signal)? {
                return Ok(Progress::NotSent);
            }
            if sent.is_empty() {
                at_call = is_asleep || tracee.is_at_call()?;
            }
            let state = tracee.signals()?;
            let together = sent.iter().any(|sent| state.pending & process::bit(sent.signal as i32) != 0);
            sent.push(Sent { signal, handled: state.will_handle(signal as i32), together });
            tracee.send(signal)?;
            is_asleep = false;
        }
        check(tracee.detach()?, &self.scenario, sent)?;
        Ok(if at_call { Progress::AtCall } else { Progress::Complete })
    }
}

struct Sent {
    signal: Signal,
    /// Whether the handler was installed, or the signal blocked until then. Otherwise the kernel's default applies.
    handled: bool,
    /// Whether the previous one was still pending.
    together: bool,
}

/// The oracle: fails if a program that runs on its own does not do what must follow. One that sleeps gets SIGTERM.
fn check(mut child: Child, scenario: &Scenario, mut sent: Vec<Sent>) -> Result<()> {
    let ending = |sent: &&Sent| message(sent.signal).is_some();
    // The kernel protects PID 1 from signals without a handler.
    let is_fatal = |sent: &&Sent| !sent.handled && scenario.role == Role::Ordinary;
    let fatal: Vec<_> = sent.iter().filter(ending).filter(is_fatal).map(|sent| sent.signal as i32).collect();
    let sleeps = fatal.is_empty() && !sent.iter().filter(ending).any(|sent| sent.handled);
    if sleeps {
        child.wait_until_asleep()?;
        let zombies = process::zombies(child.pid)?;
        ensure!(zombies == 0, "it sleeps, and there are {zombies} zombies");
        scenario::send(child.pid, SIGTERM)?;
        sent.push(Sent { signal: SIGTERM, handled: true, together: false });
    }
    let output = child.end()?;
    match output.status.signal() {
        Some(signal) => ensure!(fatal.contains(&signal), "it was killed by signal {signal}"),
        None => ensure!(fatal.is_empty() && output.status.code() == Some(0), "it ended with {}", output.status),
    }
    let expected = messages(scenario, sleeps, !fatal.is_empty(), &sent);
    ensure!(expected.contains(&output.stderr), "stderr is {:?}, expected one of {expected:?}", output.stderr);
    ensure!(output.stdout.is_empty(), "stdout is {:?}", output.stdout);
    Ok(())
}

fn messages(scenario: &Scenario, sleeps: bool, killed: bool, sent: &[Sent]) -> Vec<String> {
    if scenario.stderr != Stderr::Open {
        return vec![String::new()];
    }
    let warnings = match scenario.role {
        Role::Init => vec![""],
        Role::Ordinary if sleeps => vec![WARNING],
        Role::Ordinary => vec!["", WARNING],
    };
    let mut handled: Vec<_> = sent.iter().filter(|sent| sent.handled && message(sent.signal).is_some()).collect();
    // Of several pending signals, the kernel delivers the lower number first. The other's handler interrupts it.
    if handled.iter().any(|sent| sent.together) {
        handled.sort_by_key(|sent| sent.signal as i32);
        handled.drain(..handled.len() - 1);
    }
    // A handler that runs blocks its own signal and no other.
    handled.dedup_by_key(|sent| sent.signal);
    let messages: Vec<_> = handled.iter().filter_map(|sent| message(sent.signal)).collect();
    let messages = match messages[..] {
        // It may have been killed before it could write.
        _ if killed => vec![String::new(), messages.concat()],
        // The second handler may have run before the first one wrote. It always writes its own message.
        [first, second] => vec![second.into(), format!("{first}{second}")],
        _ => vec![messages.concat()],
    };
    warnings.iter().flat_map(|warning| messages.iter().map(move |message| format!("{warning}{message}"))).collect()
}
