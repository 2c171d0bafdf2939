//! What the program promises, as facts that everything else reads: what it says, which signals it handles,
//! which system calls it makes, and how much it may weigh.
//!
//! The program itself says its texts on its own, so that a slip there shows. Nothing here needs std: the
//! driver that runs on bare kernels reads it too.

#![no_std]

/// What it prints for `-v`.
pub const VERSION: &str = concat!("pause ", env!("CARGO_PKG_VERSION"), "\n");

/// What it says at its start where it is not PID 1.
pub const WARNING: &str = "Warning: pause should be the first process\n";

/// What it says before it ends on SIGINT.
pub const INTERRUPT: &str = "Shutting down, got signal: Interrupt\n";

/// What it says before it ends on SIGTERM.
pub const TERMINATED: &str = "Shutting down, got signal: Terminated\n";

/// The signals that it handles, as /proc/PID/status shows them in `SigCgt`: SIGINT, SIGTERM and SIGCHLD.
pub const HANDLED: u64 = 1 << (2 - 1) | 1 << (15 - 1) | 1 << (17 - 1);

/// The system calls that it makes, on one architecture or another.
pub const SYSTEM_CALLS: [&str; 10] =
    ["rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "wait4", "getpid", "poll", "ppoll", "write", "pause", "exit"];

/// The most that the binary of any platform may weigh, in bytes.
pub const BINARY_BUDGET: u64 = 1024;

/// The most that manifest, config and layer of a platform may weigh together, in bytes: the load of one TCP
/// segment.
pub const PULL_BUDGET: u64 = 1460;

/// How many times the bytes of the floor in assembly the binary may weigh.
pub const FLOOR_BYTES: f64 = 1.15;

/// How many times the instructions of the floor in assembly it may execute up to its last handler.
pub const FLOOR_INSTRUCTIONS: f64 = 1.05;
