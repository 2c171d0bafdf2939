//! A child of the program under test that makes orphans for it: this test executable, started anew.
//!
//! It is forked before the program is executed, so the program is its parent and, one way or the other,
//! the one that adopts what it orphans.

use anyhow::{Context, Result, ensure};
use std::ffi::CString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// As an argument, it turns the test executable into an assistant.
const ROLE: &str = "--assistant";

/// All that is needed to become an assistant.
pub struct Exec {
    file: CString,
    role: CString,
    commands: OwnedFd,
}

/// An assistant that runs.
pub struct Assistant {
    commands: BufReader<UnixStream>,
}

/// Prepares an assistant.
pub fn prepare() -> Result<(Exec, UnixStream)> {
    let (harness, assistant) = UnixStream::pair()?;
    harness.set_read_timeout(Some(*crate::process::PATIENCE))?;
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
        Assistant { commands: BufReader::new(commands) }
    }
}

impl Assistant {
    /// Makes that many orphans, each of which dies at once. Returns when all have been adopted.
    pub fn make_orphans(&mut self, count: usize) -> Result<()> {
        self.start_orphans(count)?;
        self.wait()
    }

    /// The same, without waiting.
    pub fn start_orphans(&mut self, count: usize) -> Result<()> {
        writeln!(self.commands.get_mut(), "orphans {count}")?;
        Ok(())
    }

    /// Waits for what was started.
    pub fn wait(&mut self) -> Result<()> {
        let mut line = String::new();
        self.commands.read_line(&mut line).context("the assistant does not answer")?;
        ensure!(line == "done\n", "the assistant said {line:?}");
        Ok(())
    }
}

/// Becomes an assistant, where this executable was started as one. Does not return then.
pub fn run_if_asked() {
    if std::env::args().nth(1).as_deref() != Some(ROLE) {
        return;
    }
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        let answer = match line.split_once(' ') {
            Some(("orphans", count)) => make_orphans(count.parse().expect("a number")),
            _ => "what?",
        };
        // SAFETY: the kernel reads the answer.
        unsafe { libc::write(0, answer.as_ptr().cast(), answer.len()) };
    }
    std::process::exit(0);
}

/// A child has that many children and dies. Half of them die before it does, half when it is gone.
fn make_orphans(count: usize) -> &'static str {
    // SAFETY: this process has one thread, so that the children may do what it may.
    unsafe {
        match libc::fork() {
            -1 => "fork failed\n",
            0 => {
                let mut ends = [0; 2];
                libc::pipe(ends.as_mut_ptr());
                for index in 0..count {
                    match libc::fork() {
                        -1 => libc::_exit(1),
                        0 => {
                            if index % 2 == 0 {
                                // The writing end is this process's and its parent's: the end of the file comes
                                // when the parent is gone.
                                libc::close(ends[1]);
                                libc::read(ends[0], (&raw mut ends).cast(), 1);
                            }
                            libc::_exit(0)
                        }
                        _ => {}
                    }
                }
                libc::_exit(0)
            }
            parent => {
                let mut status = 0;
                libc::waitpid(parent, &mut status, 0);
                if status == 0 { "done\n" } else { "fork failed\n" }
            }
        }
    }
}
