//! The table of mutants: what is wrong with each, and what notices it.

use crate::{Edit, Mutant};
use Caught::{ByCase, ByLink, ByPairs, ByPoints};

/// What catches a mutant.
#[derive(Clone, Copy, Debug)]
pub enum Caught {
    /// Every case whose name contains this fails.
    ByCase(&'static str),
    /// The link fails, and the linker's message contains this.
    ByLink(&'static str),
    /// A signal at some point makes it do what it should not.
    ByPoints,
    /// Two signals at a pair of points do, and one does not.
    ByPairs,
}

const MAIN: &str = "src/main.rs";
const MESSAGE: &str = "src/message.rs";
const SYS: &str = "src/sys.rs";

/// Lets the program write to its own memory: a static has no other place.
const WRITABLE: Edit = Edit { function: Edit::LINKER_SCRIPT, from: "FLAGS(5)", to: "FLAGS(7)" };

/// Adopts orphans, and leaves them zombies.
pub static NO_REAPING: Mutant = Mutant {
    name: "no reaping",
    file: MAIN,
    edits: &[Edit { function: "handle", from: "reap()", to: "()" }],
    caught: ByCase("reaps a single orphan"),
};

/// Carries on when told to go.
pub static DEAF: Mutant = Mutant {
    name: "deaf to SIGTERM",
    file: MAIN,
    edits: &[Edit { function: "handle", from: "say(&TERMINATED)", to: "return" }],
    caught: ByCase("says so and exits with 0 on SIGTERM"),
};

/// Every mutant.
#[rustfmt::skip]
pub static MUTANTS: &[&Mutant] = &[
    &NO_REAPING,
    &DEAF,
    &Mutant { name: "ending at once", file: MAIN, caught: ByCase("sleeps and never wakes up"),
        edits: &[Edit { function: "run", from: "sys::pause();", to: "return 0;" }] },
    &Mutant { name: "reaping one child at a time", file: MAIN, caught: ByCase("reaps orphans that died while it was stopped"),
        edits: &[Edit { function: "reap", from: "while sys::reap_one() {}", to: "sys::reap_one();" }] },
    &Mutant { name: "reaping nobody but its own process group", file: SYS, caught: ByCase("reaps orphans with sessions of their own"),
        edits: &[Edit { function: "reap_one", from: "ANY_CHILD", to: "0" }] },
    &Mutant { name: "not reaping at start", file: MAIN, caught: ByCase("reaps at start the children that died before"),
        edits: &[Edit { function: "run", from: "handle(SIGCHLD as c_int);", to: "" }] },
    &Mutant { name: "waking up when a child stops", file: SYS, caught: ByCase("is not woken by a child that merely stops"),
        edits: &[Edit { function: "action", from: "SA_NOCLDSTOP.into()", to: "0" }] },
    &Mutant { name: "writing without asking", file: MESSAGE, caught: ByCase("if the pipe that is its stderr is full"),
        edits: &[Edit { function: "write_if_ready", from: "poll.revents == POLLOUT as _", to: "true" }] },
    &Mutant { name: "mask not cleared", file: MAIN, caught: ByCase("if started with every signal blocked"),
        edits: &[Edit { function: "run", from: "sys::set_signal_mask(&action.sa_mask);", to: "" }] },
    &Mutant { name: "SIGINT before SIGTERM", file: MAIN, caught: ByCase("installs SIGTERM's handler by its first system call"),
        edits: &[
            Edit { function: "run", from: "SIGTERM", to: "FIRST" },
            Edit { function: "run", from: "SIGINT", to: "SIGTERM" },
            Edit { function: "run", from: "FIRST", to: "SIGINT" },
        ] },
    &Mutant { name: "ending if getpid fails", file: MAIN, caught: ByCase("SIGTERM if getpid fails"),
        edits: &[Edit { function: "run", from: "sys::getpid() != 1", to: "{ let number = sys::getpid(); if number < 0 { return 1; } number != 1 }" }] },
    &Mutant { name: "asking who it is", file: MAIN, caught: ByCase("any system call that is not documented kills it"),
        edits: &[Edit { function: "run", from: "sys::pause()", to: "{ unsafe { syscalls::raw_syscall!(syscalls::Sysno::getuid) }; sys::pause() }" }] },
    &Mutant { name: "statuses mixed up", file: MAIN, caught: ByCase("exits with 1 if SIGINT's handler can't be installed"),
        edits: &[Edit { function: "run", from: "return 1", to: "return 2" }] },
    &Mutant { name: "busy", file: MAIN, caught: ByCase("sleeps and never wakes up"),
        edits: &[Edit { function: "run", from: "sys::pause()", to: "sys::getpid()" }] },
    &Mutant { name: "exiting once and for all", file: SYS, caught: ByCase("if exit fails once"),
        edits: &[Edit { function: "exit", from: "raw_syscall!(Sysno::exit, status)", to: "{ raw_syscall!(Sysno::exit, status); loop {} }" }] },
    &Mutant { name: "asking itself for the version", file: MAIN, caught: ByCase("does not take its own name for an argument"),
        edits: &[Edit { function: "run", from: "1..argc", to: "0..argc" }] },
    &Mutant { name: "particular about case", file: MAIN, caught: ByCase("prints its name and version on -v and -V"),
        edits: &[Edit { function: "asks_for_version", from: r#"|| word == *b"-V\0\0""#, to: "" }] },
    &Mutant { name: "taking one other argument for -v", file: MAIN, caught: ByCase("ignores every other argument of up to three bytes"),
        edits: &[Edit { function: "asks_for_version", from: r#"word == *b"-V\0\0""#, to: r#"word == *b"-V\0\0" || word == *b"\x81\x7f\x01\0""# }] },
    &Mutant { name: "not seeing where an argument ends", file: MAIN, caught: ByCase("ignores random arguments that are longer"),
        edits: &[Edit { function: "asks_for_version", from: "[first, second, third, 0]", to: "[first, second, third & 0, 0]" }] },
    &Mutant { name: "taking what follows for a part of the argument", file: MAIN, caught: ByCase("follows them in memory"),
        edits: &[
            Edit { function: "asks_for_version", from: "third, _", to: "third, fourth" },
            Edit { function: "asks_for_version", from: "third, 0", to: "third, fourth" },
        ] },
    &Mutant { name: "one relocation left in", file: MAIN, caught: ByLink("the program needs a relocation"),
        edits: &[Edit { function: "run", from: "say(&WARNING);",
            to: r#"static TEXTS: [&str; 2] = ["1\n", "some\n"]; let text = TEXTS[sys::getpid() as usize & 1]; unsafe { sys::write(2, text.as_ptr(), text.len()) };"# }] },
    &Mutant { name: "writable data", file: MAIN, caught: ByLink("the program has writable data"),
        edits: &[Edit { function: "run", from: "sys::pause();",
            to: "use core::sync::atomic::{AtomicU32, Ordering}; static WAKES: AtomicU32 = AtomicU32::new(0); WAKES.fetch_add(1, Ordering::Relaxed); sys::pause();" }] },
    &Mutant { name: "a panic within reach", file: MAIN, caught: ByLink("pause_must_not_contain_a_panic"),
        edits: &[Edit { function: "run", from: "say(&WARNING);", to: "say([&WARNING, &WARNING][sys::getpid() as usize]);" }] },
    // Before SIGCHLD's alone it would do no harm: what dies meanwhile is reaped at start.
    &Mutant { name: "mask cleared before SIGINT's handler", file: MAIN, caught: ByPoints,
        edits: &[
            Edit { function: "run", from: "sys::set_signal_mask(&action.sa_mask);", to: "" },
            Edit { function: "run", from: "if sys::sigaction(SIGINT, action)", to: "sys::set_signal_mask(&action.sa_mask); if sys::sigaction(SIGINT, action)" },
        ] },
    &Mutant { name: "reaping before SIGCHLD's handler", file: MAIN, caught: ByPoints,
        edits: &[
            Edit { function: "run", from: "handle(SIGCHLD as c_int);", to: "" },
            Edit { function: "run", from: "if sys::sigaction(SIGCHLD, action)", to: "handle(SIGCHLD as c_int); if sys::sigaction(SIGCHLD, action)" },
        ] },
    &Mutant { name: "a handler that keeps state in a static", file: MAIN, caught: ByPairs,
        edits: &[WRITABLE, Edit { function: "handle", from: "match signal as u32",
            to: r#"use core::sync::atomic::{AtomicI32, Ordering}; #[unsafe(link_section = ".text.signal")] static SIGNAL: AtomicI32 = AtomicI32::new(0); SIGNAL.store(signal, Ordering::Relaxed); match SIGNAL.load(Ordering::Relaxed) as u32"# }] },
    &Mutant { name: "SIGTERM's handler blocking all other signals", file: MAIN, caught: ByPairs,
        edits: &[Edit { function: "run", from: "if sys::sigaction(SIGTERM, action)",
            to: "let blocking = { let mut action = sys::action(handle); action.sa_mask.sig[0] = !0; action }; if sys::sigaction(SIGTERM, &blocking)" }] },
];
