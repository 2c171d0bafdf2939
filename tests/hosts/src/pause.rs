//! The checks of the program that all hosts have in common.

use crate::busybox::{MAKE_ORPHANS, ORPHANS};
use crate::command::{self, GRACE};
use crate::host::{Check, DEAFNESS, Fixture, ZOMBIES, broken_by, check};
use anyhow::{Context, Result, ensure};
use harness::{process, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use std::time::{Duration, Instant};
use xshell::Cmd;

/// How long a dead orphan may take to be reaped.
const REAPING: Duration = Duration::from_secs(3);

const FIRST: Check = check("it is process 1 of the PID namespace that the pod's containers share");
const ADOPTS: Check = check("it adopts the orphans that another container leaves behind");
const REAPS: Check = broken_by(ZOMBIES, "none of the orphans stays a zombie once it has died");
const QUICK: Check = broken_by(DEAFNESS, "it stops before the host's grace period ends");
const STATUS: Check = broken_by(DEAFNESS, "its exit status is 0 after SIGTERM");
const LOG: Check = broken_by(DEAFNESS, "its log ends with its message about SIGTERM");

/// A pod, as its host shows it.
pub trait Pod {
    /// PIDs of the program in the PID namespaces that show it, the outermost first.
    fn pids(&self) -> Result<Vec<i32>>;
    fn wait_until_ready(&self) -> Result<()>;
    /// PIDs of the program's children, and whether each is a zombie.
    fn children(&self) -> Result<Vec<(i32, bool)>>;
    fn kill(&self, children: &[i32]) -> Result<()>;
}

/// A pod whose program has this PID in the sandbox.
pub struct Visible(pub i32);

impl Pod for Visible {
    fn pids(&self) -> Result<Vec<i32>> {
        Process::new(self.0)?.status()?.nspid.context("the kernel has no PID namespaces")
    }

    fn wait_until_ready(&self) -> Result<()> {
        wait_until_ready(self.0)
    }

    fn children(&self) -> Result<Vec<(i32, bool)>> {
        Ok(process::children(self.0)?.into_iter().map(|pid| (pid, process::is_zombie(pid))).collect())
    }

    fn kill(&self, children: &[i32]) -> Result<()> {
        Ok(children.iter().try_for_each(|&child| kill(Pid::from_raw(child), Signal::SIGKILL))?)
    }
}

/// Checks that the program adopts and reaps this number of orphans, which `make_orphans` makes in another container.
pub fn check_reaping<T>(
    fixture: &mut Fixture,
    pod: &impl Pod,
    count: usize,
    make_orphans: impl FnOnce() -> Result<T>,
) -> Result<()> {
    let pids = pod.pids()?;
    fixture.expect(&FIRST, pids.last() == Some(&1), || format!("its PIDs are {pids:?}"));
    pod.wait_until_ready()?;
    make_orphans()?;
    let adopted = command::becomes_so(|| Ok(pod.children()?.iter().filter(|child| !child.1).count() == count))?;
    let orphans: Vec<_> = pod.children()?.into_iter().map(|(pid, _)| pid).collect();
    fixture.expect(&ADOPTS, adopted, || format!("it has {} children instead of {count}", orphans.len()));
    pod.kill(&orphans)?;
    command::becomes_so(|| Ok(pod.children()?.iter().all(|&(_, is_zombie)| is_zombie)))?;
    command::within(REAPING, || Ok(pod.children()?.is_empty()))?;
    let rest = pod.children()?;
    fixture.expect(&REAPS, rest.is_empty(), || format!("{} remain", rest.len()));
    Ok(())
}

/// Checks a container of Docker or podman, then stops it. `engine` makes a command from arguments without spaces; the
/// containers are the program's and another one of the pod.
pub fn check_engine<'a>(
    fixture: &mut Fixture,
    engine: &dyn Fn(&str) -> Cmd<'a>,
    (pause, other): (&str, &str),
    stop: &str,
) -> Result<()> {
    let make_orphans = || command::read(engine(&format!("exec {other}")).args(MAKE_ORPHANS));
    check_reaping(fixture, &Visible(inspect(engine, pause, "Pid")?), ORPHANS, make_orphans)?;
    let begin = Instant::now();
    command::read(engine(stop))?;
    let duration = begin.elapsed();
    let log = engine(&format!("logs {pause}")).quiet().read_stderr()?;
    check_stop(fixture, duration, inspect(engine, pause, "ExitCode").ok(), &log);
    Ok(())
}

/// A number from the state of a container of Docker or podman.
pub fn inspect<'a>(engine: &dyn Fn(&str) -> Cmd<'a>, container: &str, field: &str) -> Result<i32> {
    let state = command::read(engine(&format!("inspect --format {{{{.State.{field}}}}} {container}")))?;
    state.parse().with_context(|| format!("{field} is {state:?}"))
}

/// Checks how the program stopped: its exit status is `None` if it still runs.
pub fn check_stop(fixture: &mut Fixture, duration: Duration, status: Option<i32>, log: &str) {
    fixture.expect(&QUICK, duration < GRACE, || format!("it took {:.1} s", duration.as_secs_f64()));
    fixture.check(&STATUS, check_status(status, 0));
    let is_last = log.lines().last() == Some(contract::TERMINATED.trim_end());
    fixture.expect(&LOG, is_last, || format!("its log is {log:?}"));
}

/// Fails if an exit status, `None` for a program that still runs, is not the expected one.
pub fn check_status(status: Option<i32>, expected: i32) -> Result<()> {
    let seen = || status.map_or("it still runs".into(), |status| format!("it is {status}"));
    (status == Some(expected)).then_some(()).with_context(seen)
}

pub fn check_version(output: &str) -> Result<()> {
    let expected = contract::VERSION.trim_end();
    ensure!(output == expected, "it prints {output:?} instead of {expected:?}");
    Ok(())
}

/// Waits until a process is the program, no longer the runtime's own, and handles its signals: an earlier one is lost.
pub fn wait_until_ready(pid: i32) -> Result<()> {
    let is_ready = command::becomes_so(|| Ok(Process::new(pid)?.stat()?.comm == "pause" && process::is_ready(pid)?))?;
    ensure!(is_ready, "process {pid} lacks handlers of pause after {} s", wait::timeout().as_secs());
    Ok(())
}
