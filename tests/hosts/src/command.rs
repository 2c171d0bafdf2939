//! Commands of the checks, each printed before it runs.

use anyhow::{Context, Result, ensure};
use harness::wait;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use xshell::Cmd;
use xtask::status;

const INTERVAL: Duration = Duration::from_millis(20);

/// The grace period before a host kills. The default of most hosts is 10 s or more.
pub const GRACE: Duration = Duration::from_secs(5);

pub fn read(command: Cmd) -> Result<String> {
    status!("$ {command}");
    Ok(command.quiet().read()?)
}

pub fn succeeds(command: Cmd) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

/// Waits for a condition, at most for the time-out of all waits. Returns whether it became true.
pub fn becomes_so(is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    wait::within(wait::timeout(), INTERVAL, is_so)
}

/// Waits for a condition, at most for `limit`. Returns whether it became true.
pub fn within(limit: Duration, is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    wait::within(wait::scaled(limit), INTERVAL, is_so)
}

/// A command that runs while the checks go on, with its output in a log.
pub struct Daemon {
    name: &'static str,
    process: Child,
    log: String,
}

impl Daemon {
    /// Starts it. `name` is the log's.
    pub fn start(command: Cmd, name: &'static str) -> Result<Self> {
        Self::start_with(command, name, None)
    }

    /// Starts it with another standard error than the log.
    pub fn start_with(command: Cmd, name: &'static str, stderr: Option<OwnedFd>) -> Result<Self> {
        status!("$ {command} &");
        let log = format!("/tmp/{name}.log");
        let output = File::create(&log)?;
        let stderr = stderr.map_or(output.try_clone()?.into(), Stdio::from);
        let process = Command::from(command).stdin(Stdio::null()).stdout(output).stderr(stderr).spawn()?;
        Ok(Self { name, process, log })
    }

    pub fn wait_until_up(&self, is_up: impl Fn() -> bool) -> Result<()> {
        ensure!(becomes_so(|| Ok(is_up()))?, "{} does not start: {}", self.name, self.log()?);
        Ok(())
    }

    pub fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    /// Waits for its end. Returns its exit status, or `None` if it still runs when a host would kill it.
    pub fn wait(&mut self) -> Result<Option<i32>> {
        within(GRACE, || Ok(self.process.try_wait()?.is_some()))?;
        Ok(self.process.try_wait()?.and_then(|status| status.code()))
    }

    pub fn end(&mut self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.pid()), signal)?;
        let ended = becomes_so(|| Ok(self.process.try_wait()?.is_some()))?;
        ensure!(ended, "{} does not end by {signal}", self.name);
        Ok(())
    }

    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| self.log.clone())
    }
}
