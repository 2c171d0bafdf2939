//! How a program is started, and the signals that are injected.

use anyhow::{Context, Result};
use contract::{INTERRUPT, TERMINATED};
use harness::{Role, Spawn, StdioPipe, Stream, process, wait};
use nix::sys::signal::Signal::{self, SIGCHLD, SIGINT, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::time::Duration;

pub const SIGNALS: [Signal; 3] = [SIGTERM, SIGINT, SIGCHLD];

/// Returns the program's message before it exits.
pub fn message(signal: Signal) -> Option<&'static str> {
    match signal {
        SIGTERM => Some(TERMINATED),
        SIGINT => Some(INTERRUPT),
        _ => None,
    }
}

/// Sends a signal, SIGCHLD by killing a child. It is pending when this returns; a tracer's next request sees it.
pub fn send(pid: i32, signal: Signal) -> Result<()> {
    if signal != SIGCHLD {
        return Ok(kill(Pid::from_raw(pid), signal)?);
    }
    let children = process::children(pid)?;
    let child = children.into_iter().find(|&child| !process::is_zombie(child)).context("it has no child left")?;
    kill(Pid::from_raw(child), Signal::SIGKILL)?;
    wait::until("its child is dead", Duration::ZERO, || Ok(!process::is_alive(child)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    Open,
    Full,
    Broken,
}

#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub role: Role,
    pub stderr: Stderr,
    /// Whether all signals are blocked: the mask survives exec.
    pub blocked: bool,
}

/// The pipes that are the stderr of many programs. They are made before any program is started: until exec, a new
/// process has copies of all files, and a copy of the reading end would be a reader.
pub struct Pipes {
    full: StdioPipe,
    broken: StdioPipe,
}

impl Pipes {
    pub fn new() -> Result<Self> {
        Ok(Self { full: StdioPipe::new(Stream::Full)?, broken: StdioPipe::new(Stream::Broken)? })
    }

    /// Returns how to start the program in a scenario, with this many children that can die.
    pub fn spawn(&self, scenario: &Scenario, children: usize) -> Result<Spawn> {
        let copy = |pipe: &StdioPipe| anyhow::Ok(pipe.child.as_ref().map(OwnedFd::try_clone).transpose()?);
        let stderr = match scenario.stderr {
            Stderr::Open => Some(Stream::Pipe),
            Stderr::Full => copy(&self.full)?.map(Stream::File),
            Stderr::Broken => copy(&self.broken)?.map(Stream::File),
        };
        let Scenario { role, blocked: block, .. } = *scenario;
        let stderr = stderr.context("a pipe has a writing end")?;
        Ok(Spawn { stderr, block, sleeping_children: children, ..Spawn::new(role) })
    }
}
