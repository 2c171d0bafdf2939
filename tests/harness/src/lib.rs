//! Starts a pause program in any condition that a process can be in, watches it and ends it.
//!
//! [`Spawn`] describes a start, and [`Child`] is the running program. [`process`] and [`wait`] observe processes that
//! others have started, too. An executable that uses orphan spawners calls [`orphan_spawner::run_if_asked`] first.

mod child;
mod filter;
mod landlock;
pub mod orphan_spawner;
mod privileges;
pub mod process;
mod spawn;
pub mod wait;

pub use child::{Child, Output};
pub use landlock::has_landlock;
pub use orphan_spawner::{OrphanSpawner, Orphans};
pub use privileges::Privileges;
pub use spawn::{NOT_EXECUTED, Role, Spawn, StdioPipe, Stream, c_strings};
pub use xtask::test::Program;
