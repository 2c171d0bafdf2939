//! Builds the program for every platform, packs it, tests it and releases it.
//!
//! Only the tests need Linux. They are crates below `tests`, which use this one: [`subcommands`].

pub mod bless;
pub mod build;
pub mod command;
pub mod compiler;
pub mod debian;
pub mod digest;
pub mod flags;
pub mod golden;
pub mod image;
pub mod messages;
pub mod output;
#[cfg(unix)]
pub mod owner;
pub mod parallel;
pub mod platform;
pub mod prerequisites;
pub mod release;
pub mod seccomp;
pub mod sources;
pub mod subcommands;
pub mod table;
pub mod test;
pub mod verify;
