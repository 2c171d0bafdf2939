//! What the driver prints on the machine's serial line and `cargo xtask boot` reads there. Both include this file.
//!
//! In this order, a line each:
//! - [`KERNEL`], `<release>, <bytes> byte pages`
//! - for each row [`RUN`], `<sentence>`, then [`PASSED`], `<sentence>`, or [`FAILED`], `<sentence>: <detail>`
//! - [`CLOSING`], `<n> passed, <n> failed`, after which the driver sends SIGTERM to the machine's PID 1, by then
//!   pause. The kernel says how that ended: it panics, and gives the exit status.
//!
//! [`FAILED`] may also come in between, where the driver itself can't go on.

/// On which kernel it runs.
pub const KERNEL: &str = "kernel ";

/// Which row it runs now.
pub const RUN: &str = "run ";

/// Which row has passed.
pub const PASSED: &str = "ok ";

/// Which row has failed, and why.
pub const FAILED: &str = "FAIL ";

/// All rows were run.
pub const CLOSING: &str = "driver: ";
