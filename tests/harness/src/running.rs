//! A program that was started: how one watches it, talks to it and ends it.

use crate::{Assistant, process, wait};
use anyhow::{Context, Result, bail, ensure};
use nix::libc;
use std::ffi::c_int;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long to sleep between two looks at what a program does.
const INTERVAL: Duration = Duration::from_millis(1);

/// A program that was started. Dropping it kills it.
pub struct Running {
    pid: c_int,
    started: Instant,
    /// Whether it runs in an emulator.
    emulated: bool,
    status: Option<ExitStatus>,
    /// The other end of its standard input, where that is a pipe.
    pub stdin: Option<File>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Its child, where one was asked for.
    pub assistant: Option<Assistant>,
    /// The folder that is its root, where it has one of its own.
    _root: Option<TempDir>,
}

/// How a program ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// Its exit status, or the signal that killed it.
    pub status: ExitStatus,
    /// What it wrote to standard output, where that was a pipe.
    pub stdout: String,
    /// The same of standard error.
    pub stderr: String,
}

impl Running {
    pub(crate) fn new(
        pid: c_int,
        started: Instant,
        emulated: bool,
        [stdin, stdout, stderr]: [Option<OwnedFd>; 3],
        assistant: Option<Assistant>,
        root: Option<TempDir>,
    ) -> Self {
        Self {
            pid,
            started,
            emulated,
            status: None,
            stdin: stdin.map(File::from),
            stdout,
            stderr,
            assistant,
            _root: root,
        }
    }

    /// Its number outside of its namespace.
    pub fn pid(&self) -> c_int {
        self.pid
    }

    /// When it was started, immediately before the fork.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Waits until the handlers of SIGTERM, SIGINT and SIGCHLD are in place.
    ///
    /// # Errors
    /// Where that does not happen.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        self.wait_until("its handlers are in place", |running| process::is_ready(running.pid))
    }

    /// Waits until it sleeps.
    ///
    /// # Errors
    /// Where that does not happen.
    pub fn wait_until_asleep(&mut self) -> Result<()> {
        self.wait_until("it sleeps", Self::is_asleep)
    }

    /// Whether it sleeps.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn is_asleep(&self) -> Result<bool> {
        if self.emulated { process::is_asleep_in_emulator(self.pid) } else { process::is_asleep(self.pid) }
    }

    /// Waits until it has reaped every orphan. Its assistant, if it has one, has to live.
    ///
    /// # Errors
    /// Where that does not happen.
    pub fn wait_until_childless(&mut self) -> Result<()> {
        let assistant = self.assistant.as_mut().map(Assistant::pid).transpose()?;
        self.wait_until("its orphans are reaped", |running| {
            if let Some(assistant) = assistant {
                ensure!(process::is_alive(assistant), "its assistant is gone");
            }
            // While one child goes, the kernel's list may leave out another: what counts is what it says twice.
            let is_alone = || anyhow::Ok(process::children(running.pid)?.into_iter().eq(assistant));
            Ok(is_alone()? && is_alone()?)
        })
    }

    /// Waits for a condition; the program may not end meanwhile. `what` ends the sentence "gave up waiting until".
    ///
    /// # Errors
    /// Where it does not come true, or can't be known.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let is_so = || {
            if let Some(status) = self.poll_status()? {
                bail!("it ended ({status}) before {what}; stderr: {:?}", read(self.stderr.take())?);
            }
            condition(self)
        };
        wait::until(what, INTERVAL, is_so)
    }

    /// Sends it a signal from outside of its namespace.
    ///
    /// # Errors
    /// Where there is no such signal.
    pub fn signal(&self, signal: c_int) -> Result<()> {
        // SAFETY: the process is this one's child and not yet waited for, so the number is its own.
        ensure!(unsafe { libc::kill(self.pid, signal) } == 0, std::io::Error::last_os_error());
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn end(mut self) -> Result<End> {
        wait::until("it ends", INTERVAL, || Ok(self.poll_status()?.is_some()))?;
        let status = self.status.context("it has ended")?;
        Ok(End { status, stdout: read(self.stdout.take())?, stderr: read(self.stderr.take())? })
    }

    /// Sends it SIGTERM and waits for its end.
    ///
    /// # Errors
    /// Where it does not end.
    pub fn terminate(self) -> Result<End> {
        self.signal(libc::SIGTERM)?;
        self.end()
    }

    /// Takes note that it has ended, where a tracer has waited for that.
    pub fn has_ended(&mut self, status: ExitStatus) {
        self.status = Some(status);
    }

    /// How it ended, if it has ended.
    ///
    /// # Errors
    /// Where somebody else has waited for it.
    pub fn poll_status(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: the kernel writes a status; the process is this one's child.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } {
                0 => return Ok(None),
                -1 => return Err(std::io::Error::last_os_error()).context("waitpid"),
                _ => self.status = Some(ExitStatus::from_raw(status)),
            }
        }
        Ok(self.status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            // SAFETY: the process is this one's child and not yet waited for.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                let mut status = 0;
                // A tracer is also told of a stop that came before.
                while libc::waitpid(self.pid, &mut status, 0) == self.pid && libc::WIFSTOPPED(status) {}
            }
        }
    }
}

/// All that is in a pipe whose writer is gone; of a full one, what the program may have added.
fn read(pipe: Option<OwnedFd>) -> Result<String> {
    let mut text = String::new();
    if let Some(pipe) = pipe {
        File::from(pipe).read_to_string(&mut text)?;
    }
    Ok(text.trim_start_matches('x').into())
}
