//! The measurements.

use crate::cgroup::{self, Cgroup};
use crate::contender::{Contender, is_ready, wake_ups};
use crate::{Values, trace};
use anyhow::{Context, Result, ensure};
use harness::{Child, Orphans, Role, Spawn, process, wait};
use nix::errno::Errno;
use nix::libc::{CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use std::fs;
use std::process::ExitStatus;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use xtask::build::Binary;
use xtask::compiler::Compiler;
use xtask::image::{Contents, Layout};
use xtask::platform;

/// A measurement: number of rounds; the function that takes it of one program; rows of the table, for each of which the
/// function returns a value. In each round the programs take turns, so that other load affects all alike.
pub type Measurement = (usize, fn(&Contender) -> Result<Values>, &'static [(&'static str, Unit)]);

#[derive(Clone, Copy)]
pub enum Unit {
    Count,
    Bytes,
    Nanoseconds,
}

use Unit::{Bytes, Count, Nanoseconds};

impl Unit {
    /// Returns the median, or, for memory, the mean: the kernel places the stack at random, so one start means little.
    pub fn summarize(self, mut samples: Vec<f64>) -> Option<f64> {
        samples.sort_by(f64::total_cmp);
        match self {
            Bytes if !samples.is_empty() => Some(samples.iter().sum::<f64>() / samples.len() as f64),
            _ => samples.get(samples.len() / 2).copied(),
        }
    }
}

/// Enough to show the cost of one more process.
pub const INSTANCES: usize = 200;

#[rustfmt::skip]
pub static MEASUREMENTS: &[Measurement] = &[
    (1, sizes, &[("size: the binary", Bytes), ("size: a pull (manifest, config, layer)", Bytes)]),
    (200, start, &[("start: -v, from spawn to exit", Nanoseconds),
                   ("start: as PID 1, from spawn to the last handler", Nanoseconds)]),
    (1, instructions, &[("start: instructions to the last handler", Count),
                        ("start: system calls to the last handler", Count)]),
    (6, trace::page_faults, &[("start: page faults until it sleeps", Count)]),
    (50, memory, &[("PID 1: resident (VmRSS)", Bytes), ("PID 1: page tables (VmPTE)", Bytes)]),
    (50, charged, &[("charged to its cgroup", Bytes),
                    ("charged to its cgroup, with new net, IPC and UTS namespaces", Bytes)]),
    (6, memory_after_orphans, &[("after 20,000 orphans: resident", Bytes)]),
    (1, instances, &[("each of 200: proportional", Bytes), ("each of 200: page tables", Bytes)]),
    (24, |contender| storm(contender, 100), &[("storm of 100: CPU time per orphan", Nanoseconds)]),
    (12, |contender| storm(contender, 10_000), &[("storm of 10,000: CPU time per orphan", Nanoseconds),
                                                 ("storm of 10,000: wake-ups", Count)]),
    (12, latency, &[("an orphan, from SIGKILL to reaped: p50", Nanoseconds)]),
    (100, shutdown, &[("shutdown: from SIGTERM to gone", Nanoseconds)]),
    (1, idle, &[("idle: wake-ups in 10 s", Count)]),
];

fn sizes(contender: &Contender) -> Result<Values> {
    let content = fs::read(&contender.program.file)?;
    let size = content.len() as f64;
    // The compiler doesn't matter for the image.
    let binary = Binary { platform: platform::native()?, content, compiler: Compiler::Active };
    let pull = Layout::of(&[binary], &Contents::usual())?.images[0].pull();
    Ok(vec![Some(size), Some(pull as f64)])
}

fn start(contender: &Contender) -> Result<Values> {
    let mut child = contender.spawn(Role::Ordinary)?.arguments([contender.version]).spawn(&contender.program)?;
    let status = wait_for_exit(&mut child)?;
    let version = child.started.elapsed();
    ensure!(status.success(), "{}: {status}", contender.version);
    if !contender.has_handlers {
        return Ok(vec![nanoseconds(version), None]);
    }
    let mut child = contender.spawn(Role::Init)?.spawn(&contender.program)?;
    wait::until("it is ready", Duration::ZERO, || {
        ensure!(child.poll_status()?.is_none(), "it ended");
        is_ready(child.pid)
    })?;
    Ok(vec![nanoseconds(version), nanoseconds(child.started.elapsed())])
}

/// Polls without sleeping.
fn wait_for_exit(child: &mut Child) -> Result<ExitStatus> {
    wait::until_some("it ends", Duration::ZERO, || child.poll_status())
}

fn instructions(contender: &Contender) -> Result<Values> {
    let counts = [trace::instructions(contender)?, trace::system_calls(contender)?];
    Ok(counts.map(|count| Some(count as f64)).into())
}

fn memory(contender: &Contender) -> Result<Values> {
    let child = contender.start(|spawn| spawn)?;
    Ok(vec![Some(bytes(&child, "smaps_rollup", "Rss:")?), Some(bytes(&child, "status", "VmPTE:")?)])
}

fn memory_after_orphans(contender: &Contender) -> Result<Values> {
    let mut child = contender.start(Spawn::assisted)?;
    // Not all at once: by default, Linux has 32,768 process IDs.
    (0..20).try_for_each(|_| reap(contender, &mut child, 1_000))?;
    Ok(vec![Some(bytes(&child, "smaps_rollup", "Rss:")?)])
}

fn instances(contender: &Contender) -> Result<Values> {
    let children = (0..INSTANCES).map(|_| contender.start(|spawn| spawn)).collect::<Result<Vec<_>>>()?;
    let mean = |file, field| -> Result<_> {
        let values = children.iter().map(|child| bytes(child, file, field));
        Ok(Bytes.summarize(values.collect::<Result<_>>()?))
    };
    Ok(vec![mean("smaps_rollup", "Pss:")?, mean("status", "VmPTE:")?])
}

/// Reads a field of a file in /proc/PID, in bytes.
fn bytes(child: &Child, file: &str, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/{file}", child.pid))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
    Ok(value.with_context(|| format!("{file} has no field {field}"))?.parse::<f64>()? * 1024.0)
}

/// The memory that the kubelet reports for a pod that is otherwise empty.
fn charged(contender: &Contender) -> Result<Values> {
    let charged = |namespaces| {
        cgroup::stay_on_one_processor()?;
        let cgroup = Cgroup::new()?;
        let processes = Some(cgroup.processes()?);
        let _child = contender.start(|spawn| Spawn { namespaces, cgroup: processes, ..spawn })?;
        Ok(Some(cgroup.charged()? as f64))
    };
    let both = || [0, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS].into_iter().map(charged).collect();
    // In another thread, so that this one may use other processors again.
    thread::scope(|scope| scope.spawn(both).join().expect("it doesn't panic"))
}

/// CPU time per orphan, and wake-ups, if this many orphans exit before one is reaped.
fn storm(contender: &Contender, orphans: usize) -> Result<Values> {
    let mut child = contender.start(Spawn::assisted)?;
    let pid = child.pid;
    // The first orphan touches new pages.
    reap(contender, &mut child, 1)?;
    let costs = || anyhow::Ok([Process::new(pid)?.schedstat()?.sum_exec_runtime, wake_ups(pid)?]);
    let before = costs()?;
    reap(contender, &mut child, orphans)?;
    let after = costs()?;
    Ok(vec![Some((after[0] - before[0]) as f64 / orphans as f64), Some((after[1] - before[1]) as f64)])
}

/// Makes orphans that exit at the same time, and waits until they are reaped and the program is idle.
fn reap(contender: &Contender, child: &mut Child, orphans: usize) -> Result<()> {
    let family = process::children(child.pid)?;
    child.orphan_spawner()?.make_orphans(orphans, Orphans::Dead)?;
    child.wait_until("its orphans are reaped", |child| {
        // While a child exits, the kernel's list may lack another one, so look twice.
        let is_alone = || anyhow::Ok(process::children(child.pid)? == family);
        Ok(is_alone()? && is_alone()?)
    })?;
    contender.settle(child)
}

fn latency(contender: &Contender) -> Result<Values> {
    let mut child = contender.start(Spawn::assisted)?;
    let family = process::children(child.pid)?;
    child.orphan_spawner()?.make_orphans(50, Orphans::Alive)?;
    let mut samples = Vec::new();
    for orphan in process::children(child.pid)?.into_iter().filter(|child| !family.contains(child)) {
        contender.settle(&mut child)?;
        let (start, orphan) = (Instant::now(), Pid::from_raw(orphan));
        kill(orphan, Signal::SIGKILL)?;
        wait::until("an orphan is reaped", Duration::ZERO, || Ok(kill(orphan, None) == Err(Errno::ESRCH)))?;
        samples.extend(nanoseconds(start.elapsed()));
    }
    Ok(vec![Nanoseconds.summarize(samples)])
}

fn shutdown(contender: &Contender) -> Result<Values> {
    let mut child = contender.start(|spawn| spawn)?;
    let start = Instant::now();
    child.signal(Signal::SIGTERM as i32)?;
    wait_for_exit(&mut child)?;
    Ok(vec![nanoseconds(start.elapsed())])
}

fn idle(contender: &Contender) -> Result<Values> {
    let child = contender.start(|spawn| spawn)?;
    let before = wake_ups(child.pid)?;
    sleep(Duration::from_secs(10));
    Ok(vec![Some((wake_ups(child.pid)? - before) as f64)])
}

fn nanoseconds(duration: Duration) -> Option<f64> {
    Some(duration.as_nanos() as f64)
}
