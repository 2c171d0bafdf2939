//! Stops the program before each instruction in turn, sends it a signal there, and checks that it keeps its contract.
//!
//! A [`Tracee`] is stopped by the kernel ([`ptrace`]) or by its emulator ([`emulator`]).

pub mod emulator;
mod gdb;
#[cfg(target_arch = "x86_64")]
pub mod ptrace;
mod scenario;
pub mod signals;

use anyhow::Result;
use harness::process::Signals;
use harness::{Child, Program, Spawn};
use nix::sys::signal::Signal;
use scenario::{Scenario, Stderr};

/// Limit for the instructions of a run, many times the number that the program executes.
const INSTRUCTIONS: usize = 10_000;

/// The program fits in one page.
const PAGE: u64 = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Stopped before another instruction, possibly the first one of a handler.
    Stopped,
    /// In a system call that sleeps.
    Asleep,
    Ended,
}

/// A program that is stopped between two instructions, or asleep in a system call. Dropping it kills the program.
pub trait Tracee: Sized {
    /// Starts a program, stopped before its first instruction.
    fn start(program: &Program, spawn: Spawn) -> Result<Self>;

    /// Delivers the pending signal or else executes one instruction. A program that is asleep stays so without one.
    fn step(&mut self) -> Result<Step>;

    fn is_at_call(&mut self) -> Result<bool>;

    fn signals(&self) -> Result<Signals>;

    fn accepts(&self, _signal: Signal) -> Result<bool> {
        Ok(true)
    }

    fn send(&mut self, signal: Signal) -> Result<()>;

    /// Lets the program run on its own.
    fn detach(self) -> Result<Child>;
}
