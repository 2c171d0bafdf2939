//! The table of cases: what the program promises, a sentence each.

use crate::{Case, Promise, Skip, arguments, faults};
use anyhow::{Context, Result, bail, ensure};
use contract::{INTERRUPT, TERMINATED, VERSION, WARNING};
use harness::{Orphans, Privileges, Program, Role, Running, Start, Stream, process};
use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::unistd::geteuid;
use std::ffi::c_int;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use Promise::{Ours, Upstreams};
use Role::{Init, Ordinary};

const BOTH: &[Role] = &[Init, Ordinary];
const INIT: &[Role] = &[Init];
const ORDINARY: &[Role] = &[Ordinary];

const MEMORY: &str = "the emulator needs memory of its own";
const FILES: &str = "the emulator needs files of its own";
const LAYOUT: &str = "the emulator lays out the stack by itself";
const NAME: &str = "the emulator always passes a name on";
const HANDLERS: &str = "the emulator handles what kills by default, and hangs as PID 1";
const SIGRETURN: &str = "the emulator returns from handlers by itself";
const MASK: &str = "the emulator keeps the mask by itself";
const STOPPING: &str = "the emulator's own handler for SIGCHLD is called for a child that stops";
const EXIT: &str = "the emulator ends by itself";

/// Every promise.
#[rustfmt::skip]
pub static CASES: &[Case] = &[
    // The command line
    Case { name: "prints a line that begins with its name and exits with 0 on -v", roles: BOTH, promise: Upstreams, emulator: None, run: v_prints_a_line },
    Case { name: "prints its name and version on -v and -V, wherever they stand", roles: BOTH, promise: Ours, emulator: None, run: v_prints_the_version },
    Case { name: "exits with 0 on -v even if stdout is closed, full, or a pipe without a reader", roles: BOTH, promise: Ours, emulator: None, run: v_without_stdout },
    Case { name: "finds -v behind 100 kB of other arguments", roles: BOTH, promise: Upstreams, emulator: None, run: v_behind_long_arguments },
    Case { name: "ignores arguments that are almost -v", roles: BOTH, promise: Upstreams, emulator: None, run: other_arguments },
    Case { name: "ignores every other argument of up to three bytes, whatever follows it in memory", roles: ORDINARY, promise: Upstreams, emulator: None, run: arguments::every_other },
    Case { name: "ignores random arguments that are longer, however they begin", roles: ORDINARY, promise: Upstreams, emulator: None, run: arguments::long_ones },
    Case { name: "exits with 0 on -v and -V whatever argument follows them in memory", roles: ORDINARY, promise: Upstreams, emulator: None, run: arguments::before_arguments },
    Case { name: "exits with 0 on -v and -V whatever environment, file name or page follows them in memory", roles: ORDINARY, promise: Upstreams, emulator: Some(LAYOUT), run: arguments::before_all_else },
    Case { name: "ignores 100 kB of arguments", roles: BOTH, promise: Upstreams, emulator: None, run: long_arguments },
    Case { name: "does not take its own name for an argument", roles: BOTH, promise: Upstreams, emulator: None, run: named_v },
    Case { name: "runs with an empty argv", roles: BOTH, promise: Upstreams, emulator: Some(NAME), run: empty_argv },
    Case { name: "runs without an environment and ignores one", roles: BOTH, promise: Upstreams, emulator: None, run: environment },
    // Messages
    Case { name: "says nothing", roles: INIT, promise: Upstreams, emulator: None, run: silent },
    Case { name: "warns on stderr and carries on", roles: ORDINARY, promise: Upstreams, emulator: None, run: warns },
    Case { name: "writes to a file, a socket and a terminal as well as to a pipe", roles: BOTH, promise: Upstreams, emulator: None, run: any_stderr },
    // The end
    Case { name: "says so and exits with 0 on SIGINT", roles: BOTH, promise: Upstreams, emulator: None, run: interrupt },
    Case { name: "says so and exits with 0 on SIGTERM", roles: BOTH, promise: Upstreams, emulator: None, run: terminate },
    Case { name: "exits with 0 on SIGTERM in the midst of a storm of orphans", roles: BOTH, promise: Upstreams, emulator: None, run: terminate_in_a_storm },
    Case { name: "is killed by SIGKILL from outside", roles: BOTH, promise: Upstreams, emulator: None, run: kill },
    Case { name: "ignores every other signal from 1 to 64", roles: INIT, promise: Upstreams, emulator: Some(HANDLERS), run: other_signals_as_init },
    Case { name: "dies from every other signal that kills by default", roles: ORDINARY, promise: Upstreams, emulator: None, run: fatal_signals },
    // Children
    Case { name: "reaps a single orphan", roles: BOTH, promise: Upstreams, emulator: None, run: one_orphan },
    Case { name: "reaps orphans with sessions of their own", roles: BOTH, promise: Upstreams, emulator: None, run: detached },
    Case { name: "reaps a storm of 10,000 orphans", roles: BOTH, promise: Upstreams, emulator: None, run: storm },
    Case { name: "reaps orphans that died while it was stopped", roles: BOTH, promise: Upstreams, emulator: None, run: stopped },
    Case { name: "is not woken by a child that merely stops", roles: BOTH, promise: Upstreams, emulator: Some(STOPPING), run: stopping_child },
    Case { name: "sleeps and never wakes up while nothing happens", roles: BOTH, promise: Upstreams, emulator: None, run: idle },
    // What survives exec
    Case { name: "exits with 0 on SIGTERM and reaps if started with every signal blocked", roles: BOTH, promise: Ours, emulator: None, run: blocked },
    Case { name: "exits with 0 on SIGTERM and reaps if started with every signal ignored", roles: BOTH, promise: Upstreams, emulator: None, run: ignored },
    Case { name: "leaves no signal blocked, whatever its arguments are", roles: BOTH, promise: Ours, emulator: Some(MASK), run: unblocked },
    Case { name: "honours a SIGTERM that was pending when it started", roles: BOTH, promise: Ours, emulator: None, run: pending },
    Case { name: "reaps at start the children that died before", roles: BOTH, promise: Ours, emulator: None, run: dead_children },
    // Odd streams
    Case { name: "carries on and exits with 0 if nobody reads the pipe that is its stderr", roles: BOTH, promise: Ours, emulator: None, run: broken_stderr },
    Case { name: "becomes ready and exits with 0 if the pipe that is its stderr is full", roles: BOTH, promise: Ours, emulator: None, run: full_stderr },
    Case { name: "carries on and exits with 0 if every descriptor is closed", roles: BOTH, promise: Upstreams, emulator: None, run: closed_streams },
    // Limits
    Case { name: "reaps and exits with 0 on a stack of 16 KiB", roles: BOTH, promise: Ours, emulator: Some(MEMORY), run: small_stack },
    Case { name: "reaps and exits with 0 if it may have no data", roles: BOTH, promise: Ours, emulator: Some(MEMORY), run: no_data },
    Case { name: "reaps and exits with 0 if it may open no file", roles: BOTH, promise: Upstreams, emulator: Some(FILES), run: no_files },
    // Privileges
    Case { name: "reaps and exits with 0 without any capability, or a way to get one", roles: BOTH, promise: Upstreams, emulator: None, run: no_capabilities },
    Case { name: "reaps and exits with 0 if it may get no new privileges", roles: BOTH, promise: Upstreams, emulator: None, run: no_new_privileges },
    Case { name: "reaps and exits with 0 as any user", roles: BOTH, promise: Upstreams, emulator: None, run: any_user },
    Case { name: "reaps and exits with 0 on a read-only root that holds nothing else, no /proc and no /dev", roles: BOTH, promise: Upstreams, emulator: None, run: bare_root },
    Case { name: "reaps and exits with 0 without all of these at once", roles: BOTH, promise: Upstreams, emulator: None, run: no_privileges },
    Case { name: "reaps and exits with 0 if any system call that is not documented kills it", roles: BOTH, promise: Ours, emulator: None, run: documented_calls_only },
    Case { name: "reaps and exits with 0 if Landlock denies it all but its own file, and any system call that is not documented kills it", roles: BOTH, promise: Ours, emulator: None, run: no_files_by_landlock },
    // System calls
    Case { name: "installs SIGTERM's handler by its first system call", roles: ORDINARY, promise: Ours, emulator: None, run: faults::first_call },
    Case { name: "makes every system call that it documents, and no other", roles: ORDINARY, promise: Ours, emulator: None, run: faults::documented_calls },
    Case { name: "drops its message and exits with 0 on SIGTERM if something interrupts its poll of a full stderr", roles: ORDINARY, promise: Ours, emulator: Some("strace sees the emulator's own calls"), run: faults::interrupted_poll },
    Case { name: "exits with 1 if SIGINT's handler can't be installed", roles: ORDINARY, promise: Upstreams, emulator: None, run: faults::sigint },
    Case { name: "exits with 2 if SIGTERM's handler can't be installed", roles: ORDINARY, promise: Upstreams, emulator: None, run: faults::sigterm },
    Case { name: "exits with 3 if SIGCHLD's handler can't be installed", roles: ORDINARY, promise: Upstreams, emulator: None, run: faults::sigchld },
    Case { name: "becomes ready and exits with 0 on SIGTERM if rt_sigprocmask fails", roles: ORDINARY, promise: Ours, emulator: Some(MASK), run: |program, _| faults::survives(program, "rt_sigprocmask") },
    Case { name: "becomes ready and exits with 0 on SIGTERM if wait4 fails", roles: ORDINARY, promise: Upstreams, emulator: None, run: |program, _| faults::survives(program, "wait4") },
    Case { name: "becomes ready and exits with 0 on SIGTERM if getpid fails", roles: ORDINARY, promise: Upstreams, emulator: None, run: |program, _| faults::survives(program, "getpid") },
    Case { name: "becomes ready and exits with 0 on SIGTERM if poll fails", roles: ORDINARY, promise: Ours, emulator: None, run: |program, _| faults::survives(program, "poll,ppoll") },
    Case { name: "becomes ready and exits with 0 on SIGTERM if write fails", roles: ORDINARY, promise: Upstreams, emulator: None, run: |program, _| faults::survives(program, "write") },
    Case { name: "becomes ready and exits with 0 on SIGTERM if pause fails", roles: ORDINARY, promise: Upstreams, emulator: None, run: |program, _| faults::survives(program, "pause,ppoll,rt_sigsuspend") },
    Case { name: "becomes ready and exits with 0 on SIGTERM if rt_sigreturn fails", roles: ORDINARY, promise: Ours, emulator: Some(SIGRETURN), run: |program, _| faults::survives(program, "rt_sigreturn") },
    Case { name: "becomes ready and exits with 0 on SIGTERM if exit fails once", roles: ORDINARY, promise: Ours, emulator: Some(EXIT), run: |program, _| faults::survives_once(program, "exit") },
    Case { name: "exits with 0 on -v if exit fails once", roles: ORDINARY, promise: Ours, emulator: Some(EXIT), run: faults::version },
];

/// What the program writes to stderr in that role until it is told to end.
fn greeting(role: Role) -> &'static str {
    match role {
        Init => "",
        Ordinary => WARNING,
    }
}

/// Tells the program to end once it has nothing else to do, and checks that it ends as it should.
fn ends_well(mut running: Running, role: Role) -> Result<()> {
    running.wait_until_asleep()?;
    ends_well_at_once(running, role)
}

/// The same, whatever it is doing; it has said all that it has to say before.
fn ends_well_at_once(running: Running, role: Role) -> Result<()> {
    let end = running.terminate()?;
    ensure!(end.status.success(), "it ended with {end:?}");
    let expected = format!("{}{TERMINATED}", greeting(role));
    ensure!(end.stderr == expected && end.stdout.is_empty(), "it said {end:?}");
    Ok(())
}

/// Has a few orphans reaped.
fn reaps(running: &mut Running, orphans: usize) -> Result<()> {
    if let Some(assistant) = &mut running.assistant {
        assistant.make_orphans(orphans, Orphans::Mixed)?;
    }
    running.wait_until_childless()
}

/// Starts like that, becomes ready, reaps, and ends well.
fn lives(program: &Program, start: Start) -> Result<()> {
    let role = start.role;
    let mut running = start.assisted().ready(program)?;
    reaps(&mut running, 20)?;
    ends_well(running, role)
}

fn v_prints_a_line(program: &Program, role: Role) -> Result<()> {
    let end = Start::new(role).arguments(["-v"]).spawn(program)?.end()?;
    ensure!(end.status.success() && end.stderr.is_empty(), "it ended with {end:?}");
    ensure!(end.stdout.starts_with("pause") && end.stdout.find('\n') == Some(end.stdout.len() - 1), "{end:?}");
    Ok(())
}

fn v_prints_the_version(program: &Program, role: Role) -> Result<()> {
    for arguments in [&["-v"][..], &["-V"], &["x", "-v"], &["", "-", "-V", "y"], &["-v", "-v"]] {
        let end = Start::new(role).arguments(arguments.iter().copied()).spawn(program)?.end()?;
        ensure!(end.status.success() && end.stderr.is_empty(), "{arguments:?}: it ended with {end:?}");
        ensure!(end.stdout == VERSION, "{arguments:?}: {end:?}");
    }
    Ok(())
}

fn v_without_stdout(program: &Program, role: Role) -> Result<()> {
    for stdout in [Stream::Closed, Stream::Full, Stream::Broken] {
        let end = Start { stdout, ..Start::new(role) }.arguments(["-v"]).spawn(program)?.end()?;
        ensure!(end.status.success() && end.stdout.is_empty() && end.stderr.is_empty(), "{end:?}");
    }
    Ok(())
}

/// Arguments of 100 kB in all: one long and many short ones.
fn hundred_kilobytes() -> impl Iterator<Item = String> {
    std::iter::once("-v".repeat(25_000)).chain((0..50_000 / 5).map(|index| format!("{index:04}")))
}

fn v_behind_long_arguments(program: &Program, role: Role) -> Result<()> {
    let arguments = hundred_kilobytes().chain(["-v".to_string()]);
    let end = Start::new(role).arguments(arguments).spawn(program)?.end()?;
    ensure!(end.status.success() && end.stdout.starts_with("pause"), "{end:?}");
    Ok(())
}

fn long_arguments(program: &Program, role: Role) -> Result<()> {
    ends_well(Start::new(role).arguments(hundred_kilobytes()).ready(program)?, role)
}

fn other_arguments(program: &Program, role: Role) -> Result<()> {
    let arguments =
        ["", "-", "v", "V", "-w", "-6", "\u{d}v", "--v", "-vv", "-v ", " -v", "-\u{16}", "--version", "--", ""];
    ends_well(Start::new(role).arguments(arguments).ready(program)?, role)
}

fn named_v(program: &Program, role: Role) -> Result<()> {
    ends_well(Start { name: Some("-v"), ..Start::new(role) }.ready(program)?, role)
}

fn empty_argv(program: &Program, role: Role) -> Result<()> {
    ends_well(Start { name: None, ..Start::new(role) }.ready(program)?, role)
}

fn environment(program: &Program, role: Role) -> Result<()> {
    for environment in [&[][..], &["PATH=/bin", "-v=-v", "-v"]] {
        let environment = environment.iter().collect();
        ends_well(Start { environment, ..Start::new(role) }.ready(program)?, role)?;
    }
    Ok(())
}

fn silent(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).ready(program)?;
    running.wait_until_asleep()?;
    running.signal(libc::SIGKILL)?;
    let end = running.end()?;
    ensure!(end.stdout.is_empty() && end.stderr.is_empty(), "it said {end:?}");
    Ok(())
}

fn warns(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).ready(program)?;
    running.wait_until_asleep()?;
    running.signal(libc::SIGKILL)?;
    let end = running.end()?;
    ensure!(end.stdout.is_empty() && end.stderr == WARNING, "it said {end:?}");
    Ok(())
}

fn any_stderr(program: &Program, role: Role) -> Result<()> {
    let expected = format!("{}{TERMINATED}", greeting(role));
    let check = |stderr: OwnedFd, mut reader: Box<dyn Read>, what: &str| {
        let mut running = Start { stderr: Stream::File(stderr), ..Start::new(role) }.ready(program)?;
        running.wait_until_asleep()?;
        let end = running.terminate()?;
        ensure!(end.status.success(), "with a {what} it ended with {end:?}");
        let mut said = Vec::new();
        // A terminal's end is an error, EIO.
        let _ = reader.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said).replace('\r', "");
        ensure!(said == expected, "to a {what} it said {said:?}");
        Ok(())
    };
    let file = tempfile::NamedTempFile::new()?;
    check(file.as_file().try_clone()?.into(), Box::new(file.reopen()?), "file")?;
    let (socket, other) = std::os::unix::net::UnixStream::pair()?;
    check(socket.into(), Box::new(other), "socket")?;
    let terminal: PtyMaster = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let program_end = File::options().read(true).write(true).open(ptsname_r(&terminal)?)?;
    check(program_end.into(), Box::new(terminal), "terminal")
}

fn interrupt(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).ready(program)?;
    running.wait_until_asleep()?;
    running.signal(libc::SIGINT)?;
    let end = running.end()?;
    ensure!(end.status.success(), "it ended with {end:?}");
    let expected = format!("{}{INTERRUPT}", greeting(role));
    ensure!(end.stderr == expected && end.stdout.is_empty(), "it said {end:?}");
    Ok(())
}

fn terminate(program: &Program, role: Role) -> Result<()> {
    ends_well(Start::new(role).ready(program)?, role)
}

fn terminate_in_a_storm(program: &Program, role: Role) -> Result<()> {
    let _alone = STORM.lock();
    let mut running = Start::new(role).assisted().ready(program)?;
    running.wait_until_asleep()?;
    let assistant = running.assistant.as_mut().expect("asked for");
    assistant.make_orphans(100, Orphans::Mixed)?;
    assistant.start_orphans(10_000, Orphans::Mixed)?;
    // The storm has begun when there is an orphan besides the assistant.
    running.wait_until("the storm begins", |running| Ok(process::children(running.pid())?.len() > 1))?;
    ends_well_at_once(running, role)
}

fn kill(program: &Program, role: Role) -> Result<()> {
    let running = Start::new(role).ready(program)?;
    running.signal(libc::SIGKILL)?;
    let end = running.end()?;
    ensure!(end.status.signal() == Some(libc::SIGKILL), "it ended with {end:?}");
    Ok(())
}

/// The signals that the contract does not name, SIGKILL aside, which nobody escapes.
fn other_signals() -> impl Iterator<Item = c_int> {
    let named = [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGKILL];
    (1..=64).filter(move |signal| !named.contains(signal))
}

fn other_signals_as_init(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).assisted().ready(program)?;
    for signal in other_signals() {
        running.signal(signal)?;
    }
    running.signal(libc::SIGCONT)?;
    reaps(&mut running, 20)?;
    ends_well(running, role)
}

fn fatal_signals(program: &Program, role: Role) -> Result<()> {
    // Ignored by default, or stopping: signal(7).
    let harmless =
        [libc::SIGCONT, libc::SIGURG, libc::SIGWINCH, libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    // The emulator keeps these for its C library and itself: `signal_table_init` in
    // <https://gitlab.com/qemu-project/qemu/-/blob/v10.0.0/linux-user/signal.c>
    let reserved = |signal: &c_int| program.emulator.is_some() && (32..=35).contains(signal);
    for signal in other_signals().filter(|signal| !harmless.contains(signal) && !reserved(signal)) {
        let mut running = Start::new(role).ready(program)?;
        running.wait_until_asleep()?;
        running.signal(signal)?;
        let end = running.end().with_context(|| format!("signal {signal}"))?;
        ensure!(end.status.signal() == Some(signal), "signal {signal}: it ended with {end:?}");
    }
    Ok(())
}

fn one_orphan(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).assisted().ready(program)?;
    running.wait_until_asleep()?;
    // Twice each: the handler has to return to where it was called.
    for orphans in [1, 1, 2, 2] {
        reaps(&mut running, orphans)?;
    }
    ends_well(running, role)
}

fn detached(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).assisted().ready(program)?;
    running.wait_until_asleep()?;
    running.assistant.as_mut().expect("asked for").make_orphans(20, Orphans::Detached)?;
    running.wait_until_childless()?;
    ends_well(running, role)
}

/// Two storms at once could use up the machine's process numbers.
static STORM: Mutex<()> = Mutex::new(());

fn storm(program: &Program, role: Role) -> Result<()> {
    let _alone = STORM.lock();
    let mut running = Start::new(role).assisted().ready(program)?;
    reaps(&mut running, 10_000)?;
    ends_well(running, role)
}

fn stopped(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).assisted().ready(program)?;
    running.signal(libc::SIGSTOP)?;
    running.wait_until("it is stopped", |running| process::is_stopped(running.pid()))?;
    running.assistant.as_mut().expect("asked for").make_orphans(100, Orphans::Mixed)?;
    ensure!(process::children(running.pid())?.len() > 100, "something else reaped the orphans");
    running.signal(libc::SIGCONT)?;
    running.wait_until_childless()?;
    ends_well(running, role)
}

/// How often the program has gone to sleep of its own accord, which is how often it has woken up.
fn sleeps(running: &Running) -> Result<u64> {
    Ok(process::switches(running.pid())?.0)
}

fn stopping_child(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).assisted().ready(program)?;
    running.wait_until_asleep()?;
    let child = process::children(running.pid())?[0];
    let before = sleeps(&running)?;
    for (signal, is_done) in [(libc::SIGSTOP, process::is_stopped as fn(_) -> _), (libc::SIGCONT, process::is_asleep)] {
        // SAFETY: the child of a process that is not yet waited for.
        ensure!(unsafe { libc::kill(child, signal) } == 0, std::io::Error::last_os_error());
        running.wait_until("its child has changed its state", |_| is_done(child))?;
    }
    // Where the machine is busy, it may have been woken and have no processor yet.
    running.wait_until_asleep()?;
    let after = sleeps(&running)?;
    ensure!(before == after, "it woke up {} times", after - before);
    ends_well(running, role)
}

fn idle(program: &Program, role: Role) -> Result<()> {
    let mut running = Start::new(role).ready(program)?;
    running.wait_until_asleep()?;
    let before = sleeps(&running)?;
    std::thread::sleep(Duration::from_secs(2));
    let after = sleeps(&running)?;
    ensure!(before == after, "it woke up {} times", after - before);
    running.wait_until_asleep()?;
    ends_well(running, role)
}

fn blocked(program: &Program, role: Role) -> Result<()> {
    lives(program, Start { block: true, ..Start::new(role) })
}

fn unblocked(program: &Program, role: Role) -> Result<()> {
    // The pointers to them are where the program has its mask, and beside it.
    for count in 0..10 {
        let arguments = (0..count).map(|length| "x".repeat(length));
        let mut running = Start { block: true, ..Start::new(role).arguments(arguments) }.ready(program)?;
        running.wait_until_asleep()?;
        let blocked = process::signals(running.pid())?.blocked;
        ensure!(blocked == 0, "with {count} arguments it blocks {blocked:#x}");
        ends_well(running, role)?;
    }
    Ok(())
}

fn ignored(program: &Program, role: Role) -> Result<()> {
    lives(program, Start { ignore: true, ..Start::new(role) })
}

fn pending(program: &Program, role: Role) -> Result<()> {
    let end = Start { pending: Some(libc::SIGTERM), ..Start::new(role) }.spawn(program)?.end()?;
    ensure!(end.status.success(), "it ended with {end:?}");
    ensure!(end.stderr.ends_with(TERMINATED) && end.stdout.is_empty(), "it said {end:?}");
    Ok(())
}

fn dead_children(program: &Program, role: Role) -> Result<()> {
    let mut running = Start { dead_children: 3, ..Start::new(role) }.ready(program)?;
    running.wait_until_childless()?;
    ends_well(running, role)
}

fn broken_stderr(program: &Program, role: Role) -> Result<()> {
    without_stderr(program, role, Stream::Broken)
}

fn full_stderr(program: &Program, role: Role) -> Result<()> {
    without_stderr(program, role, Stream::Full)
}

fn closed_streams(program: &Program, role: Role) -> Result<()> {
    without_stderr(program, role, Stream::Closed)
}

/// Lives as usual, with nothing to be heard.
fn without_stderr(program: &Program, role: Role, stderr: Stream) -> Result<()> {
    let mut running = Start { stdout: Stream::Closed, stderr, ..Start::new(role) }.assisted().ready(program)?;
    running.wait_until_asleep()?;
    reaps(&mut running, 20)?;
    let end = running.terminate()?;
    ensure!(end.status.success() && end.stderr.is_empty(), "it ended with {end:?}");
    Ok(())
}

fn small_stack(program: &Program, role: Role) -> Result<()> {
    lives(program, Start { limits: vec![(libc::RLIMIT_STACK, 16 << 10)], ..Start::new(role) })
}

fn no_data(program: &Program, role: Role) -> Result<()> {
    lives(program, Start { limits: vec![(libc::RLIMIT_DATA, 0)], ..Start::new(role) })
}

fn no_files(program: &Program, role: Role) -> Result<()> {
    let limits = vec![(libc::RLIMIT_NOFILE, 0)];
    let mut running = Start { limits, ..Start::new(role) }.assisted().ready(program)?;
    reaps(&mut running, 20)?;
    let end = running.terminate()?;
    // Whether its messages arrive is open: poll(2) takes no more descriptors than a process may have.
    ensure!(end.status.success(), "it ended with {end:?}");
    Ok(())
}

/// Starts with these privileges gone, and lives.
fn lives_without(program: &Program, role: Role, privileges: Privileges) -> Result<()> {
    if !geteuid().is_root() {
        bail!(Skip("it takes root to take privileges away"));
    }
    let mut running = Start { privileges, ..Start::new(role) }.assisted().ready(program)?;
    privileges.ensure_gone(running.pid())?;
    reaps(&mut running, 20)?;
    ends_well(running, role)
}

fn no_capabilities(program: &Program, role: Role) -> Result<()> {
    lives_without(program, role, Privileges { no_capabilities: true, ..Privileges::default() })
}

fn no_new_privileges(program: &Program, role: Role) -> Result<()> {
    lives_without(program, role, Privileges { no_new_privileges: true, ..Privileges::default() })
}

/// Users that nobody knows: the image's own, and one at random among those that a cluster assigns.
fn users() -> [u32; 2] {
    [65535, 1_000_000_000 + std::process::id()]
}

fn any_user(program: &Program, role: Role) -> Result<()> {
    // Its file may be in a folder that the user can't enter; the bare root is open to all.
    let privileges = |user| Privileges { user: Some(user), bare_root: true, ..Privileges::default() };
    users().into_iter().try_for_each(|user| lives_without(program, role, privileges(user)))
}

fn bare_root(program: &Program, role: Role) -> Result<()> {
    lives_without(program, role, Privileges { bare_root: true, ..Privileges::default() })
}

fn no_privileges(program: &Program, role: Role) -> Result<()> {
    let [user, _] = users();
    let none = Privileges { user: Some(user), no_capabilities: true, bare_root: true, no_new_privileges: true };
    lives_without(program, role, none)
}

fn documented_calls_only(program: &Program, role: Role) -> Result<()> {
    let program = without_emulator(program)?;
    let calls: Vec<_> = faults::documented(&program)?.all().collect();
    // So the filter does kill.
    let without_one = calls.iter().copied().filter(|&call| call != "wait4").collect();
    let end = Start { only: Some(without_one), ..Start::new(role) }.spawn(&program)?.end()?;
    ensure!(end.status.signal() == Some(libc::SIGSYS), "without wait4 it ended with {end:?}");
    lives(&program, Start { only: Some(calls), ..Start::new(role) })
}

fn no_files_by_landlock(program: &Program, role: Role) -> Result<()> {
    if !harness::has_landlock() {
        bail!(Skip("this kernel has no Landlock"));
    }
    let program = without_emulator(program)?;
    // So Landlock does deny.
    let other = Start { landlock: true, wrapper: vec!["/usr/bin/env".into()], ..Start::new(role) };
    let end = other.spawn(&program)?.end()?;
    ensure!(end.status.code() == Some(harness::NOT_EXECUTED), "another file was executed: {end:?}");
    let calls = faults::documented(&program)?.all().collect();
    lives(&program, Start { landlock: true, only: Some(calls), ..Start::new(role) })
}

/// The program as the kernel itself runs it: what confines an emulator would have to let the emulator's own calls pass.
fn without_emulator(program: &Program) -> Result<Program> {
    // Nor does it need another profile: the list of calls is stricter than any.
    let bare = Program { emulator: None, profile: None, ..program.clone() };
    let is_kin = program.name == "linux/386" && cfg!(target_arch = "x86_64");
    if program.emulator.is_some() && !(is_kin && Command::new(&bare.file).arg("-v").output().is_ok()) {
        bail!(Skip("this machine runs it in an emulator alone, whose own calls would have to pass"));
    }
    Ok(bare)
}
