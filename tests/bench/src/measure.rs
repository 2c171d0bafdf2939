//! The measurements, one function each.

use crate::cgroup::{self, Cgroup};
use crate::contender::{Contender, wake_ups};
use crate::results::Samples;
use crate::trace;
use anyhow::{Context, Error, Result, ensure};
use harness::{Assistant, Orphans, Role, Running, Start, process, wait};
use nix::errno::Errno;
use nix::libc::{CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use std::fs;
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};
use xtask::build::Binary;
use xtask::compiler::Compiler;
use xtask::{image, platform};

/// Something that is measured, of one program at a time.
pub struct Measurement {
    /// What it is about, for whoever waits.
    pub name: &'static str,
    /// How often. The programs take turns, so that what else the machine does hits all alike.
    pub rounds: usize,
    /// Whether all programs may be measured at the same time.
    pub parallel: bool,
    /// Finds out whether this machine has what it takes.
    pub prepare: fn() -> Result<()>,
    /// Measures.
    pub run: fn(&Contender, &mut Samples) -> Result<()>,
}

/// A row of the table: a value per program.
pub struct Row {
    /// What it is called in the JSON; several rows may be about the same samples.
    pub key: &'static str,
    /// What it is called on the terminal. The first row of a group has the group's name too.
    pub name: &'static str,
    /// What the values are.
    pub unit: Unit,
    /// How the samples become one value.
    pub statistic: Statistic,
    /// Whether the documents show it.
    pub shown: bool,
}

/// How samples become one value.
#[derive(Clone, Copy)]
pub enum Statistic {
    /// The sample that this share of the others does not exceed: 0.5 is the median.
    Quantile(f64),
    Mean,
}

const MEDIAN: Statistic = Statistic::Quantile(0.5);

impl Statistic {
    /// The value, of at least one sample.
    pub fn of(self, samples: &[f64]) -> f64 {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        match self {
            Statistic::Quantile(share) => sorted[((sorted.len() - 1) as f64 * share).round() as usize],
            Statistic::Mean => sorted.iter().sum::<f64>() / sorted.len() as f64,
        }
    }

    /// What it is called in the JSON.
    pub fn name(self) -> String {
        match self {
            Statistic::Quantile(share) => format!("p{}", share * 100.0),
            Statistic::Mean => "mean".into(),
        }
    }
}

/// What a value is.
#[derive(Clone, Copy)]
pub enum Unit {
    Count,
    Bytes,
    Nanoseconds,
}

use Unit::{Bytes, Count, Nanoseconds};

/// Enough to tell what one more process costs.
pub const INSTANCES: usize = 200;

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(10);

const fn row(key: &'static str, name: &'static str, unit: Unit) -> Row {
    Row { key, name, unit, statistic: MEDIAN, shown: false }
}

/// A row about memory. The kernel begins the stack at random, so that a single start means little.
const fn mean(key: &'static str, name: &'static str, unit: Unit) -> Row {
    Row { key, name, unit, statistic: Statistic::Mean, shown: false }
}

impl Row {
    /// The same, for the documents to show.
    const fn shown(self) -> Self {
        Self { shown: true, ..self }
    }
}

/// What the table shows, in order.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    row("size.binary", "size: the binary", Bytes).shown(),
    row("size.pull", "size: a pull (manifest, config, layer)", Bytes).shown(),
    row("start.version", "start: -v, from spawn to exit", Nanoseconds).shown(),
    row("start.ready", "start: as PID 1, from spawn to the last handler", Nanoseconds).shown(),
    row("start.instructions", "start: instructions to the last handler", Count).shown(),
    row("start.system_calls", "start: system calls to the last handler", Count).shown(),
    row("start.page_faults", "start: page faults until it sleeps", Count).shown(),
    mean("memory.resident", "PID 1: resident (VmRSS)", Bytes).shown(),
    mean("memory.anonymous", "PID 1: anonymous", Bytes),
    mean("memory.proportional", "PID 1: proportional (PSS)", Bytes),
    mean("memory.page_tables", "PID 1: page tables (VmPTE)", Bytes).shown(),
    mean("memory.mappings", "PID 1: mappings", Count),
    mean("charged.process", "charged to its cgroup", Bytes).shown(),
    mean("charged.namespaces", "charged to its cgroup, with new net, IPC and UTS namespaces", Bytes).shown(),
    mean("after_orphans.resident", "after 20,000 orphans: resident", Bytes).shown(),
    mean("after_orphans.anonymous", "after 20,000 orphans: anonymous", Bytes),
    mean("after_orphans.proportional", "after 20,000 orphans: proportional", Bytes),
    mean("after_orphans.page_tables", "after 20,000 orphans: page tables", Bytes),
    mean("after_orphans.mappings", "after 20,000 orphans: mappings", Count),
    mean("instances.resident", "each of 200: resident", Bytes),
    mean("instances.anonymous", "each of 200: anonymous", Bytes),
    mean("instances.proportional", "each of 200: proportional", Bytes).shown(),
    mean("instances.page_tables", "each of 200: page tables", Bytes).shown(),
    mean("instances.mappings", "each of 200: mappings", Count),
    row("storm_1.cpu", "storm of 1: CPU time per orphan", Nanoseconds),
    row("storm_1.wake_ups", "storm of 1: wake-ups", Count),
    row("storm_100.cpu", "storm of 100: CPU time per orphan", Nanoseconds).shown(),
    row("storm_100.wake_ups", "storm of 100: wake-ups", Count),
    row("storm_10000.cpu", "storm of 10,000: CPU time per orphan", Nanoseconds).shown(),
    row("storm_10000.wake_ups", "storm of 10,000: wake-ups", Count).shown(),
    row("reap.latency", "an orphan, from SIGKILL to reaped: p50", Nanoseconds).shown(),
    Row { key: "reap.latency", name: "an orphan, from SIGKILL to reaped: p99", unit: Nanoseconds, statistic: Statistic::Quantile(0.99), shown: false },
    row("shutdown", "shutdown: from SIGTERM to gone", Nanoseconds).shown(),
    row("idle.wake_ups", "idle: wake-ups in 10 s", Count).shown(),
];

/// What is measured, in order.
#[rustfmt::skip]
pub static MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "sizes", rounds: 1, parallel: true, prepare: nothing, run: sizes },
    Measurement { name: "start", rounds: 200, parallel: false, prepare: nothing, run: start },
    Measurement { name: "instructions", rounds: 1, parallel: false, prepare: nothing, run: instructions },
    Measurement { name: "page faults", rounds: 6, parallel: false, prepare: nothing, run: faults },
    Measurement { name: "memory", rounds: 50, parallel: false, prepare: nothing, run: memory },
    Measurement { name: "memory after 20,000 orphans", rounds: 6, parallel: false, prepare: nothing, run: memory_after_orphans },
    Measurement { name: "memory of 200 instances", rounds: 1, parallel: false, prepare: nothing, run: instances },
    Measurement { name: "memory charged to its cgroup", rounds: 50, parallel: false, prepare: cgroup::prepare, run: charged },
    Measurement { name: "storms of 1", rounds: 50, parallel: false, prepare: nothing, run: |contender, samples| storm(contender, samples, 1, ["storm_1.cpu", "storm_1.wake_ups"]) },
    Measurement { name: "storms of 100", rounds: 24, parallel: false, prepare: nothing, run: |contender, samples| storm(contender, samples, 100, ["storm_100.cpu", "storm_100.wake_ups"]) },
    Measurement { name: "storms of 10,000", rounds: 12, parallel: false, prepare: nothing, run: |contender, samples| storm(contender, samples, 10_000, ["storm_10000.cpu", "storm_10000.wake_ups"]) },
    Measurement { name: "latency", rounds: 12, parallel: false, prepare: nothing, run: latency },
    Measurement { name: "shutdown", rounds: 100, parallel: false, prepare: nothing, run: shutdown },
    Measurement { name: "idle", rounds: 1, parallel: true, prepare: nothing, run: idle },
];

/// For what every machine has what it takes.
fn nothing() -> Result<()> {
    Ok(())
}

fn sizes(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let content = fs::read(&contender.program.file)?;
    samples.add("size.binary", content.len() as f64);
    // The image is the same, whoever compiled the program.
    let binary = Binary { platform: platform::native()?, content, compiler: Compiler::Active };
    samples.add("size.pull", image::pull_size(&binary)? as f64);
    Ok(())
}

fn start(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let condition = contender.condition(Role::Ordinary)?.arguments([contender.version]);
    let mut running = condition.spawn(&contender.program)?;
    let status = exit(&mut running)?;
    samples.add("start.version", nanoseconds(running.started().elapsed()));
    ensure!(status.success(), "{}: {status}", contender.version);

    let mut running = contender.condition(Role::Init)?.spawn(&contender.program)?;
    contender.wait_until_ready(&mut running)?;
    samples.add("start.ready", nanoseconds(running.started().elapsed()));
    Ok(())
}

/// Waits for a program's end, and looks all the time.
fn exit(running: &mut Running) -> Result<ExitStatus> {
    wait::until("it ends", Duration::ZERO, || Ok(running.poll_status()?.is_some()))?;
    running.poll_status()?.context("it has ended")
}

fn instructions(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let trace = trace::until_ready(contender)?;
    samples.add("start.instructions", trace.instructions as f64);
    samples.add("start.system_calls", trace.system_calls as f64);
    Ok(())
}

fn faults(contender: &Contender, samples: &mut Samples) -> Result<()> {
    samples.add("start.page_faults", trace::page_faults(contender)? as f64);
    Ok(())
}

fn memory(contender: &Contender, samples: &mut Samples) -> Result<()> {
    footprint(&contender.start()?, samples, MEMORY)
}

fn memory_after_orphans(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let mut running = start_assisted(contender)?;
    // Not all at once: a machine has 32,768 process numbers, unless it is told otherwise.
    for _ in 0..20 {
        reap(contender, &mut running, 1_000)?;
    }
    footprint(&running, samples, AFTER_ORPHANS)
}

fn instances(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let running = (0..INSTANCES).map(|_| contender.start()).collect::<Result<Vec<_>>>()?;
    running.iter().try_for_each(|instance| footprint(instance, samples, OF_MANY))
}

/// The rows that a footprint fills: resident, anonymous, proportional, page tables, mappings.
type Footprint = [&'static str; 5];

#[rustfmt::skip]
const MEMORY: Footprint = ["memory.resident", "memory.anonymous", "memory.proportional", "memory.page_tables", "memory.mappings"];
#[rustfmt::skip]
const AFTER_ORPHANS: Footprint = ["after_orphans.resident", "after_orphans.anonymous", "after_orphans.proportional", "after_orphans.page_tables", "after_orphans.mappings"];
#[rustfmt::skip]
const OF_MANY: Footprint = ["instances.resident", "instances.anonymous", "instances.proportional", "instances.page_tables", "instances.mappings"];

/// What a process takes.
fn footprint(running: &Running, samples: &mut Samples, rows: Footprint) -> Result<()> {
    let process = Process::new(running.pid())?;
    let rollup = process.smaps_rollup()?.memory_map_rollup;
    let rollup = &rollup.iter().next().context("a process without memory")?.extension.map;
    let field = |name: &str| rollup.get(name).copied().with_context(|| format!("the kernel does not know {name}"));
    let page_tables = process.status()?.vmpte.context("the kernel does not know VmPTE")? * 1024;
    let mappings = process.maps()?.iter().count() as u64;
    let values = [field("Rss")?, field("Anonymous")?, field("Pss")?, page_tables, mappings];
    for (row, value) in rows.into_iter().zip(values) {
        samples.add(row, value as f64);
    }
    Ok(())
}

/// What the kubelet sees of a pod with nothing else in it.
fn charged(contender: &Contender, samples: &mut Samples) -> Result<()> {
    for (key, namespaces) in
        [("charged.process", 0), ("charged.namespaces", CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)]
    {
        let charged = cgroup::on_one_processor(|| {
            let cgroup = Cgroup::new()?;
            let condition = contender.condition(Role::Init)?;
            let condition = Start { namespaces, cgroup: Some(cgroup.processes()?), ..condition };
            let _running = contender.start_so(condition)?;
            cgroup.charged()
        })?;
        samples.add(key, charged as f64);
    }
    Ok(())
}

/// The cost of orphans that are all there at once.
fn storm(contender: &Contender, samples: &mut Samples, orphans: usize, [cpu, wakes]: [&'static str; 2]) -> Result<()> {
    let mut running = start_assisted(contender)?;
    let pid = running.pid();
    // The first one brings pages in.
    reap(contender, &mut running, 1)?;
    let time = || -> Result<u64> { Ok(Process::new(pid)?.schedstat()?.sum_exec_runtime) };
    let before = (time()?, wake_ups(pid)?);
    reap(contender, &mut running, orphans)?;
    samples.add(cpu, (time()? - before.0) as f64 / orphans as f64);
    samples.add(wakes, (wake_ups(pid)? - before.1) as f64);
    Ok(())
}

/// Starts a program with an assistant, which is one child more.
fn start_assisted(contender: &Contender) -> Result<Running> {
    contender.start_so(contender.condition(Role::Init)?.assisted())
}

fn assistant(running: &mut Running) -> Result<&mut Assistant> {
    running.assistant.as_mut().context("started without an assistant")
}

/// Has a program reap that many orphans that are all there at once, and waits until it is at rest again.
fn reap(contender: &Contender, running: &mut Running, orphans: usize) -> Result<()> {
    let family = process::children(running.pid())?;
    assistant(running)?.make_orphans(orphans, Orphans::Dead)?;
    running.wait_until("its orphans are reaped", |running| {
        // While one child goes, the kernel's list may leave out another: what counts is what it says twice.
        let is_alone = || Ok::<_, Error>(process::children(running.pid())? == family);
        Ok(is_alone()? && is_alone()?)
    })?;
    contender.settle(running)
}

fn latency(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let mut running = start_assisted(contender)?;
    let family = process::children(running.pid())?;
    assistant(&mut running)?.make_orphans(50, Orphans::Alive)?;
    for orphan in process::children(running.pid())?.into_iter().filter(|child| !family.contains(child)) {
        contender.settle(&mut running)?;
        samples.add("reap.latency", nanoseconds(kill_orphan(Pid::from_raw(orphan))?));
    }
    Ok(())
}

/// Kills a process that is not a child of this one. Returns how long it takes until it is reaped.
fn kill_orphan(orphan: Pid) -> Result<Duration> {
    let start = Instant::now();
    kill(orphan, Signal::SIGKILL)?;
    wait::until("an orphan is reaped", Duration::ZERO, || Ok(kill(orphan, None) == Err(Errno::ESRCH)))?;
    Ok(start.elapsed())
}

fn shutdown(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let mut running = contender.start()?;
    let start = Instant::now();
    running.signal(Signal::SIGTERM as i32)?;
    let ended = wait::within(Duration::from_secs(1), Duration::ZERO, || Ok(running.poll_status()?.is_some()))?;
    ensure!(ended, "SIGTERM does not end it");
    samples.add("shutdown", nanoseconds(start.elapsed()));
    Ok(())
}

fn idle(contender: &Contender, samples: &mut Samples) -> Result<()> {
    let running = contender.start()?;
    let before = wake_ups(running.pid())?;
    sleep(IDLE);
    samples.add("idle.wake_ups", (wake_ups(running.pid())? - before) as f64);
    Ok(())
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}
