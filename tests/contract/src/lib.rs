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

/// The system calls of one architecture.
pub struct SystemCalls {
    /// OCI's name of the architecture.
    pub architecture: &'static str,
    /// What the program's instructions call, all of it, in alphabetical order.
    pub own: &'static [&'static str],
    /// What the kernel has it call beside that: what ends a handler, where the kernel brings the code for it, and what
    /// goes on with a poll that was interrupted while nobody had to be told: by SIGSTOP, say, or by a cgroup that was
    /// frozen. A ppoll starts anew.
    pub by_kernel: &'static [&'static str],
}

/// The system calls, architecture by architecture.
#[rustfmt::skip]
pub static SYSTEM_CALLS: [SystemCalls; 8] = [
    SystemCalls { architecture: "amd64",   own: &["exit", "getpid", "pause", "poll", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "wait4", "write"], by_kernel: &["restart_syscall"] },
    SystemCalls { architecture: "arm64",   own: &["exit", "getpid", "ppoll", "rt_sigaction", "rt_sigprocmask", "wait4", "write"],                         by_kernel: &["rt_sigreturn"] },
    SystemCalls { architecture: "386",     own: &["exit", "getpid", "pause", "poll", "rt_sigaction", "rt_sigprocmask", "sigreturn", "wait4", "write"],    by_kernel: &["restart_syscall"] },
    SystemCalls { architecture: "arm",     own: &["exit", "getpid", "pause", "poll", "rt_sigaction", "rt_sigprocmask", "wait4", "write"],                 by_kernel: &["restart_syscall", "sigreturn"] },
    SystemCalls { architecture: "ppc64le", own: &["exit", "getpid", "pause", "poll", "rt_sigaction", "rt_sigprocmask", "wait4", "write"],                 by_kernel: &["restart_syscall", "rt_sigreturn"] },
    SystemCalls { architecture: "s390x",   own: &["exit", "getpid", "pause", "poll", "rt_sigaction", "rt_sigprocmask", "wait4", "write"],                 by_kernel: &["restart_syscall", "sigreturn"] },
    SystemCalls { architecture: "riscv64", own: &["exit", "getpid", "ppoll", "rt_sigaction", "rt_sigprocmask", "wait4", "write"],                         by_kernel: &["rt_sigreturn"] },
    SystemCalls { architecture: "loong64", own: &["exit", "getpid", "ppoll", "rt_sigaction", "rt_sigprocmask", "wait4", "write"],                         by_kernel: &["rt_sigreturn"] },
];

impl SystemCalls {
    /// Those of an OCI platform (linux/arm/v7, say).
    pub fn of(platform: &str) -> Option<&'static Self> {
        let architecture = platform.split('/').nth(1)?;
        SYSTEM_CALLS.iter().find(|calls| calls.architecture == architecture)
    }

    /// All of them: what a seccomp profile has to allow.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        self.own.iter().chain(self.by_kernel).copied()
    }
}

/// The most that the binary of any platform may weigh, in bytes.
pub const BINARY_BUDGET: u64 = 1024;

/// The most that manifest, config and layer of a platform may weigh together, in bytes: the load of one TCP
/// segment.
pub const PULL_BUDGET: u64 = 1460;

/// How many times the bytes of the floor in assembly the binary may weigh.
pub const FLOOR_BYTES: f64 = 1.15;

/// How many times the instructions of the floor in assembly it may execute up to its last handler.
pub const FLOOR_INSTRUCTIONS: f64 = 1.05;
