//! The commands by which checks talk to a host, each shown before it runs.

use anyhow::{Context, Result, ensure};
use harness::wait;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use xshell::Cmd;
use xtask::note;

/// How long to sleep between two looks at what a host does.
const INTERVAL: Duration = Duration::from_millis(20);

/// How long a host is told to wait before it kills. Most wait 10 s or more by themselves.
pub const GRACE: Duration = Duration::from_secs(5);

/// Runs a command. Returns what it wrote to standard output.
///
/// # Errors
/// Where it fails.
pub fn read(command: Cmd) -> Result<String> {
    note!("$ {command}");
    Ok(command.quiet().read()?)
}

/// Runs a command. Returns what it wrote to standard error.
///
/// # Errors
/// Where it fails.
pub fn read_errors(command: Cmd) -> Result<String> {
    note!("$ {command}");
    Ok(command.quiet().read_stderr()?)
}

/// Whether a command succeeds, whatever it says.
pub fn succeeds(command: Cmd) -> bool {
    command.quiet().ignore_stdout().ignore_stderr().run().is_ok()
}

/// Waits until something is so, as long as anything may take here. Returns whether it became so.
///
/// # Errors
/// Where that can't be known.
pub fn becomes_so(is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    within(wait::patience(), is_so)
}

/// The same, for as long as one says.
///
/// # Errors
/// Where that can't be known.
pub fn within(limit: Duration, is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    wait::within(limit, INTERVAL, is_so)
}

/// A command that runs while the checks go on, and what it writes.
pub struct Foreground {
    name: &'static str,
    process: Child,
    log: String,
}

impl Foreground {
    /// Starts it. `name` tells its log from others.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(command: Cmd, name: &'static str) -> Result<Self> {
        Self::start_with(command, name, None)
    }

    /// The same with another standard error than the log.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start_with(command: Cmd, name: &'static str, stderr: Option<OwnedFd>) -> Result<Self> {
        note!("$ {command} &");
        let log = format!("/tmp/{name}.log");
        let (output, mut command) = (File::create(&log)?, Command::from(command));
        let errors = stderr.map_or_else(|| Ok(Stdio::from(output.try_clone()?)), |stderr| anyhow::Ok(stderr.into()))?;
        let process = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn()?;
        Ok(Self { name, process, log })
    }

    /// Waits until a daemon serves.
    ///
    /// # Errors
    /// Where it does not.
    pub fn wait_until_up(&self, is_up: impl Fn() -> bool) -> Result<()> {
        let is_up = becomes_so(|| Ok(is_up()))?;
        ensure!(is_up, "{} does not start: {}", self.name, self.log()?);
        Ok(())
    }

    /// Its own process number.
    pub fn number(&self) -> i32 {
        self.process.id().cast_signed()
    }

    /// The process number that the command writes into a file for that.
    ///
    /// # Errors
    /// Where it writes none.
    pub fn pid(&self, file: &Path) -> Result<i32> {
        let read = || fs::read_to_string(file).ok().and_then(|pid| pid.trim().parse().ok());
        becomes_so(|| Ok(read().is_some()))?;
        read().with_context(|| format!("no container was started: {}", self.log().unwrap_or_default()))
    }

    /// Waits for its end. Returns its exit status, or nothing if it still runs when a host would kill it.
    ///
    /// # Errors
    /// Where that can't be known.
    pub fn wait(&mut self) -> Result<Option<i32>> {
        within(GRACE, || Ok(self.process.try_wait()?.is_some()))?;
        Ok(self.process.try_wait()?.and_then(|status| status.code()))
    }

    /// What it has written so far.
    ///
    /// # Errors
    /// Where that can't be read.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }
}
