//! The table of cases.

use crate::faults::{self, survives, survives_once, without_handler};
use crate::{Case, Skip};
use anyhow::{Context, Result, ensure};
use contract::{INTERRUPT, TERMINATED, VERSION, WARNING};
use harness::{Child, Orphans, Output, Privileges, Program, Role, Spawn, Stream, c_strings, process, wait};
use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid};
use std::ffi::{CString, c_int};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use Role::{Init, Ordinary};

const BOTH: &[Role] = &[Init, Ordinary];
const INIT: &[Role] = &[Init];
const ORDINARY: &[Role] = &[Ordinary];

// Reasons why an emulator can't show it.
const MEMORY: &str = "the emulator itself needs memory";
const FILES: &str = "the emulator itself needs files";
const NAME: &str = "the emulator always passes a name on";
const HANDLERS: &str = "the emulator handles signals that kill by default, and hangs as PID 1";
const SIGRETURN: &str = "the emulator returns from handlers itself";
const MASK: &str = "the emulator keeps the mask itself";
const STOPPING: &str = "the emulator's handler for SIGCHLD is called for a child that stops";
const EXIT: &str = "the emulator itself makes the exit call";
const STRACE: &str = "strace shows the emulator's calls";

const fn case(roles: &'static [Role], name: &'static str, run: fn(&Program, Role) -> Result<()>) -> Case {
    Case { name, roles, is_ours: false, emulator: None, run }
}

impl Case {
    const fn ours(self) -> Self {
        Self { is_ours: true, ..self }
    }

    const fn native(self, reason: &'static str) -> Self {
        Self { emulator: Some(reason), ..self }
    }
}

#[rustfmt::skip]
pub static CASES: &[Case] = &[
    // The command line
    case(BOTH, "prints a line that begins with its name and exits with 0 on -v",
         |p, r| prints_its_name(p, Spawn::new(r).arguments(["-v"]))),
    case(BOTH, "prints its name and version on -v and -V, wherever they stand", v_prints_the_version).ours(),
    case(BOTH, "exits with 0 on -v even if stdout is closed, full, or a pipe without a reader",
         v_without_stdout).ours(),
    case(BOTH, "finds -v behind 100 kB of other arguments",
         |p, r| prints_its_name(p, Spawn::new(r).arguments(hundred_kilobytes().chain(["-v".into()])))),
    case(BOTH, "ignores arguments that are almost -v", |p, r| runs(p, Spawn::new(r).arguments(ALMOST_V))),
    case(ORDINARY, "ignores every other argument of up to two bytes, and -v and -V with one more",
         |p, r| runs(p, Spawn { arguments: short_arguments(), ..Spawn::new(r) })),
    case(BOTH, "ignores 100 kB of arguments", |p, r| runs(p, Spawn::new(r).arguments(hundred_kilobytes()))),
    case(BOTH, "does not take its own name for an argument",
         |p, r| runs(p, Spawn { name: Some("-v"), ..Spawn::new(r) })),
    case(BOTH, "runs with an empty argv", empty_argv).native(NAME),
    case(BOTH, "runs without an environment and ignores one", |p, r| {
        runs(p, Spawn::new(r))?;
        runs(p, Spawn { environment: c_strings(["PATH=/bin", "-v=-v", "-v"]), ..Spawn::new(r) })
    }),
    // Messages
    case(INIT, "says nothing", greets),
    case(ORDINARY, "warns on stderr and carries on", greets),
    case(BOTH, "writes to a file, a socket and a terminal as well as to a pipe", any_stderr),
    // The end
    case(BOTH, "says so and exits with 0 on SIGINT",
         |p, r| ends_on(start_asleep(p, Spawn::new(r))?, r, libc::SIGINT, INTERRUPT)),
    case(BOTH, "says so and exits with 0 on SIGTERM", |p, r| runs(p, Spawn::new(r))),
    case(BOTH, "exits with 0 on SIGTERM in the midst of a storm of orphans", terminate_in_a_storm),
    case(BOTH, "is killed by SIGKILL from outside", |p, r| is_killed(Spawn::new(r).ready(p)?, libc::SIGKILL)),
    case(INIT, "ignores every other signal from 1 to 64", other_signals_as_init).native(HANDLERS),
    case(ORDINARY, "dies from every other signal that kills by default", fatal_signals),
    // Children
    // Twice each: the handler has to return to where it was called.
    case(BOTH, "reaps a single orphan", |p, r| reaps(p, r, &[1, 1, 2, 2], Orphans::Mixed)),
    case(BOTH, "reaps orphans with sessions of their own", |p, r| reaps(p, r, &[20], Orphans::Detached)),
    case(BOTH, "reaps a storm of 10,000 orphans", |p, r| reaps(p, r, &[10_000], Orphans::Mixed)),
    case(BOTH, "reaps orphans that died while it was stopped", stopped),
    case(BOTH, "is not woken by a child that merely stops", stopping_child).native(STOPPING),
    case(BOTH, "sleeps and never wakes up while nothing happens", idle),
    // What survives exec
    case(BOTH, "exits with 0 on SIGTERM and reaps if started with every signal blocked",
         |p, r| lives(p, Spawn { block: true, ..Spawn::new(r) })).ours(),
    case(BOTH, "exits with 0 on SIGTERM and reaps if started with every signal ignored",
         |p, r| lives(p, Spawn { ignore: true, ..Spawn::new(r) })),
    case(BOTH, "leaves no signal blocked, whatever its arguments are", unblocked).ours().native(MASK),
    case(BOTH, "honours a SIGTERM that was pending when it started", |p, r| {
        let end = Spawn { pending: Some(libc::SIGTERM), ..Spawn::new(r) }.run(p)?;
        let is_right = end.status.success() && end.stderr.ends_with(TERMINATED) && end.stdout.is_empty();
        ensure!(is_right, "it ended with {end:?}");
        Ok(())
    }).ours(),
    case(BOTH, "reaps at start the children that died before", |p, r| {
        let mut child = Spawn { dead_children: 3, ..Spawn::new(r) }.ready(p)?;
        child.wait_until_childless()?;
        ends_well(child, r)
    }).ours(),
    // Odd streams
    case(BOTH, "carries on and exits with 0 if its stderr is a pipe without a reader",
         |p, r| lives_without_stderr(p, r, Stream::Broken)).ours(),
    case(BOTH, "becomes ready and exits with 0 if the pipe that is its stderr is full",
         |p, r| lives_without_stderr(p, r, Stream::Full)).ours(),
    case(BOTH, "carries on and exits with 0 if every descriptor is closed",
         |p, r| lives_without_stderr(p, r, Stream::Closed)),
    // Limits
    case(BOTH, "reaps and exits with 0 on a stack of 16 KiB",
         |p, r| lives(p, Spawn { limits: vec![(libc::RLIMIT_STACK, 16 << 10)], ..Spawn::new(r) })).ours().native(MEMORY),
    case(BOTH, "reaps and exits with 0 if it may have no data",
         |p, r| lives(p, Spawn { limits: vec![(libc::RLIMIT_DATA, 0)], ..Spawn::new(r) })).ours().native(MEMORY),
    case(BOTH, "reaps and exits with 0 if it may open no file", |p, r| {
        let end = reaps_and_ends(p, Spawn { limits: vec![(libc::RLIMIT_NOFILE, 0)], ..Spawn::new(r) })?;
        // Its messages may be lost: poll(2) takes at most as many descriptors as a process may have.
        ensure!(end.status.success(), "it ended with {end:?}");
        Ok(())
    }).native(FILES),
    // Privileges
    case(BOTH, "reaps and exits with 0 without any capability, or a way to get one",
         |p, r| lives_without(p, r, Privileges { no_capabilities: true, ..NONE })),
    case(BOTH, "reaps and exits with 0 if it may get no new privileges",
         |p, r| lives_without(p, r, Privileges { no_new_privileges: true, ..NONE })),
    case(BOTH, "reaps and exits with 0 as any user", any_user),
    case(BOTH, "reaps and exits with 0 on a read-only root that holds nothing else, no /proc and no /dev",
         |p, r| lives_without(p, r, Privileges { bare_root: true, ..NONE })),
    case(BOTH, "reaps and exits with 0 without all of these at once", |p, r| lives_without(p, r, ALL)),
    case(BOTH, "reaps and exits with 0 if any system call that is not documented kills it",
         documented_calls_only).ours(),
    case(BOTH, "reaps and exits with 0 if Landlock denies it all but its own file, and any system call that is not \
         documented kills it", no_files_by_landlock).ours(),
    // System calls
    case(ORDINARY, "installs SIGTERM's handler by its first system call", faults::first_call).ours(),
    case(ORDINARY, "makes every system call that it documents, and no other", faults::documented_calls).ours(),
    case(ORDINARY, "drops its message and exits with 0 on SIGTERM if something interrupts its poll of a full stderr",
         faults::interrupted_poll).ours().native(STRACE),
    case(ORDINARY, "exits with 1 if SIGINT's handler can't be installed", |p, _| without_handler(p, "SIGINT", 1)),
    case(ORDINARY, "exits with 2 if SIGTERM's handler can't be installed", |p, _| without_handler(p, "SIGTERM", 2)),
    case(ORDINARY, "exits with 3 if SIGCHLD's handler can't be installed", |p, _| without_handler(p, "SIGCHLD", 3)),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if rt_sigprocmask fails",
         |p, _| survives(p, "rt_sigprocmask")).ours().native(MASK),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if wait4 fails", |p, _| survives(p, "wait4")),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if getpid fails", |p, _| survives(p, "getpid")),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if poll fails", |p, _| survives(p, "poll,ppoll")).ours(),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if write fails", |p, _| survives(p, "write")),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if pause fails",
         |p, _| survives(p, "pause,ppoll,rt_sigsuspend")),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if rt_sigreturn fails",
         |p, _| survives(p, "rt_sigreturn")).ours().native(SIGRETURN),
    case(ORDINARY, "becomes ready and exits with 0 on SIGTERM if exit fails once",
         |p, _| survives_once(p, "exit")).ours().native(EXIT),
    case(ORDINARY, "exits with 0 on -v if exit fails once", faults::version).ours().native(EXIT),
];

const ALMOST_V: [&str; 15] =
    ["", "-", "v", "V", "-w", "-6", "\u{d}v", "--v", "-vv", "-v ", " -v", "-\u{16}", "--version", "--", ""];

/// Arguments of up to two bytes, and `-v` and `-V` with one more, but not these two. The proof covers longer ones.
fn short_arguments() -> Vec<CString> {
    let mut strings = vec![vec![]];
    for first in 1..=u8::MAX {
        strings.push(vec![first]);
        strings.extend((1..=u8::MAX).map(|second| vec![first, second]));
        strings.extend([b'v', b'V'].map(|letter| vec![b'-', letter, first]));
    }
    strings.retain(|string| !["-v".as_bytes(), b"-V"].contains(&&**string));
    c_strings(strings)
}

fn hundred_kilobytes() -> impl Iterator<Item = String> {
    std::iter::once("-v".repeat(25_000)).chain((0..50_000 / 5).map(|index| format!("{index:04}")))
}

/// The program's messages up to a signal.
fn greeting(role: Role) -> &'static str {
    if role == Init { "" } else { WARNING }
}

fn start_asleep(program: &Program, spawn: Spawn) -> Result<Child> {
    let mut child = spawn.ready(program)?;
    child.wait_until_asleep()?;
    Ok(child)
}

/// Ends the program with SIGTERM once it sleeps, and checks its status and messages.
fn ends_well(mut child: Child, role: Role) -> Result<()> {
    child.wait_until_asleep()?;
    ends_on(child, role, libc::SIGTERM, TERMINATED)
}

/// Ends the program with a signal, whatever it is doing. It has written everything else before.
fn ends_on(child: Child, role: Role, signal: c_int, message: &str) -> Result<()> {
    child.end_by(signal)?.check("", &format!("{}{message}", greeting(role)))
}

/// Becomes ready, sleeps, and ends well.
fn runs(program: &Program, spawn: Spawn) -> Result<()> {
    let role = spawn.role;
    ends_well(spawn.ready(program)?, role)
}

/// Becomes ready, reaps, and ends well.
fn lives(program: &Program, spawn: Spawn) -> Result<()> {
    let role = spawn.role;
    reaps_and_ends(program, spawn)?.check("", &format!("{}{TERMINATED}", greeting(role)))
}

/// Becomes ready, reaps, and ends on SIGTERM once it sleeps.
fn reaps_and_ends(program: &Program, spawn: Spawn) -> Result<Output> {
    let mut child = spawn.assisted().ready(program)?;
    child.reap(20, Orphans::Mixed)?;
    child.wait_until_asleep()?;
    child.end_by(libc::SIGTERM)
}

pub(crate) fn prints_its_name(program: &Program, spawn: Spawn) -> Result<()> {
    let end = spawn.run(program)?;
    ensure!(end.status.success() && end.stderr.is_empty() && end.stdout.starts_with("pause"), "it ended with {end:?}");
    ensure!(end.stdout.find('\n') == Some(end.stdout.len() - 1), "it printed {:?}", end.stdout);
    Ok(())
}

fn v_prints_the_version(program: &Program, role: Role) -> Result<()> {
    for arguments in [&["-v"][..], &["-V"], &["x", "-v"], &["", "-", "-V", "y"], &["-v", "-v"]] {
        let end = Spawn::new(role).arguments(arguments.iter().copied()).run(program)?;
        end.check(VERSION, "").with_context(|| format!("{arguments:?}"))?;
    }
    Ok(())
}

fn v_without_stdout(program: &Program, role: Role) -> Result<()> {
    [Stream::Closed, Stream::Full, Stream::Broken]
        .into_iter()
        .try_for_each(|stdout| Spawn { stdout, ..Spawn::new(role).arguments(["-v"]) }.run(program)?.check("", ""))
}

fn empty_argv(program: &Program, role: Role) -> Result<()> {
    runs(program, Spawn { name: None, ..Spawn::new(role) })?;
    // Since 5.18 the kernel has added an empty name to that. Lay out the stack as older ones do: no name, no
    // environment, and the auxiliary vector.
    let mut child = Spawn { name: None, traced: true, ..Spawn::new(role) }.spawn(program)?;
    let pid = Pid::from_raw(child.pid);
    waitpid(pid, None)?;
    let mut stack = vec![0; 3 * size_of::<usize>()];
    stack.extend(fs::read(format!("/proc/{pid}/auxv"))?);
    let memory = File::options().write(true).open(format!("/proc/{pid}/mem"))?;
    memory.write_all_at(&stack, process::start_of_stack(child.pid)?)?;
    ptrace::detach(pid, None)?;
    child.wait_until_ready().context("argc is 0")?;
    ends_well(child, role)
}

fn greets(program: &Program, role: Role) -> Result<()> {
    let end = start_asleep(program, Spawn::new(role))?.end_by(libc::SIGKILL)?;
    ensure!(end.stdout.is_empty() && end.stderr == greeting(role), "it wrote {end:?}");
    Ok(())
}

fn any_stderr(program: &Program, role: Role) -> Result<()> {
    let expected = format!("{}{TERMINATED}", greeting(role));
    let check = |stderr: OwnedFd, mut reader: Box<dyn Read>, kind: &str| {
        let child = start_asleep(program, Spawn { stderr: Stream::File(stderr), ..Spawn::new(role) })?;
        child.end_by(libc::SIGTERM)?.check("", "").context(kind.to_owned())?;
        let mut written = Vec::new();
        // A terminal ends with an error, EIO.
        let _ = reader.read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written).replace('\r', "");
        ensure!(written == expected, "to a {kind} it wrote {written:?}");
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

fn terminate_in_a_storm(program: &Program, role: Role) -> Result<()> {
    let mut child = start_asleep(program, Spawn::new(role).assisted())?;
    child.orphan_spawner()?.make_orphans(100, Orphans::Mixed)?;
    // Those that the program leaves are for the machine's first process, which may be slow.
    child.orphan_spawner()?.start_orphans(1_000, Orphans::Mixed)?;
    // Apart from the orphan spawner, the first child is an orphan.
    child.wait_until("the storm begins", |child| Ok(process::children(child.pid)?.len() > 1))?;
    ends_on(child, role, libc::SIGTERM, TERMINATED)
}

fn is_killed(child: Child, signal: c_int) -> Result<()> {
    let end = child.end_by(signal)?;
    ensure!(end.status.signal() == Some(signal), "it ended with {end:?}");
    Ok(())
}

/// The signals that the contract doesn't name, except SIGKILL.
fn other_signals() -> impl Iterator<Item = c_int> {
    let named = [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGKILL];
    (1..=64).filter(move |signal| !named.contains(signal))
}

fn other_signals_as_init(program: &Program, role: Role) -> Result<()> {
    let mut child = Spawn::new(role).assisted().ready(program)?;
    other_signals().try_for_each(|signal| child.signal(signal))?;
    child.signal(libc::SIGCONT)?;
    child.reap(20, Orphans::Mixed)?;
    ends_well(child, role)
}

fn fatal_signals(program: &Program, role: Role) -> Result<()> {
    // Ignored by default, or stopping: signal(7).
    let harmless =
        [libc::SIGCONT, libc::SIGURG, libc::SIGWINCH, libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
    // The emulator reserves these for its C library and itself: `signal_table_init` in
    // <https://gitlab.com/qemu-project/qemu/-/blob/v10.0.0/linux-user/signal.c>
    let reserved = |signal: &c_int| program.emulator.is_some() && (32..=35).contains(signal);
    for signal in other_signals().filter(|signal| !harmless.contains(signal) && !reserved(signal)) {
        is_killed(start_asleep(program, Spawn::new(role))?, signal).with_context(|| format!("signal {signal}"))?;
    }
    Ok(())
}

fn reaps(program: &Program, role: Role, counts: &[usize], orphans: Orphans) -> Result<()> {
    let mut child = start_asleep(program, Spawn::new(role).assisted())?;
    counts.iter().try_for_each(|&count| child.reap(count, orphans))?;
    ends_well(child, role)
}

fn stopped(program: &Program, role: Role) -> Result<()> {
    let mut child = Spawn::new(role).assisted().ready(program)?;
    child.signal(libc::SIGSTOP)?;
    child.wait_until("it is stopped", |child| process::is_stopped(child.pid))?;
    child.orphan_spawner()?.make_orphans(100, Orphans::Mixed)?;
    ensure!(process::children(child.pid)?.len() > 100, "something else reaped the orphans");
    child.signal(libc::SIGCONT)?;
    child.wait_until_childless()?;
    ends_well(child, role)
}

fn sleeps_through(child: &mut Child, event: impl FnOnce(&mut Child) -> Result<()>) -> Result<()> {
    // The number of times that it went to sleep, and so woke up.
    let sleeps = |child: &Child| anyhow::Ok(process::switches(child.pid)?.0);
    let before = sleeps(child)?;
    event(child)?;
    // On a busy machine it may be awake, but without a processor yet.
    child.wait_until_asleep()?;
    let after = sleeps(child)?;
    ensure!(before == after, "it woke up {} times", after - before);
    Ok(())
}

fn stopping_child(program: &Program, role: Role) -> Result<()> {
    let mut child = start_asleep(program, Spawn::new(role).assisted())?;
    let its_child = process::children(child.pid)?[0];
    sleeps_through(&mut child, |child| {
        kill(Pid::from_raw(its_child), Signal::SIGSTOP)?;
        child.wait_until("its child has stopped", |_| process::is_stopped(its_child))?;
        kill(Pid::from_raw(its_child), Signal::SIGCONT)?;
        child.wait_until("its child sleeps again", |_| process::is_asleep(its_child))
    })?;
    ends_well(child, role)
}

fn idle(program: &Program, role: Role) -> Result<()> {
    let mut child = start_asleep(program, Spawn::new(role))?;
    sleeps_through(&mut child, |_| {
        std::thread::sleep(wait::scaled(Duration::from_secs(2)));
        Ok(())
    })?;
    ends_well(child, role)
}

fn unblocked(program: &Program, role: Role) -> Result<()> {
    // The pointers to the arguments are next to the program's mask.
    for count in 0..10 {
        let arguments = (0..count).map(|length| "x".repeat(length));
        let child = start_asleep(program, Spawn { block: true, ..Spawn::new(role).arguments(arguments) })?;
        let blocked = process::signals(child.pid)?.blocked;
        ensure!(blocked == 0, "with {count} arguments it blocks {blocked:#x}");
        ends_well(child, role)?;
    }
    Ok(())
}

fn lives_without_stderr(program: &Program, role: Role, stderr: Stream) -> Result<()> {
    reaps_and_ends(program, Spawn { stdout: Stream::Closed, stderr, ..Spawn::new(role) })?.check("", "")
}

const ALL: Privileges =
    Privileges { user: Some(USER), no_capabilities: true, bare_root: true, no_new_privileges: true };
const NONE: Privileges = Privileges { user: None, no_capabilities: false, bare_root: false, no_new_privileges: false };

fn lives_without(program: &Program, role: Role, privileges: Privileges) -> Result<()> {
    ensure!(geteuid().is_root(), Skip("it takes root to take privileges away"));
    lives(program, Spawn { privileges, ..Spawn::new(role) })
}

/// The image's user, which has no account.
const USER: u32 = 65535;

fn any_user(program: &Program, role: Role) -> Result<()> {
    // The program's file may be in a directory that the user can't enter. The bare root is open to all.
    // The second is in the range that a cluster assigns from.
    [USER, 1_000_000_000 + std::process::id()]
        .into_iter()
        .try_for_each(|user| lives_without(program, role, Privileges { user: Some(user), bare_root: true, ..NONE }))
}

fn documented_calls_only(program: &Program, role: Role) -> Result<()> {
    let program = without_emulator(program)?;
    let calls: Vec<_> = faults::documented(&program)?.all().collect();
    // Negative control: the filter kills.
    let without_one = calls.iter().copied().filter(|&call| call != "wait4").collect();
    let end = Spawn { only: Some(without_one), ..Spawn::new(role) }.run(&program)?;
    ensure!(end.status.signal() == Some(libc::SIGSYS), "without wait4 it ended with {end:?}");
    lives(&program, Spawn { only: Some(calls), ..Spawn::new(role) })
}

fn no_files_by_landlock(program: &Program, role: Role) -> Result<()> {
    ensure!(harness::has_landlock(), Skip("this kernel has no Landlock"));
    let program = without_emulator(program)?;
    // Negative control: Landlock denies.
    let other = Spawn { landlock: true, wrapper: vec!["/usr/bin/env".into()], ..Spawn::new(role) };
    let end = other.run(&program)?;
    ensure!(end.status.code() == Some(harness::NOT_EXECUTED), "another file was executed: {end:?}");
    let calls = faults::documented(&program)?.all().collect();
    lives(&program, Spawn { landlock: true, only: Some(calls), ..Spawn::new(role) })
}

/// The program as the kernel itself runs it: restrictions would also have to allow the emulator's calls.
fn without_emulator(program: &Program) -> Result<Program> {
    // The allow-list is stricter than any profile.
    let bare = Program { emulator: None, profile: None, ..program.clone() };
    let may_run = program.name == "linux/386" && cfg!(target_arch = "x86_64");
    let runs_here = program.emulator.is_none() || may_run && Command::new(&bare.file).arg("-v").output().is_ok();
    ensure!(runs_here, Skip("this machine runs it only in an emulator, whose calls would have to be allowed"));
    Ok(bare)
}
