//! All points, and all pairs of points.

use crate::judgement::{Sent, judge};
use crate::{CONDITIONS, Channel, Condition, Event, Step, Stopped};
use anyhow::{Context, Result, bail};
use harness::Program;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// How many instructions the program may take to sleep: many times what it does take.
const MOST_INSTRUCTIONS: usize = 10_000;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// One event at each point on the way to sleep, and in the sleep.
    Singles,
    /// That, and another event at each point on the way from the sleep: through the handler that the first one calls,
    /// and back.
    Handlers,
    /// That, and another event at each point on the way from any other.
    Pairs,
}

/// What was tried, and what came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// At how many points the program was stopped.
    pub points: usize,
    /// At how many pairs of points.
    pub pairs: usize,
    /// How often it was run.
    pub runs: usize,
    /// How often it was not, because an event could not be sent there.
    pub left_out: usize,
    /// What it should not have done.
    pub violations: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.points += other.points;
        self.pairs += other.pairs;
        self.runs += other.runs;
        self.left_out += other.left_out;
        self.violations.extend(other.violations);
    }
}

/// The first thing that a program should not have done, in any condition.
///
/// # Errors
/// Where that can't be found out.
pub fn first_violation<S: Stopped>(program: &Program, depth: Depth) -> Result<Option<String>> {
    Ok(explore::<S>(program, &CONDITIONS, depth, 1)?.violations.pop())
}

/// Has every event come at every point of a program in these conditions, on all of this machine's processors. Ends early
/// once it has found so many violations.
///
/// # Errors
/// Where that can't be done.
pub fn explore<S: Stopped>(program: &Program, conditions: &[Condition], depth: Depth, enough: usize) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut points = Vec::new();
    for condition in conditions {
        match count_points::<S>(program, condition) {
            Ok(count) => {
                points.extend((0..count).map(|point| Visit { program, condition, point, is_last: point + 1 == count }))
            }
            Err(error) => tally.violations.push(format!("{condition}: {error:#}")),
        }
    }
    let (next, violations) = (AtomicUsize::new(0), AtomicUsize::new(tally.violations.len()));
    // Before any of them starts a program.
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let channels: Vec<_> = (0..workers)
        .map(|_| conditions.iter().map(|condition| Channel::new(condition.stderr)).collect::<Result<Vec<_>>>())
        .collect::<Result<_>>()?;
    let work = |mut channels: Vec<Channel>| -> Result<Tally> {
        let mut tally = Tally::default();
        while violations.load(Relaxed) < enough
            && let Some(visit) = points.get(next.fetch_add(1, Relaxed))
        {
            let is_its = |other: &Condition| std::ptr::eq(visit.condition, other);
            let index = conditions.iter().position(is_its).context("one of them")?;
            let found = visit.all::<S>(depth, &mut channels[index])?;
            violations.fetch_add(found.violations.len(), Relaxed);
            tally.add(found);
        }
        Ok(tally)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = channels.into_iter().map(|channels| scope.spawn(|| work(channels))).collect();
        for worker in workers {
            tally.add(worker.join().expect("a worker does not panic")?);
        }
        Ok(tally)
    })
}

/// At how many points a program can be stopped on its way to sleep, and when it sleeps. With a child, which wait4 answers
/// for, the way can be another.
fn count_points<S: Stopped>(program: &Program, condition: &Condition) -> Result<usize> {
    let alone = count_points_beside::<S>(program, condition, 0)?;
    Ok(alone.max(count_points_beside::<S>(program, condition, 1)?))
}

fn count_points_beside<S: Stopped>(program: &Program, condition: &Condition, children: usize) -> Result<usize> {
    let channel = Channel::new(condition.stderr)?;
    let mut stopped = S::start(program, condition.start(&channel, children)?)?;
    for point in 1..MOST_INSTRUCTIONS {
        match stopped.step()? {
            Step::Stopped => {}
            Step::Asleep => return Ok(point + 1),
            Step::Ended => bail!("it ends although nothing has come"),
        }
    }
    bail!("it does not sleep after {MOST_INSTRUCTIONS} instructions")
}

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// All events were sent, and the program was judged.
    ToTheEnd,
    /// One of them could not be sent.
    NotAllSent,
    /// The program sleeps or has ended before there was a place for all of them.
    TooFar,
}

/// All that can come at one point.
struct Visit<'a> {
    program: &'a Program,
    condition: &'a Condition,
    point: usize,
    /// Whether the program sleeps there.
    is_last: bool,
}

impl Visit<'_> {
    fn all<S: Stopped>(&self, depth: Depth, stderr: &mut Channel) -> Result<Tally> {
        let mut tally = Tally { points: 1, ..Tally::default() };
        for first in Event::ALL {
            let first_came = self.once::<S>(&[(self.point, first)], stderr, &mut tally)?;
            let goes_on = match depth {
                Depth::Singles => false,
                Depth::Handlers => self.is_last,
                Depth::Pairs => true,
            };
            if !goes_on || first_came == Came::NotAllSent {
                continue;
            }
            let mut later = 0;
            while self.once::<S>(&[(self.point, first), (later, Event::Terminate)], stderr, &mut tally)? != Came::TooFar
            {
                for second in [Event::Interrupt, Event::ChildDies] {
                    self.once::<S>(&[(self.point, first), (later, second)], stderr, &mut tally)?;
                }
                tally.points += usize::from(self.is_last);
                tally.pairs += usize::from(depth == Depth::Pairs);
                later += 1;
            }
        }
        Ok(tally)
    }

    /// Runs the program once, with each event so many steps after the one before. Returns how far it came.
    fn once<S: Stopped>(&self, events: &[(usize, Event)], stderr: &mut Channel, tally: &mut Tally) -> Result<Came> {
        let came = self.run::<S>(events, stderr);
        match came {
            Ok(Came::TooFar) => return Ok(Came::TooFar),
            Ok(Came::NotAllSent) => {
                tally.left_out += 1;
                return Ok(Came::NotAllSent);
            }
            _ => tally.runs += 1,
        }
        if let Err(error) = came {
            let events: Vec<_> = events.iter().map(|(steps, event)| format!("{event} after {steps} steps")).collect();
            tally.violations.push(format!("{}, {}: {error:#}", self.condition, events.join(", then ")));
            *stderr = Channel::new(self.condition.stderr)?;
        }
        Ok(Came::ToTheEnd)
    }

    fn run<S: Stopped>(&self, events: &[(usize, Event)], stderr: &mut Channel) -> Result<Came> {
        let children = events.iter().filter(|(_, event)| *event == Event::ChildDies).count();
        let mut stopped = S::start(self.program, self.condition.start(stderr, children)?)?;
        let mut sent: Vec<Sent> = Vec::new();
        let mut asleep = false;
        for &(steps, event) in events {
            for _ in 0..steps {
                if asleep {
                    // The way to this sleep is the shorter one.
                    if self.is_last && sent.is_empty() {
                        break;
                    }
                    stderr.take()?;
                    return Ok(Came::TooFar);
                }
                match stopped.step()? {
                    Step::Stopped => {}
                    Step::Asleep => asleep = true,
                    Step::Ended => {
                        stderr.take()?;
                        return Ok(Came::TooFar);
                    }
                }
            }
            if !stopped.takes(event)? {
                stderr.take()?;
                return Ok(Came::NotAllSent);
            }
            let signals = stopped.signals()?;
            let together = sent.iter().any(|sent| signals.is_pending(sent.event.signal()));
            sent.push(Sent { event, handled: signals.will_handle(event.signal()), together });
            stopped.send(event)?;
            asleep = false;
        }
        judge(stopped.let_go()?, self.condition, &sent, stderr)?;
        Ok(Came::ToTheEnd)
    }
}
