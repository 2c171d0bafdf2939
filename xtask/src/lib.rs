//! What makes pause: builds the program for every platform, packs it, and has it tested.
//!
//! Nothing here needs Linux. What proves and measures does; it is in crates of its own below `tests`, which use
//! this one: [`proofs`].

pub mod build;
pub mod command;
pub mod compiler;
pub mod debian;
pub mod digest;
pub mod digests;
pub mod flags;
pub mod floor;
pub mod image;
pub mod needs;
pub mod output;
#[cfg(unix)]
pub mod owner;
pub mod platform;
pub mod ports;
pub mod progress;
pub mod proofs;
pub mod seccomp;
pub mod sizes;
pub mod sources;
pub mod table;
pub mod test;
pub mod verify;
