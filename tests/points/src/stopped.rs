//! What all ways to stop a program have in common.

use crate::Event;
use anyhow::Result;
use harness::process::Signals;
use harness::{Program, Running, Start};

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The program is stopped before another instruction, perhaps the first one of a handler.
    Stopped,
    /// The instruction is a system call that sleeps.
    Asleep,
    /// The program has ended.
    Ended,
}

/// A program that is stopped between two instructions, or asleep in a system call. It is killed when it is dropped.
pub trait Stopped: Sized {
    /// Starts a program, stopped before its first instruction.
    ///
    /// # Errors
    /// Where it can't be started, or not be stopped.
    fn start(program: &Program, start: Start) -> Result<Self>;

    /// Lets the program go to its next instruction: what was sent is delivered, or else one instruction is executed.
    /// One that sleeps stays asleep where nothing was sent.
    ///
    /// # Errors
    /// Where the program does not stop any more.
    fn step(&mut self) -> Result<Step>;

    /// Where in its file the next instruction is. A program sleeps in the one before it.
    ///
    /// # Errors
    /// Where that can't be known.
    fn place(&self) -> Result<u64>;

    /// What the program does with signals, and which are on their way.
    ///
    /// # Errors
    /// Where that can't be known.
    fn signals(&self) -> Result<Signals>;

    /// Whether an event can be sent now.
    ///
    /// # Errors
    /// Where that can't be known.
    fn takes(&self, _event: Event) -> Result<bool> {
        Ok(true)
    }

    /// Has something happen to the program where it is.
    ///
    /// # Errors
    /// Where that can't be.
    fn send(&mut self, event: Event) -> Result<()>;

    /// Lets the program go on by itself.
    ///
    /// # Errors
    /// Where it can't be let go.
    fn let_go(self) -> Result<Running>;
}
