//! The program's promises as constants: its messages, signals, system calls and budgets.
//!
//! The program has its own copy of the messages, so that a mistake shows. `no_std`, for the driver on real kernels.

#![no_std]

/// The output of `-v`.
pub const VERSION: &str = concat!("pause ", env!("CARGO_PKG_VERSION"), "\n");

/// The messages at the start if it isn't PID 1, on SIGINT and on SIGTERM.
pub const WARNING: &str = "Warning: pause should be the first process\n";
pub const INTERRUPT: &str = "Shutting down, got signal: Interrupt\n";
pub const TERMINATED: &str = "Shutting down, got signal: Terminated\n";

/// The signals that it handles, as `SigCgt` in /proc/PID/status: SIGINT, SIGTERM and SIGCHLD.
pub const HANDLED: u64 = 1 << (2 - 1) | 1 << (15 - 1) | 1 << (17 - 1);

pub struct SystemCalls {
    /// In OCI's terms.
    pub architecture: &'static str,
    /// All calls of the program's instructions, in alphabetical order.
    pub own: &'static [&'static str],
    /// The calls that the kernel makes it do: a handler's end, if the kernel has the code for that, and the restart of
    /// an interrupted poll without a handler to run, as after SIGSTOP or in a frozen cgroup. A ppoll starts anew.
    pub by_kernel: &'static [&'static str],
}

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
    /// Those of an OCI platform, for example linux/arm/v7.
    pub fn of(platform: &str) -> Option<&'static Self> {
        let architecture = platform.split('/').nth(1)?;
        SYSTEM_CALLS.iter().find(|calls| calls.architecture == architecture)
    }

    /// All of them: the calls that a seccomp profile has to allow.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        self.own.iter().chain(self.by_kernel).copied()
    }
}

/// Most bytes of any platform's binary.
pub const BINARY_BUDGET: u64 = 1024;

/// Most bytes of a platform's manifest, config and layer: one TCP segment.
pub const PULL_BUDGET: u64 = 1460;

/// Most bytes of the binary, and most instructions up to the last handler, in multiples of the assembly baseline's.
pub const BASELINE_BYTES: f64 = 1.15;
pub const BASELINE_INSTRUCTIONS: f64 = 1.05;
