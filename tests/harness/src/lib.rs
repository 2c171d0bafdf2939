//! Starts a pause program in any condition that a process can be in, watches it and ends it.
//!
//! - [`Start`] says how: as PID 1 of a new namespace or not, with these streams, limits, signals and children.
//! - [`Running`] is the program that was started. It is killed when it is dropped.
//! - An [`Assistant`] is a child of the program that makes orphans for it.
//! - [`process`] and [`wait`] look at processes that others have started, a container runtime say.
//!
//! An executable that starts assistants calls [`assistant::run_if_asked`] before anything else.

pub mod assistant;
mod filter;
mod landlock;
mod privileges;
pub mod process;
mod running;
mod start;
mod strings;
pub mod wait;

pub use assistant::{Assistant, Orphans};
pub use landlock::has_landlock;
pub use privileges::Privileges;
pub use running::{End, Running};
pub use start::{Ends, NOT_EXECUTED, Role, Start, Stream};
pub use strings::Strings;
pub use xtask::test::Program;
