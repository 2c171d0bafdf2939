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

/// A pod, as its host shows it.
pub trait Pod {
    /// The program's numbers in the PID namespaces that show it, the outermost first.
    ///
    /// # Errors
    /// Where that can't be known.
    fn numbers(&self) -> Result<Vec<i32>>;

    /// Waits until the program handles its signals.
    ///
    /// # Errors
    /// Where it never does.
    fn wait_until_ready(&self) -> Result<()>;

    /// The program's children.
    ///
    /// # Errors
    /// Where that can't be known.
    fn children(&self) -> Result<Vec<Child>>;

    /// Kills some of them.
    ///
    /// # Errors
    /// Where that can't be done.
    fn kill(&self, children: &[Child]) -> Result<()>;
}

/// A child of the program.
pub struct Child {
    /// Its number, as the host shows it.
    pub pid: i32,
    /// Whether it is dead and not reaped.
    pub is_zombie: bool,
}

/// A pod whose processes are the sandbox's, too; the program has this number there.
struct Visible(i32);

impl Pod for Visible {
    fn numbers(&self) -> Result<Vec<i32>> {
        Process::new(self.0)?.status()?.nspid.context("the kernel knows of no PID namespaces")
    }

    fn wait_until_ready(&self) -> Result<()> {
        wait_until_ready(self.0)
    }

    fn children(&self) -> Result<Vec<Child>> {
        let child = |pid| Child { pid, is_zombie: process::is_zombie(pid) };
        Ok(process::children(self.0)?.into_iter().map(child).collect())
    }

    fn kill(&self, children: &[Child]) -> Result<()> {
        Ok(children.iter().try_for_each(|child| kill(Pid::from_raw(child.pid), Signal::SIGKILL))?)
    }
}

/// Checks that pause is where a pod's orphans go, and that it reaps them. `pause` is its process number in the
/// sandbox, and `make_orphans` runs [`MAKE_ORPHANS`](crate::busybox::MAKE_ORPHANS) in another container of the pod.
///
/// # Errors
/// Where the container can't be run.
pub fn check_reaping(scene: &mut Scene, pause: i32, make_orphans: impl FnOnce() -> Result<()>) -> Result<()> {
    check_reaping_in(scene, &Visible(pause), ORPHANS, make_orphans)
}

/// The same in any pod, with that many orphans.
///
/// # Errors
/// Where the container can't be run.
pub fn check_reaping_in(
    scene: &mut Scene,
    pod: &impl Pod,
    count: usize,
    make_orphans: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let numbers = pod.numbers()?;
    scene.check(&FIRST, (numbers.last() == Some(&1)).then_some(()).context(format!("its numbers are {numbers:?}")));
    pod.wait_until_ready()?;
    make_orphans()?;
    let adopted = command::becomes_so(|| Ok(pod.children()?.len() == count))?;
    let orphans = pod.children()?;
    let seen = || format!("it has {} children instead of {count}", orphans.len());
    scene.check(&ADOPTS, adopted.then_some(()).with_context(seen));
    pod.kill(&orphans)?;
    command::becomes_so(|| Ok(pod.children()?.iter().all(|child| child.is_zombie)))?;
    command::within(REAPING, || Ok(pod.children()?.is_empty()))?;
    let rest = pod.children()?;
    let zombies = rest.iter().filter(|child| child.is_zombie).count();
    let seen = format!("{} remain, {zombies} of them zombies", rest.len());
    scene.check(&REAPS, rest.is_empty().then_some(()).context(seen));
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
