//! A running program: watching, signalling and ending it.

use crate::privileges::Root;
use crate::{OrphanSpawner, Orphans, process, wait};
use anyhow::{Context, Result, bail, ensure};
use nix::libc;
use std::ffi::c_int;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(1);

/// A running program. Dropping it kills it.
pub struct Child {
    /// Its number outside of its namespace.
    pub pid: c_int,
    /// When it was started, immediately before the fork.
    pub started: Instant,
    pub(crate) is_emulated: bool,
    /// Its exit status, if it is known. A tracer may have waited for it.
    pub status: Option<ExitStatus>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) orphan_spawner: Option<OrphanSpawner>,
    pub(crate) _root: Option<Root>,
}

/// A program's exit status, and the text that it wrote to pipes.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Fails unless the program exited with 0 and wrote this.
    pub fn check(&self, stdout: &str, stderr: &str) -> Result<()> {
        let is_right = self.status.success() && self.stdout == stdout && self.stderr == stderr;
        ensure!(is_right, "it ended with {self:?} instead of exit status 0, stdout {stdout:?} and stderr {stderr:?}");
        Ok(())
    }
}

impl Child {
    pub fn wait_until_ready(&mut self) -> Result<()> {
        self.wait_until("its handlers are installed", |child| process::is_ready(child.pid))
    }

    pub fn wait_until_asleep(&mut self) -> Result<()> {
        self.wait_until("it sleeps", Self::is_asleep)
    }

    pub fn is_asleep(&self) -> Result<bool> {
        if self.is_emulated { process::is_asleep_in_emulator(self.pid) } else { process::is_asleep(self.pid) }
    }

    pub fn orphan_spawner(&mut self) -> Result<&mut OrphanSpawner> {
        self.orphan_spawner.as_mut().context("it was started without an orphan spawner")
    }

    pub fn reap(&mut self, count: usize, orphans: Orphans) -> Result<()> {
        self.orphan_spawner()?.make_orphans(count, orphans)?;
        self.wait_until_childless()
    }

    /// Waits until it has reaped all orphans. Its orphan spawner, if it has one, has to be alive.
    pub fn wait_until_childless(&mut self) -> Result<()> {
        let orphan_spawner = self.orphan_spawner.as_ref().map(|spawner| spawner.pid);
        self.wait_until("its orphans are reaped", |child| {
            ensure!(orphan_spawner.is_none_or(process::is_alive), "its orphan spawner is gone");
            // While a child goes, the kernel's list may omit another one.
            let is_alone = || anyhow::Ok(process::children(child.pid)?.into_iter().eq(orphan_spawner));
            Ok(is_alone()? && is_alone()?)
        })
    }

    /// Waits for a condition. Fails if the program ends before. `what` ends the sentence "gave up waiting until".
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let is_met = || {
            if let Some(status) = self.poll_status()? {
                bail!("it ended ({status}) before {what}; stderr: {:?}", read(self.stderr.take())?);
            }
            condition(self)
        };
        wait::until(what, INTERVAL, is_met)
    }

    /// Sends it a signal from outside of its namespace.
    pub fn signal(&self, signal: c_int) -> Result<()> {
        // SAFETY: This process has not yet waited for its child, so the number is the child's.
        ensure!(unsafe { libc::kill(self.pid, signal) } == 0, std::io::Error::last_os_error());
        Ok(())
    }

    pub fn end_by(self, signal: c_int) -> Result<Output> {
        self.signal(signal)?;
        self.end()
    }

    pub fn end(mut self) -> Result<Output> {
        let status = wait::until_some("it ends", INTERVAL, || self.poll_status())?;
        Ok(Output { status, stdout: read(self.stdout.take())?, stderr: read(self.stderr.take())? })
    }

    pub fn poll_status(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: The kernel writes the status.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } {
                0 => return Ok(None),
                -1 => return Err(std::io::Error::last_os_error()).context("waitpid"),
                _ => self.status = Some(ExitStatus::from_raw(status)),
            }
        }
        Ok(self.status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            // SAFETY: This process has not yet waited for its child.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                let mut status = 0;
                // A tracer may first get a stop that came before.
                while libc::waitpid(self.pid, &mut status, 0) == self.pid && libc::WIFSTOPPED(status) {}
            }
        }
    }
}

/// Reads a pipe whose writer is gone; of a full one, what was added.
fn read(pipe: Option<OwnedFd>) -> Result<String> {
    let text = pipe.map_or(Ok(String::new()), |pipe| std::io::read_to_string(File::from(pipe)))?;
    Ok(text.trim_start_matches('x').into())
}
