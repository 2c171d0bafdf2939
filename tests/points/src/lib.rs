//! Stops the program before every instruction in turn, sends it what can come there, and sees what becomes of it.
//!
//! - A [`Condition`] says how the program is started, an [`Event`] what comes.
//! - [`Stopped`] is a program that is stopped between two instructions. How that is done is [`ptrace`]'s business, or
//!   [`emulator`]'s.
//! - [`judgement`] says what must follow.
//! - [`explore`] goes through all of it.
//!
//! A point is a place where the program can be stopped, in one condition: before an instruction on its way to sleep,
//! asleep, or on the way through what an event then calls and back. A pair is two such places, the second on the way
//! from the first.

mod condition;
pub mod emulator;
mod explore;
mod gdb;
pub mod judgement;
#[cfg(target_arch = "x86_64")]
pub mod ptrace;
mod stopped;

pub use condition::{CONDITIONS, Channel, Condition, Event, Stderr};
pub use explore::{Depth, Tally, explore, first_violation};
pub use stopped::{Step, Stopped};
