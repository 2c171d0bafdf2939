//! A life of the program, from its first instruction to its end, with some answers given in the kernel's place.

use crate::answer::Answer;
use anyhow::{Context, Result, bail};
use harness::{End, Program, Role, Start, process};
use points::ptrace::Traced;
use points::{Channel, Condition, Event, Stderr, Step, Stopped};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use syscalls::Sysno;

/// What happens in a life.
pub struct Life {
    /// What one calls it.
    pub name: &'static str,
    /// What the program is in its PID namespace.
    pub role: Role,
    /// Its arguments.
    pub arguments: &'static [&'static str],
    /// What comes when it sleeps, one after the other.
    pub events: &'static [Event],
}

const TERMINATED: &[Event] = &[Event::ChildDies, Event::Terminate];
const INTERRUPTED: &[Event] = &[Event::ChildDies, Event::Interrupt];

/// All lives.
#[rustfmt::skip]
pub static LIVES: [Life; 6] = [
    Life { name: "as PID 1, with -v",                    role: Role::Init,     arguments: &["x", "-v"], events: &[] },
    Life { name: "as PID 1, until SIGTERM",              role: Role::Init,     arguments: &[],          events: TERMINATED },
    Life { name: "as PID 1, until SIGINT",               role: Role::Init,     arguments: &[],          events: INTERRUPTED },
    Life { name: "as another process, with -v",          role: Role::Ordinary, arguments: &["x", "-v"], events: &[] },
    Life { name: "as another process, until SIGTERM",    role: Role::Ordinary, arguments: &[],          events: TERMINATED },
    Life { name: "as another process, until SIGINT",     role: Role::Ordinary, arguments: &[],          events: INTERRUPTED },
];

/// How many instructions a life may take: many times what it does take.
const MOST_INSTRUCTIONS: usize = 10_000;

/// A system call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which one.
    pub number: Sysno,
    /// Where in the file.
    pub place: u64,
    /// Its first argument.
    pub first: u64,
    /// Its third argument.
    pub third: u64,
    /// What was answered in the kernel's place, if something was.
    pub answer: Option<Answer>,
}

/// What became of it.
pub struct Lived {
    /// The system calls, in their order.
    pub calls: Vec<Call>,
    /// Where the instructions are that were reached.
    pub reached: BTreeSet<u64>,
    /// A number for the way through the program.
    pub path: u64,
    /// How many zombies were there each time that it slept.
    pub zombies: Vec<usize>,
    /// How it ended.
    pub end: End,
    /// What it wrote to stderr.
    pub said: String,
}

impl Life {
    /// Lives it, with an answer for each system call of these numbers, counted from 0.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn live(&self, program: &Program, answers: &[(usize, Answer)], stderr: &mut Channel) -> Result<Lived> {
        let condition = Condition { role: self.role, stderr: Stderr::Open, blocked: false };
        let children = self.events.iter().filter(|event| **event == Event::ChildDies).count();
        let start = Start::arguments(condition.start(stderr, children)?, self.arguments.iter().copied());
        let mut traced = Traced::start(program, start)?;
        let mut events = self.events.iter();
        let (mut calls, mut reached, mut zombies) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut path = DefaultHasher::new();
        for _ in 0..MOST_INSTRUCTIONS {
            let place = traced.place()?;
            place.hash(&mut path);
            reached.insert(place);
            if let Some(registers) = traced.system_call()? {
                let number = Sysno::new(usize::try_from(registers.rax)?).context("it makes a call that is none")?;
                let answer = answers.iter().find(|(index, _)| *index == calls.len()).map(|&(_, answer)| answer);
                calls.push(Call { number, place, first: registers.rdi, third: registers.rdx, answer });
                if let Some(answer) = answer {
                    if let Answer::Ready(ready) = answer {
                        traced.write_revents(registers.rdi, ready)?;
                    }
                    traced.answer(registers, answer.result())?;
                    continue;
                }
            }
            match traced.step()? {
                Step::Stopped => {}
                Step::Asleep => {
                    zombies.push(process::zombies(traced.pid())?);
                    traced.send(*events.next().context("it sleeps although it was told to end")?)?;
                }
                Step::Ended => {
                    let (end, said) = (traced.into_running().end()?, stderr.take()?);
                    return Ok(Lived { calls, reached, path: path.finish(), zombies, end, said });
                }
            }
        }
        bail!("it does not end after {MOST_INSTRUCTIONS} instructions")
    }
}
