//! A child of the program that makes orphans for it: this executable, started again.
//!
//! It is forked before the program is executed, so that the program is its parent, and adopts its orphans.

use crate::wait;
use anyhow::{Context, Result, ensure};
use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, pause, setsid};
use procfs::{Current, LoadAverage};
use std::ffi::CStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::time::Duration;

/// The argument that makes this executable an orphan spawner.
const ROLE: &CStr = c"--orphan_spawner";
const DONE: &str = "done";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// They die, half of them before they are adopted, half afterwards.
    Mixed,
    /// They are all dead when they are adopted, at once.
    Dead,
    /// They die in separate sessions, like a daemon's children.
    Detached,
    /// They live until they are killed.
    Alive,
}

const ALL: [Orphans; 4] = [Orphans::Mixed, Orphans::Dead, Orphans::Detached, Orphans::Alive];

pub struct OrphanSpawner {
    commands: BufReader<UnixStream>,
    /// Its number outside of its namespace.
    pub pid: i32,
    /// Held during a storm. Three of them at once, in any test runs, use up the machine's process numbers.
    storm: Option<File>,
}

impl OrphanSpawner {
    /// Waits until it reports its number.
    pub(crate) fn connect(socket: UnixStream) -> Result<Self> {
        socket.set_read_timeout(Some(wait::timeout()))?;
        let mut spawner = Self { commands: BufReader::new(socket), pid: 0, storm: None };
        spawner.pid = spawner.read()?.parse().context("the orphan spawner does not report its number")?;
        Ok(spawner)
    }

    /// Makes orphans. Returns when all of them have been adopted.
    pub fn make_orphans(&mut self, count: usize, orphans: Orphans) -> Result<()> {
        self.start_orphans(count, orphans)?;
        let answer = self.read()?;
        ensure!(answer == DONE, "the orphan spawner reports {answer:?}");
        Ok(())
    }

    /// Makes orphans, without waiting.
    pub fn start_orphans(&mut self, count: usize, orphans: Orphans) -> Result<()> {
        if count > 1_000 && self.storm.is_none() {
            let limit = File::open("/proc/sys/kernel/pid_max")?;
            limit.lock()?;
            self.storm = Some(limit);
            // The machine's first process may still have to reap the orphans of a program that has ended.
            let has_room = || Ok(LoadAverage::current()?.max < 10_000);
            wait::within(Duration::from_secs(60), Duration::from_millis(100), has_room)?;
        }
        Ok(writeln!(self.commands.get_mut(), "{orphans:?} {count}")?)
    }

    fn read(&mut self) -> Result<String> {
        let mut line = String::new();
        self.commands.read_line(&mut line).context("the orphan spawner does not answer")?;
        ensure!(line.ends_with('\n'), "the orphan spawner is gone");
        Ok(line.trim_end().into())
    }
}

pub(crate) unsafe fn exec(commands: &OwnedFd) -> ! {
    let file = c"/proc/self/exe".as_ptr();
    let argv = [file, ROLE.as_ptr(), std::ptr::null()];
    // SAFETY: Only system calls, on memory of this function.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 0);
        libc::dup2(commands.as_raw_fd(), 0);
        libc::close(1);
        libc::close(2);
        libc::execve(file, argv.as_ptr(), [std::ptr::null()].as_ptr());
        libc::_exit(126)
    }
}

/// Becomes an orphan spawner if this executable was started as one, and then doesn't return. To be called first in `main`.
pub fn run_if_asked() {
    if std::env::args_os().nth(1).is_none_or(|word| word.as_encoded_bytes() != ROLE.to_bytes()) {
        return;
    }
    // /proc belongs to the namespace outside.
    let pid = std::fs::read_link("/proc/self").unwrap_or_default();
    report(&pid.to_string_lossy());
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        report(&obey(&line).map_or_else(|error| error.to_string(), |()| DONE.into()));
    }
    exit(0);
}

/// Orders come through the same socket.
fn report(line: &str) {
    let _ = nix::unistd::write(std::io::stdin(), format!("{line}\n").as_bytes());
}

/// Forks a child that has as many children as ordered and dies.
fn obey(order: &str) -> Result<()> {
    let (kind, count) = order.split_once(' ').context("an order has two words")?;
    let orphans = ALL.into_iter().find(|orphans| format!("{orphans:?}") == kind).context("unknown order")?;
    let count = count.parse()?;
    // SAFETY: This process has one thread, so its children may do anything.
    match unsafe { fork() }? {
        ForkResult::Child => exit(have_children(count, orphans).map_or(1, |()| 0)),
        ForkResult::Parent { child } => {
            ensure!(waitpid(child, None)? == WaitStatus::Exited(child, 0), "can't fork so many");
            Ok(())
        }
    }
}

fn have_children(count: usize, orphans: Orphans) -> Result<()> {
    let (mut read, write) = std::io::pipe()?;
    for index in 0..count {
        // SAFETY: This process has one thread.
        match unsafe { fork() }? {
            ForkResult::Child => {
                match orphans {
                    // Only this process and its parent have the writing end: the file ends when the parent is gone.
                    Orphans::Mixed if index % 2 == 0 => {
                        drop(write);
                        let _ = read.read(&mut [0]);
                    }
                    Orphans::Mixed | Orphans::Dead => {}
                    Orphans::Detached => drop(setsid()),
                    Orphans::Alive => loop {
                        pause();
                    },
                }
                exit(0)
            }
            ForkResult::Parent { child } if orphans == Orphans::Dead => wait_for_death(child.as_raw()),
            ForkResult::Parent { .. } => {}
        }
    }
    Ok(())
}

/// Waits until a child is dead, and leaves the zombie.
pub(crate) fn wait_for_death(child: libc::pid_t) {
    // SAFETY: The kernel writes what waitid knows.
    unsafe {
        let mut information: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_PID, child as _, &mut information, libc::WEXITED | libc::WNOWAIT);
    }
}
