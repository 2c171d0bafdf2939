//! A child of the program that makes orphans for it: this executable, started anew.
//!
//! It is forked before the program is executed, so the program is its parent and, one way or the other,
//! the one that adopts what it orphans.

use crate::wait;
use anyhow::{Context, Result, ensure};
use nix::libc;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// As an argument, it turns this executable into an assistant.
const ROLE: &str = "--assistant";

/// What it says when it has done what it was told.
const DONE: &str = "done";

/// What it says when it could not.
const FAILED: &str = "fork failed";

/// What orphans do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// They die, half of them before they are adopted, half afterwards.
    Mixed,
    /// They have died when they are adopted, all at once.
    Dead,
    /// They die in sessions of their own, as what a daemon leaves behind.
    Detached,
    /// They live until they are killed.
    Alive,
}

impl Orphans {
    const ALL: [(Self, &str); 4] =
        [(Self::Mixed, "mixed"), (Self::Dead, "dead"), (Self::Detached, "detached"), (Self::Alive, "alive")];
}

/// All that is needed to become an assistant.
pub(crate) struct Exec {
    file: CString,
    role: CString,
    commands: OwnedFd,
}

/// An assistant that runs.
pub struct Assistant {
    commands: BufReader<UnixStream>,
    /// Its number, once it has told it.
    pid: Option<i32>,
}

/// Prepares an assistant.
pub(crate) fn prepare() -> Result<(Exec, UnixStream)> {
    let (harness, assistant) = UnixStream::pair()?;
    harness.set_read_timeout(Some(wait::patience()))?;
    let file = CString::new(std::env::current_exe()?.to_str().context("a path in UTF-8")?)?;
    Ok((Exec { file, role: CString::new(ROLE)?, commands: assistant.into() }, harness))
}

impl Exec {
    /// # Safety
    /// Only in a process of its own.
    pub unsafe fn become_assistant(&self) -> ! {
        let argv = [self.file.as_ptr(), self.role.as_ptr(), std::ptr::null()];
        // SAFETY: nothing but system calls on memory that was prepared.
        unsafe {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 0);
            libc::dup2(self.commands.as_raw_fd(), 0);
            libc::close(1);
            libc::close(2);
            libc::execve(self.file.as_ptr(), argv.as_ptr(), [std::ptr::null()].as_ptr());
            libc::_exit(126)
        }
    }

    /// The assistant is on its way; this end of its commands is not needed here any more.
    pub fn started(self, commands: UnixStream) -> Assistant {
        Assistant { commands: BufReader::new(commands), pid: None }
    }
}

impl Assistant {
    /// Makes that many orphans. Returns when all have been adopted.
    ///
    /// # Errors
    /// Where it can't fork so many, or is gone.
    pub fn make_orphans(&mut self, count: usize, orphans: Orphans) -> Result<()> {
        self.start_orphans(count, orphans)?;
        self.wait()
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn start_orphans(&mut self, count: usize, orphans: Orphans) -> Result<()> {
        let (_, word) = Orphans::ALL.iter().find(|(kind, _)| *kind == orphans).context("one of all")?;
        writeln!(self.commands.get_mut(), "{word} {count}")?;
        Ok(())
    }

    /// Its number outside of its namespace.
    ///
    /// # Errors
    /// Where it never started.
    pub fn pid(&mut self) -> Result<i32> {
        if self.pid.is_none() {
            self.pid = Some(self.read()?.parse().context("the assistant does not tell its number")?);
        }
        self.pid.context("told above")
    }

    /// Waits for what was started.
    ///
    /// # Errors
    /// Where that failed, or it is gone.
    pub fn wait(&mut self) -> Result<()> {
        self.pid()?;
        let answer = self.read()?;
        ensure!(answer == DONE, "the assistant said {answer:?}");
        Ok(())
    }

    /// The next line that it says.
    fn read(&mut self) -> Result<String> {
        let mut line = String::new();
        self.commands.read_line(&mut line).context("the assistant does not answer")?;
        ensure!(line.ends_with('\n'), "the assistant is gone");
        Ok(line.trim_end().into())
    }
}

/// Becomes an assistant, where this executable was started as one. Does not return then.
pub fn run_if_asked() {
    if std::env::args_os().nth(1).is_none_or(|word| word != ROLE) {
        return;
    }
    // Where /proc shows the namespace outside, this is its number there.
    let pid = std::fs::read_link("/proc/self").unwrap_or_default();
    say(&pid.to_string_lossy());
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        let order = line.split_once(' ').and_then(|(word, count)| {
            let (kind, _) = Orphans::ALL.iter().find(|(_, name)| *name == word)?;
            Some((*kind, count.parse().ok()?))
        });
        say(match order {
            Some((kind, count)) => make_orphans(count, kind),
            None => "what?",
        });
    }
    std::process::exit(0);
}

/// Says a line to who reads it: what it is told comes from there, too.
fn say(line: &str) {
    let line = format!("{line}\n");
    // SAFETY: the kernel reads the line.
    unsafe { libc::write(0, line.as_ptr().cast(), line.len()) };
}

/// A child has that many children and dies.
fn make_orphans(count: usize, orphans: Orphans) -> &'static str {
    // SAFETY: this process has one thread, so that the children may do what it may.
    unsafe {
        match libc::fork() {
            -1 => FAILED,
            0 => be_their_parent(count, orphans),
            parent => {
                let mut status = 0;
                libc::waitpid(parent, &mut status, 0);
                if status == 0 { DONE } else { FAILED }
            }
        }
    }
}

/// # Safety
/// Only in a process of its own, with one thread.
unsafe fn be_their_parent(count: usize, orphans: Orphans) -> ! {
    let mut ends = [0; 2];
    // SAFETY: promised by the caller; the kernel writes two descriptors, and what waitid knows.
    unsafe {
        libc::pipe(ends.as_mut_ptr());
        for index in 0..count {
            match libc::fork() {
                -1 => libc::_exit(1),
                0 => {
                    match orphans {
                        // The writing end is this process's and its parent's: the end of the file comes when the
                        // parent is gone.
                        Orphans::Mixed if index % 2 == 0 => {
                            libc::close(ends[1]);
                            libc::read(ends[0], (&raw mut ends).cast(), 1);
                        }
                        Orphans::Mixed | Orphans::Dead => {}
                        Orphans::Detached => {
                            libc::setsid();
                        }
                        Orphans::Alive => loop {
                            libc::pause();
                        },
                    }
                    libc::_exit(0)
                }
                child if orphans == Orphans::Dead => {
                    let mut information: libc::siginfo_t = std::mem::zeroed();
                    libc::waitid(libc::P_PID, child as _, &mut information, libc::WEXITED | libc::WNOWAIT);
                }
                _ => {}
            }
        }
        libc::_exit(0)
    }
}
