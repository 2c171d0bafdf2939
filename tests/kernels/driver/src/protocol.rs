//! The lines that the driver prints on the machine's serial line. `cargo xtask kernels`, which reads them, includes
//! this file.
//!
//! - [`KERNEL`]`<release>, <KiB> KiB pages`
//! - for each case [`RUN`]`<name>`, then [`PASSED`]`<name>` or [`FAILED`]`<name>: <detail>`
//! - [`END`]`<n> passed, <n> failed`. The driver then sends SIGTERM to the machine's PID 1, which has become pause.
//!   When that exits, the kernel panics and prints the exit status.
//!
//! If the driver itself fails, it prints [`FAILED`] at any time.

pub const KERNEL: &str = "kernel ";
pub const RUN: &str = "run ";
pub const PASSED: &str = "ok ";
pub const FAILED: &str = "FAIL ";
pub const END: &str = "driver: ";
