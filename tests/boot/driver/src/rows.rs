//! The rows: what the program promises, as far as a kernel has a say in it.

use crate::PAGE_SIZE;
use crate::pause::{End, Orphans, Pause};
use crate::processes::{count_children, count_zombies, eventually, is_ready, status};
use crate::sys;
use crate::text::{Result, text};
use contract::{INTERRUPT, TERMINATED, VERSION, WARNING};
use core::ffi::CStr;
use core::sync::atomic::Ordering::Relaxed;
use linux_raw_sys::general::{
    RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_STACK, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM,
};

/// A sentence about the program, and its proof.
pub struct Row {
    pub sentence: &'static str,
    pub run: fn() -> Result,
}

/// How many orphans make a crowd.
const CROWD: usize = 300;

/// Rows about a pause that the row itself starts.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    Row { sentence: "as PID 1 of a namespace it becomes ready and says nothing", run: becomes_ready },
    Row { sentence: "SIGTERM ends it with a message and status 0", run: terminates },
    Row { sentence: "SIGINT ends it with a message and status 0", run: is_interrupted },
    Row { sentence: "as PID 1 it ignores every other signal", run: ignores_other_signals },
    Row { sentence: "orphans that die at once are all reaped", run: reaps_orphans },
    Row { sentence: "orphans that die while it is stopped are all reaped when it continues", run: reaps_after_stop },
    Row { sentence: "a child that died before it started is reaped", run: reaps_at_start },
    Row { sentence: "it works when started with every signal blocked and ignored", run: unblocks },
    Row { sentence: "a full stderr keeps it from nothing", run: has_full_stderr },
    Row { sentence: "a stderr that nobody reads keeps it from nothing", run: has_deserted_stderr },
    Row { sentence: "closed descriptors keep it from nothing", run: has_no_descriptors },
    Row { sentence: "an empty argument vector keeps it from nothing", run: has_no_arguments },
    Row { sentence: "16 KiB of stack are enough, or four pages where that is more", run: has_little_stack },
    Row { sentence: "it needs no data segment and no descriptors", run: has_no_resources },
    Row { sentence: "when it is not PID 1, it warns and carries on", run: warns },
    Row { sentence: "when it is not PID 1, SIGHUP kills it", run: hangs_up },
    Row { sentence: "-v prints the version", run: prints_version },
    Row { sentence: "-V prints the version", run: prints_version_too },
];

/// Rows about the machine's own PID 1.
#[rustfmt::skip]
pub static ON_THE_MACHINE: &[Row] = &[
    Row { sentence: "as the machine's PID 1 it becomes ready", run: becomes_ready_on_the_machine },
    Row { sentence: "as the machine's PID 1 it reaps its orphans", run: reaps_on_the_machine },
    Row { sentence: "as the machine's PID 1 it ignores every other signal", run: ignores_other_signals_on_the_machine },
];

fn becomes_ready() -> Result {
    let mut pause = Pause::start();
    pause.await_ready()?;
    pause.has_printed("")?;
    pause.has_said("")
}

fn terminates() -> Result {
    let mut pause = Pause::start();
    pause.await_ready()?;
    pause.terminate()?;
    pause.has_said(TERMINATED)
}

fn is_interrupted() -> Result {
    let mut pause = Pause::start();
    pause.await_ready()?;
    pause.signal(SIGINT);
    pause.await_success()?;
    pause.has_said(INTERRUPT)
}

fn ignores_other_signals() -> Result {
    let mut pause = Pause::start();
    pause.await_ready()?;
    let deadly = [SIGINT, SIGTERM, SIGKILL, SIGSTOP];
    (1..=64).filter(|signal| !deadly.contains(signal)).for_each(|signal| pause.signal(signal));
    pause.await_ready()?;
    pause.has_said("")?;
    pause.terminate()
}

fn reaps_orphans() -> Result {
    let mut pause = Pause::start();
    pause.await_ready()?;
    Orphans::make(pause.pid(), CROWD)?.release();
    is_without_children(pause.pid())?;
    pause.terminate()
}

fn reaps_after_stop() -> Result {
    let mut pause = Pause::start();
    pause.await_ready()?;
    let orphans = Orphans::make(pause.pid(), CROWD)?;
    pause.signal(SIGSTOP);
    eventually("pause to stop", || Ok(status(pause.pid(), "State:").as_str().starts_with('T')))?;
    orphans.release();
    eventually("all orphans to be zombies", || Ok(count_zombies(pause.pid()) == CROWD))?;
    pause.signal(SIGCONT);
    is_without_children(pause.pid())?;
    pause.terminate()
}

fn reaps_at_start() -> Result {
    let mut pause = Pause::start_with(true, &[c"/pause"], |_| match sys::fork() {
        0 => sys::exit(0),
        child => sys::await_zombie(child),
    });
    pause.await_ready()?;
    is_without_children(pause.pid())
}

fn unblocks() -> Result {
    let mut pause = Pause::start_with(true, &[c"/pause"], |_| sys::block_and_ignore_all_signals());
    pause.await_ready()?;
    Orphans::make(pause.pid(), CROWD)?.release();
    is_without_children(pause.pid())?;
    pause.terminate()?;
    pause.has_said(TERMINATED)
}

fn has_full_stderr() -> Result {
    // Not PID 1, so that there is a message at the start, too.
    let mut pause = Pause::start_with(false, &[c"/pause"], |stderr| {
        while sys::is_writable(stderr) {
            sys::write_all(stderr, &[b' '; 4096]);
        }
    });
    pause.await_ready()?;
    pause.terminate()
}

fn has_deserted_stderr() -> Result {
    let (turn, announce) = sys::pipe();
    let mut pause = Pause::start_with(false, &[c"/pause"], |_| {
        sys::close(announce);
        sys::read(turn, &mut [0]).ok();
    });
    pause.stop_listening();
    sys::close(turn);
    sys::close(announce);
    pause.await_ready()?;
    pause.terminate()
}

fn has_no_descriptors() -> Result {
    let mut pause = Pause::start_with(false, &[c"/pause"], |_| (0..3).for_each(sys::close));
    pause.await_ready()?;
    pause.terminate()
}

fn has_no_arguments() -> Result {
    let mut pause = Pause::start_with(true, &[], |_| ());
    pause.await_ready()?;
    pause.terminate()
}

fn has_little_stack() -> Result {
    // The kernel itself wastes up to a page, to make the stack's address random: arch_align_stack in
    // https://github.com/torvalds/linux/blob/v6.12/arch/arm64/kernel/process.c
    let size = 4 * PAGE_SIZE.load(Relaxed).max(4096);
    let mut pause = Pause::start_with(true, &[c"/pause"], |_| sys::limit(RLIMIT_STACK, size as u64));
    pause.await_ready()?;
    Orphans::make(pause.pid(), CROWD)?.release();
    is_without_children(pause.pid())?;
    pause.terminate()?;
    pause.has_said(TERMINATED)
}

fn has_no_resources() -> Result {
    let mut pause = Pause::start_with(true, &[c"/pause"], |_| {
        sys::limit(RLIMIT_DATA, 0);
        sys::limit(RLIMIT_NOFILE, 0);
    });
    pause.await_ready()?;
    pause.terminate()
}

fn warns() -> Result {
    let mut pause = Pause::start_with(false, &[c"/pause"], |_| ());
    pause.await_ready()?;
    pause.has_said(WARNING)?;
    pause.terminate()?;
    pause.has_said(TERMINATED)
}

fn hangs_up() -> Result {
    let mut pause = Pause::start_with(false, &[c"/pause"], |_| ());
    pause.await_ready()?;
    pause.signal(SIGHUP);
    pause.await_end(End::Signal(SIGHUP as _))
}

fn prints_version() -> Result {
    prints_version_for(c"-v")
}

fn prints_version_too() -> Result {
    prints_version_for(c"-V")
}

fn prints_version_for(argument: &CStr) -> Result {
    let mut pause = Pause::start_with(true, &[c"/pause", argument], |_| ());
    pause.await_success()?;
    pause.has_printed(VERSION)?;
    pause.has_said("")
}

fn becomes_ready_on_the_machine() -> Result {
    eventually("PID 1 to become pause and ready", || Ok(status(1, "Name:").as_str() == "pause" && is_ready(1)))
}

fn reaps_on_the_machine() -> Result {
    // The driver is a child of PID 1, too.
    let before = count_children(1);
    Orphans::make(1, CROWD)?.release();
    eventually("PID 1 to have no orphans", || Ok(count_children(1) == before))
}

fn ignores_other_signals_on_the_machine() -> Result {
    (1..=64).filter(|signal| ![SIGINT, SIGTERM].contains(signal)).for_each(|signal| {
        sys::kill(1, signal).ok();
    });
    becomes_ready_on_the_machine()
}

/// Waits until pause has neither living children nor zombies.
fn is_without_children(pid: sys::Pid) -> Result {
    let mut left = 0;
    eventually("all children to be reaped", || {
        left = count_children(pid);
        Ok(left == 0)
    })
    .map_err(|detail| text!("{detail}; {left} are left"))
}
