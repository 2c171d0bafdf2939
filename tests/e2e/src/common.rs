//! What every host has in common: the checks, and a small container to make orphans with.

use super::{Check, Scene, archive};
use crate::mutant::{DEAF, NO_REAPING};
use anyhow::{Context, Result, ensure};
use procfs::process::{ProcState, Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use xshell::Cmd;

/// What the checks need, whatever the host.
pub const PACKAGES: &[(&str, &str)] = &[("busybox", "busybox-static")];

/// The small container's image.
pub const BUSYBOX: &str = "localhost/busybox:e2e";

/// How many orphans a container makes.
const ORPHANS: usize = 50;

/// What makes them, as arguments of the small container: each has a parent that ends at once. They live
/// until they are killed.
pub const MAKE_ORPHANS: [&str; 4] =
    ["/bin/busybox", "sh", "-c", "for orphan in $(seq 50); do (sleep 3600 >/dev/null 2>&1 &); done"];

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a host is told to wait before it kills. Most wait 10 s or more by themselves.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long a dead orphan may take to be reaped.
const REAPING: Duration = Duration::from_secs(3);

/// It is where orphans go.
pub const FIRST: Check =
    Check { name: "it is process 1 of the PID namespace that the pod's containers share", broken_by: None };
/// It adopts what the small container leaves behind.
pub const ADOPTS: Check = Check { name: "it adopts 50 orphans that another container leaves behind", broken_by: None };
/// It reaps them.
pub const REAPS: Check =
    Check { name: "none of the orphans stays a zombie once it has died", broken_by: Some(&NO_REAPING) };
/// It is not killed after a grace period.
pub const QUICK: Check =
    Check { name: "it stops before the host loses its patience and kills it", broken_by: Some(&DEAF) };
/// It ends by itself.
pub const STATUS: Check = Check { name: "its exit status is 0 after SIGTERM", broken_by: Some(&DEAF) };
/// It says why it ended.
pub const LOG: Check =
    Check { name: "its log ends with \"Shutting down, got signal: Terminated\"", broken_by: Some(&DEAF) };

/// Packs the small container: busybox, which sleeps unless it is told otherwise, and is not asked twice to
/// stop. Returns its archive.
///
/// # Errors
/// Where it can't be written.
pub fn busybox() -> Result<&'static str> {
    let archive = "/tmp/busybox.tar";
    let config = json!({ "Cmd": ["/bin/busybox", "sleep", "3600"], "Env": ["PATH=/bin"], "StopSignal": "SIGKILL" });
    let program = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists());
    let program = program.context("busybox is not where Debian puts it")?;
    archive::write(Path::new(archive), BUSYBOX, &config, &[("bin/busybox", program), ("bin/sleep", program)])?;
    Ok(archive)
}

/// Checks that pause is where a pod's orphans go, and that it reaps them. `pause` is its process number in the
/// sandbox, and `make_orphans` runs [`MAKE_ORPHANS`] in another container of the pod.
///
/// # Errors
/// Where the container can't be run.
pub fn check_reaping(scene: &mut Scene, pause: i32, make_orphans: impl FnOnce() -> Result<()>) -> Result<()> {
    let pids = Process::new(pause)?.status()?.nspid.context("the kernel knows of no PID namespaces")?;
    scene.check(&FIRST, (pids.last() == Some(&1)).then_some(()).context(format!("its numbers are {pids:?}")));
    await_handlers(pause)?;
    make_orphans()?;
    let adopted = wait_until(|| children(pause).map(|children| children.len() == ORPHANS))?;
    let orphans = children(pause)?;
    let count = |orphans: &[Process]| format!("it has {} children instead of {ORPHANS}", orphans.len());
    scene.check(&ADOPTS, adopted.then_some(()).with_context(|| count(&orphans)));
    for orphan in &orphans {
        kill_process(Pid::from_raw(orphan.pid).context("a process number")?, Signal::KILL)?;
    }
    wait_until(|| Ok(zombies(pause)? == children(pause)?.len()))?;
    within(REAPING, || children(pause).map(|children| children.is_empty()))?;
    let rest = children(pause)?;
    let zombies =
        rest.iter().filter(|child| child.stat().and_then(|stat| stat.state()).ok() == Some(ProcState::Zombie));
    let (zombies, rest) = (zombies.count(), rest.len());
    scene.check(&REAPS, (rest == 0).then_some(()).context(format!("{rest} remain, {zombies} of them zombies")));
    Ok(())
}

/// Checks how pause stopped: how long that took, its exit status (none if it still runs) and its log.
pub fn check_stop(scene: &mut Scene, duration: Duration, status: Option<i32>, log: &str) {
    let took = format!("it took {:.1} s", duration.as_secs_f64());
    scene.check(&QUICK, (duration < GRACE).then_some(()).context(took));
    let seen = status.map_or("it still runs".into(), |status| format!("it is {status}"));
    scene.check(&STATUS, (status == Some(0)).then_some(()).context(seen));
    let said = log.lines().last() == Some("Shutting down, got signal: Terminated");
    scene.check(&LOG, said.then_some(()).context(format!("its log is {log:?}")));
}

/// Checks what the program says to `-v`.
///
/// # Errors
/// Where that is something else.
pub fn check_version(said: &str) -> Result<()> {
    let expected = concat!("pause ", env!("CARGO_PKG_VERSION"));
    ensure!(said == expected, "it says {said:?} instead of {expected:?}");
    Ok(())
}

/// A command that runs while the checks go on, and what it writes.
pub struct Foreground {
    process: Child,
    log: String,
}

impl Foreground {
    /// Starts it. `name` tells its log from others.
    ///
    /// # Errors
    /// Where it can't be started.
    pub fn start(command: Cmd, name: &str) -> Result<Self> {
        eprintln!("$ {command} &");
        let log = format!("/tmp/{name}.log");
        let (output, mut command) = (File::create(&log)?, Command::from(command));
        let process = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
        Ok(Self { process, log })
    }

    /// The process number that the command writes into a file for that.
    ///
    /// # Errors
    /// Where it writes none.
    pub fn pid(&self, file: &Path) -> Result<i32> {
        let read = || fs::read_to_string(file).ok().and_then(|pid| pid.trim().parse().ok());
        wait_until(|| Ok(read().is_some()))?;
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

/// Waits until a process is pause and handles SIGTERM: one that comes before that is lost. Before that it is the
/// runtime's own program, which may have a handler too.
///
/// # Errors
/// Where it never does.
pub fn await_handlers(pid: i32) -> Result<()> {
    let handles = || {
        let status = Process::new(pid)?.status()?;
        Ok(status.name == "pause" && status.sigcgt & (1 << (Signal::TERM.as_raw() - 1)) != 0)
    };
    ensure!(wait_until(handles)?, "process {pid} has no handler for SIGTERM after {} s", PATIENCE.as_secs());
    Ok(())
}

/// Waits until something is so. Returns whether it became so in time.
///
/// # Errors
/// Where that can't be known.
pub fn wait_until(is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    within(PATIENCE, is_so)
}

/// The same, for as long as one says.
fn within(limit: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if is_so()? {
            return Ok(true);
        }
        sleep(Duration::from_millis(20));
    }
    is_so()
}

/// How many children of a process are dead and not reaped.
///
/// # Errors
/// Where that can't be known.
pub fn zombies(pid: i32) -> Result<usize> {
    let is_zombie = |child: &Process| child.stat().and_then(|stat| stat.state()).ok() == Some(ProcState::Zombie);
    Ok(children(pid)?.into_iter().filter(is_zombie).count())
}

/// The children of a process, dead or alive.
fn children(pid: i32) -> Result<Vec<Process>> {
    let is_child = |process: &Process| process.stat().is_ok_and(|stat| stat.ppid == pid);
    Ok(all_processes()?.flatten().filter(is_child).collect())
}
