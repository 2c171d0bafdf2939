//! All answers at all system calls, and all pairs of them.

use crate::answer::{Answer, answers};
use crate::judgement::judge;
use crate::life::{Call, LIVES, Life, Lived};
use anyhow::Result;
use harness::Program;
use points::{Channel, Stderr};
use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// What was tried, and what came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Where system calls were made.
    pub places: BTreeSet<u64>,
    /// Different answers, at different system calls of a life.
    pub answers: usize,
    /// How often the program was run.
    pub runs: usize,
    /// A number for each way through the program.
    pub paths: BTreeSet<u64>,
    /// Where the instructions are that were reached.
    pub reached: BTreeSet<u64>,
    /// What it should not have done.
    pub violations: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.places.extend(other.places);
        self.answers += other.answers;
        self.runs += other.runs;
        self.paths.extend(other.paths);
        self.reached.extend(other.reached);
        self.violations.extend(other.violations);
    }
}

/// Gives a program every answer at every system call, and every two answers, in every life, on all of this machine's
/// processors. Ends early once it has found so many violations.
///
/// # Errors
/// Where that can't be done.
pub fn explore(program: &Program, enough: usize) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut firsts = Vec::new();
    for life in &LIVES {
        let calls = tally.live(program, life, &[], &mut Channel::new(Stderr::Open)?);
        firsts.extend(choices(&calls, 0).into_iter().map(|choice| (life, choice)));
    }
    tally.answers = firsts.len();
    let (next, violations) = (AtomicUsize::new(0), AtomicUsize::new(tally.violations.len()));
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let channels: Vec<_> = (0..workers).map(|_| Channel::new(Stderr::Open)).collect::<Result<_>>()?;
    let work = |mut stderr: Channel| {
        let mut tally = Tally::default();
        while violations.load(Relaxed) < enough
            && let Some(&(life, first)) = firsts.get(next.fetch_add(1, Relaxed))
        {
            let before = tally.violations.len();
            let calls = tally.live(program, life, &[first], &mut stderr);
            for second in choices(&calls, first.0 + 1) {
                if violations.load(Relaxed) + tally.violations.len() - before >= enough {
                    break;
                }
                tally.live(program, life, &[first, second], &mut stderr);
            }
            violations.fetch_add(tally.violations.len() - before, Relaxed);
        }
        tally
    };
    thread::scope(|scope| {
        let workers: Vec<_> = channels.into_iter().map(|channel| scope.spawn(|| work(channel))).collect();
        workers.into_iter().for_each(|worker| tally.add(worker.join().expect("a worker does not panic")));
    });
    Ok(tally)
}

/// All that can be answered at these calls, from one on.
fn choices(calls: &[Call], from: usize) -> Vec<(usize, Answer)> {
    let choices = |(index, call): (usize, &Call)| {
        answers(call.number, call.third as u16).into_iter().map(move |answer| (index, answer)).collect::<Vec<_>>()
    };
    calls.iter().enumerate().skip(from).flat_map(choices).collect()
}

impl Tally {
    /// Lives a life with these answers, and judges it. Returns the calls that were made.
    fn live(&mut self, program: &Program, life: &Life, answers: &[(usize, Answer)], stderr: &mut Channel) -> Vec<Call> {
        self.runs += 1;
        let lived = life.live(program, answers, stderr);
        let judged = lived.as_ref().map_err(|error| format!("{error:#}"));
        let judged = judged.and_then(|lived| judge(life, lived).map_err(|error| format!("{error:#}")));
        if let Err(violation) = judged {
            let answers: Vec<_> = answers.iter().map(|(index, answer)| format!("{answer} to call {index}")).collect();
            self.violations.push(format!("{}, {}: {violation}", life.name, answers.join(", then ")));
        }
        let Ok(Lived { calls, reached, path, .. }) = lived else {
            // Nobody reads what it may have said before.
            let _ = stderr.take();
            return Vec::new();
        };
        self.places.extend(calls.iter().map(|call| call.place));
        self.reached.extend(reached);
        self.paths.insert(path);
        calls
    }
}
