//! The checks of pause itself, which every host has in common.

use crate::busybox::ORPHANS;
use crate::command::{self, GRACE};
use crate::host::{Check, Scene};
use anyhow::{Context, Result, ensure};
use harness::{process, wait};
use mutants::{DEAF, NO_REAPING};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use std::time::Duration;

/// How long a dead orphan may take to be reaped.
const REAPING: Duration = Duration::from_secs(3);

/// It is where orphans go.
const FIRST: Check =
    Check { name: "it is process 1 of the PID namespace that the pod's containers share", broken_by: &[] };
/// It adopts what the small container leaves behind.
const ADOPTS: Check = Check { name: "it adopts the orphans that another container leaves behind", broken_by: &[] };
/// It reaps them.
const REAPS: Check = Check { name: "none of the orphans stays a zombie once it has died", broken_by: &[&NO_REAPING] };
/// It is not killed after a grace period.
const QUICK: Check = Check { name: "it stops before the host loses its patience and kills it", broken_by: &[&DEAF] };
/// It ends by itself.
const STATUS: Check = Check { name: "its exit status is 0 after SIGTERM", broken_by: &[&DEAF] };
/// It says why it ended.
const LOG: Check = Check { name: "its log ends with what it says on SIGTERM", broken_by: &[&DEAF] };

/// Checks that pause is where a pod's orphans go, and that it reaps them. `pause` is its process number in the
/// sandbox, and `make_orphans` runs [`MAKE_ORPHANS`](crate::busybox::MAKE_ORPHANS) in another container of the pod.
///
/// # Errors
/// Where the container can't be run.
pub fn check_reaping(scene: &mut Scene, pause: i32, make_orphans: impl FnOnce() -> Result<()>) -> Result<()> {
    let pids = Process::new(pause)?.status()?.nspid.context("the kernel knows of no PID namespaces")?;
    scene.check(&FIRST, (pids.last() == Some(&1)).then_some(()).context(format!("its numbers are {pids:?}")));
    wait_until_ready(pause)?;
    make_orphans()?;
    let adopted = command::becomes_so(|| Ok(process::children(pause)?.len() == ORPHANS))?;
    let orphans = process::children(pause)?;
    let count = || format!("it has {} children instead of {ORPHANS}", orphans.len());
    scene.check(&ADOPTS, adopted.then_some(()).with_context(count));
    for &orphan in &orphans {
        kill(Pid::from_raw(orphan), Signal::SIGKILL)?;
    }
    command::becomes_so(|| Ok(process::zombies(pause)? == process::children(pause)?.len()))?;
    command::within(REAPING, || Ok(process::children(pause)?.is_empty()))?;
    let (rest, zombies) = (process::children(pause)?.len(), process::zombies(pause)?);
    scene.check(&REAPS, (rest == 0).then_some(()).context(format!("{rest} remain, {zombies} of them zombies")));
    Ok(())
}

/// Checks how pause stopped: how long that took, its exit status (none if it still runs) and its log.
pub fn check_stop(scene: &mut Scene, duration: Duration, status: Option<i32>, log: &str) {
    let took = format!("it took {:.1} s", duration.as_secs_f64());
    scene.check(&QUICK, (duration < GRACE).then_some(()).context(took));
    let seen = status.map_or("it still runs".into(), |status| format!("it is {status}"));
    scene.check(&STATUS, (status == Some(0)).then_some(()).context(seen));
    let said = log.lines().last() == Some(contract::TERMINATED.trim_end());
    scene.check(&LOG, said.then_some(()).context(format!("its log is {log:?}")));
}

/// Checks what the program says to `-v`.
///
/// # Errors
/// Where that is something else.
pub fn check_version(said: &str) -> Result<()> {
    let expected = contract::VERSION.trim_end();
    ensure!(said == expected, "it says {said:?} instead of {expected:?}");
    Ok(())
}

/// Waits until a process is pause and handles its signals: one that comes before that is lost. Before that it is
/// the runtime's own program, which may have handlers too.
///
/// # Errors
/// Where it never does.
pub fn wait_until_ready(pid: i32) -> Result<()> {
    let is_ready = command::becomes_so(|| Ok(Process::new(pid)?.stat()?.comm == "pause" && process::is_ready(pid)?))?;
    ensure!(is_ready, "process {pid} has not all of pause's handlers after {} s", wait::patience().as_secs());
    Ok(())
}
