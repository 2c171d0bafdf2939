//! The cases: the part of the program's contract that depends on the kernel.

use crate::pause::{ORPHANS, Pause, Role::*, make_orphans};
use crate::proc::{count_children, is_ready, page_size_in_kib, status, wait_until};
use crate::{Result, sys, text};
use contract::{INTERRUPT, TERMINATED, VERSION, WARNING};
use core::ffi::CStr;
use linux_raw_sys::general::{
    POLLOUT, RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_STACK, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM,
};

/// A sentence about the program, and its test.
pub type Case = (&'static str, fn() -> Result);

pub static CASES: &[Case] = &[
    ("as PID 1 of a namespace, it becomes ready and writes nothing", || {
        Pause::ready(Init, nothing)?.has_written("", "")
    }),
    ("SIGTERM ends it with a message and status 0", || Pause::ready(Init, nothing)?.exits_on(SIGTERM, TERMINATED)),
    ("SIGINT ends it with a message and status 0", || Pause::ready(Init, nothing)?.exits_on(SIGINT, INTERRUPT)),
    ("as PID 1, it ignores every other signal", || {
        let pause = Pause::ready(Init, nothing)?;
        let fatal = [SIGINT, SIGTERM, SIGKILL, SIGSTOP];
        (1..=64).filter(|signal| !fatal.contains(signal)).for_each(|signal| pause.signal(signal));
        pause.wait_until_ready()?.exits_on(SIGTERM, TERMINATED)
    }),
    ("orphans that die at the same time are all reaped", || {
        Pause::ready(Init, nothing)?.reaps_orphans()?.exits_on(SIGTERM, TERMINATED)
    }),
    ("orphans that die while it is stopped are all reaped when it continues", || {
        let pause = Pause::ready(Init, nothing)?;
        let orphans = make_orphans(pause.pid)?;
        pause.signal(SIGSTOP);
        wait_until(|| Ok(status(pause.pid, "State:").starts_with('T')))?;
        sys::close(orphans);
        wait_until(|| Ok(count_children(pause.pid, "Z") == ORPHANS))?;
        pause.signal(SIGCONT);
        pause.wait_until_childless()?.exits_on(SIGTERM, TERMINATED)
    }),
    ("a child that died before it started is reaped", || {
        let with_dead_child = || match sys::fork(0) {
            0 => sys::exit(0),
            child => sys::wait_for_zombie(child),
        };
        Pause::ready(Init, with_dead_child)?.wait_until_childless().map(drop)
    }),
    ("it works if it is started with every signal blocked and ignored", || {
        Pause::ready(Init, sys::block_and_ignore_all_signals)?.reaps_orphans()?.exits_on(SIGTERM, TERMINATED)
    }),
    ("it works if stderr is a full pipe", || {
        let with_full_stderr = || {
            while sys::poll(2, POLLOUT) {
                sys::write_all(2, &[b' '; 4096]);
            }
        };
        // Not PID 1, so that it also writes a message at the start.
        Pause::ready(Ordinary, with_full_stderr)?.exits_on(SIGTERM, "")
    }),
    ("it works if stderr is a pipe without a reader", || {
        let with_broken_stderr = || {
            let (reader, writer) = sys::pipe();
            sys::duplicate(writer, 2);
            sys::close(reader);
        };
        Pause::ready(Ordinary, with_broken_stderr)?.exits_on(SIGTERM, "")
    }),
    ("it works if all descriptors are closed", || {
        Pause::ready(Ordinary, || (0..3).for_each(sys::close))?.exits_on(SIGTERM, "")
    }),
    ("it works if argv is empty", || {
        Pause::start(Init, &[], nothing).wait_until_ready()?.exits_on(SIGTERM, TERMINATED)
    }),
    ("it works with a stack of 16 KiB, or four pages if that is more", || {
        // The kernel uses up to a page to randomize the stack's address: arch_align_stack in
        // https://github.com/torvalds/linux/blob/v6.12/arch/arm64/kernel/process.c
        let with_small_stack = || sys::limit(RLIMIT_STACK, 4 * 1024 * page_size_in_kib().max(4));
        Pause::ready(Init, with_small_stack)?.reaps_orphans()?.exits_on(SIGTERM, TERMINATED)
    }),
    ("it works if RLIMIT_DATA and RLIMIT_NOFILE are 0", || {
        let without_resources = || [RLIMIT_DATA, RLIMIT_NOFILE].into_iter().for_each(|limit| sys::limit(limit, 0));
        Pause::ready(Init, without_resources)?.exits_on(SIGTERM, "")
    }),
    ("if it isn't PID 1, it warns and continues", || {
        let pause = Pause::ready(Ordinary, nothing)?;
        pause.has_written("", WARNING)?;
        pause.exits_on(SIGTERM, TERMINATED)
    }),
    ("if it isn't PID 1, SIGHUP kills it", || {
        let pause = Pause::ready(Ordinary, nothing)?;
        pause.signal(SIGHUP);
        pause.wait_for(SIGHUP as _).map(drop)
    }),
    ("-v prints the version", || prints_version(c"-v")),
    ("-V prints the version", || prints_version(c"-V")),
];

/// Cases of the machine's own PID 1.
pub static CASES_OF_THE_MACHINE: &[Case] = &[
    ("as the machine's PID 1, it becomes ready", machine_is_ready),
    ("as the machine's PID 1, it reaps its orphans", || {
        // The driver is a child of PID 1, too.
        let before = count_children(1, "");
        sys::close(make_orphans(1)?);
        wait_until(|| Ok(count_children(1, "") == before))
    }),
    ("as the machine's PID 1, it ignores every other signal", || {
        (1..=64).filter(|signal| ![SIGINT, SIGTERM].contains(signal)).for_each(|signal| sys::kill(1, signal));
        machine_is_ready()
    }),
];

/// The case for a program that an initial file system may lack.
pub static CASES_OF_SIGNALS: &[Case] = &[("no signal is lost or harmful at any instruction", || {
    let child = sys::fork(0);
    if child == 0 {
        sys::execute(c"/inject", &[c"/inject"]);
        sys::exit(127);
    }
    sys::wait_for_zombie(child);
    if sys::reap(child) == Some(0) { Ok(()) } else { Err(text!("violations, or the program for this failed")) }
})];

fn nothing() {}

fn prints_version(argument: &CStr) -> Result {
    Pause::start(Init, &[c"/pause", argument], nothing).wait_for(0)?.has_written(VERSION, "")
}

fn machine_is_ready() -> Result {
    wait_until(|| Ok(&*status(1, "Name:") == "pause" && is_ready(1)))
}
