//! The measurements, one function each.

use super::process::{Orphans, Running, kill_orphan, page_faults, trace};
use super::{Program, Samples};
use crate::build::Binary;
use crate::{image, platform};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Something that is measured, of one program at a time.
pub struct Measurement {
    /// What it is about, for whoever waits.
    pub name: &'static str,
    /// How often. The programs take turns, so that what else the machine does hits all alike.
    pub rounds: usize,
    /// Whether all programs may be measured at the same time.
    pub parallel: bool,
    /// Measures.
    pub run: fn(&Program, &mut Samples) -> Result<()>,
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
    Row { key, name, unit, statistic: MEDIAN }
}

/// A row about memory. The kernel begins the stack at random, so that a single start means little.
const fn mean(key: &'static str, name: &'static str, unit: Unit) -> Row {
    Row { key, name, unit, statistic: Statistic::Mean }
}

/// What the table shows, in order.
#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    row("size.binary", "size: the binary", Bytes),
    row("size.pull", "size: a pull (manifest, config, layer)", Bytes),
    row("start.version", "start: -v, from spawn to exit", Nanoseconds),
    row("start.ready", "start: as PID 1, from spawn to the last handler", Nanoseconds),
    row("start.instructions", "start: instructions to the last handler", Count),
    row("start.system_calls", "start: system calls to the last handler", Count),
    row("start.page_faults", "start: page faults until it sleeps", Count),
    mean("memory.resident", "PID 1: resident (VmRSS)", Bytes),
    mean("memory.anonymous", "PID 1: anonymous", Bytes),
    mean("memory.proportional", "PID 1: proportional (PSS)", Bytes),
    mean("memory.page_tables", "PID 1: page tables (VmPTE)", Bytes),
    mean("memory.mappings", "PID 1: mappings", Count),
    mean("after_orphans.resident", "after 20,000 orphans: resident", Bytes),
    mean("after_orphans.anonymous", "after 20,000 orphans: anonymous", Bytes),
    mean("after_orphans.proportional", "after 20,000 orphans: proportional", Bytes),
    mean("after_orphans.page_tables", "after 20,000 orphans: page tables", Bytes),
    mean("after_orphans.mappings", "after 20,000 orphans: mappings", Count),
    mean("instances.resident", "each of 200: resident", Bytes),
    mean("instances.anonymous", "each of 200: anonymous", Bytes),
    mean("instances.proportional", "each of 200: proportional", Bytes),
    mean("instances.page_tables", "each of 200: page tables", Bytes),
    mean("instances.mappings", "each of 200: mappings", Count),
    row("storm_1.cpu", "storm of 1: CPU time per orphan", Nanoseconds),
    row("storm_1.wake_ups", "storm of 1: wake-ups", Count),
    row("storm_100.cpu", "storm of 100: CPU time per orphan", Nanoseconds),
    row("storm_100.wake_ups", "storm of 100: wake-ups", Count),
    row("storm_10000.cpu", "storm of 10,000: CPU time per orphan", Nanoseconds),
    row("storm_10000.wake_ups", "storm of 10,000: wake-ups", Count),
    row("reap.latency", "an orphan, from SIGKILL to reaped: p50", Nanoseconds),
    Row { key: "reap.latency", name: "an orphan, from SIGKILL to reaped: p99", unit: Nanoseconds, statistic: Statistic::Quantile(0.99) },
    row("shutdown", "shutdown: from SIGTERM to gone", Nanoseconds),
    row("idle.wake_ups", "idle: wake-ups in 10 s", Count),
];

/// What is measured, in order.
#[rustfmt::skip]
pub static MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "sizes", rounds: 1, parallel: true, run: sizes },
    Measurement { name: "start", rounds: 200, parallel: false, run: start },
    Measurement { name: "instructions", rounds: 1, parallel: false, run: instructions },
    Measurement { name: "page faults", rounds: 5, parallel: false, run: faults },
    Measurement { name: "memory", rounds: 50, parallel: false, run: memory },
    Measurement { name: "memory after 20,000 orphans", rounds: 5, parallel: false, run: memory_after_orphans },
    Measurement { name: "memory of 200 instances", rounds: 1, parallel: false, run: instances },
    Measurement { name: "storms of 1", rounds: 50, parallel: false, run: |program, samples| storm(program, samples, 1, ["storm_1.cpu", "storm_1.wake_ups"]) },
    Measurement { name: "storms of 100", rounds: 20, parallel: false, run: |program, samples| storm(program, samples, 100, ["storm_100.cpu", "storm_100.wake_ups"]) },
    Measurement { name: "storms of 10,000", rounds: 8, parallel: false, run: |program, samples| storm(program, samples, 10_000, ["storm_10000.cpu", "storm_10000.wake_ups"]) },
    Measurement { name: "latency", rounds: 12, parallel: false, run: latency },
    Measurement { name: "shutdown", rounds: 100, parallel: false, run: shutdown },
    Measurement { name: "idle", rounds: 1, parallel: true, run: idle },
];

fn sizes(program: &Program, samples: &mut Samples) -> Result<()> {
    let size = fs::metadata(&program.path)?.len();
    samples.add("size.binary", size as f64);
    let platform = platform::native().context("pause has no port for this machine")?;
    let binary = Binary { platform, path: program.path.clone(), size };
    samples.add("size.pull", image::pull_size(&binary)? as f64);
    Ok(())
}

fn start(program: &Program, samples: &mut Samples) -> Result<()> {
    let start = Instant::now();
    let status = program.command([program.version]).status()?;
    samples.add("start.version", nanoseconds(start.elapsed()));
    ensure!(status.success(), "{}: {status}", program.version);

    let (running, start) = Running::spawn(program)?;
    running.wait_until_ready()?;
    samples.add("start.ready", nanoseconds(start.elapsed()));
    Ok(())
}

fn instructions(program: &Program, samples: &mut Samples) -> Result<()> {
    let trace = trace(program)?;
    samples.add("start.instructions", trace.instructions as f64);
    samples.add("start.system_calls", trace.system_calls as f64);
    Ok(())
}

fn faults(program: &Program, samples: &mut Samples) -> Result<()> {
    samples.add("start.page_faults", page_faults(program)? as f64);
    Ok(())
}

fn memory(program: &Program, samples: &mut Samples) -> Result<()> {
    footprint(&Running::start(program)?, samples, MEMORY)
}

fn memory_after_orphans(program: &Program, samples: &mut Samples) -> Result<()> {
    let running = Running::start(program)?;
    // Not all at once: a machine has 32,768 process numbers, unless it is told otherwise.
    for _ in 0..20 {
        running.adopt(1_000, Orphans::Dead)?;
        running.wait_until_childless()?;
    }
    footprint(&running, samples, AFTER_ORPHANS)
}

fn instances(program: &Program, samples: &mut Samples) -> Result<()> {
    let running = (0..INSTANCES).map(|_| Running::start(program)).collect::<Result<Vec<_>>>()?;
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
    let process = running.process()?;
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

/// The cost of orphans that are all there at once.
fn storm(program: &Program, samples: &mut Samples, orphans: usize, [cpu, wake_ups]: [&'static str; 2]) -> Result<()> {
    let running = Running::start(program)?;
    // The first one brings pages in.
    running.adopt(1, Orphans::Dead)?;
    running.wait_until_childless()?;
    let time = || -> Result<u64> { Ok(running.process()?.schedstat()?.sum_exec_runtime) };
    let before = (time()?, running.wake_ups()?);
    running.adopt(orphans, Orphans::Dead)?;
    running.wait_until_childless()?;
    samples.add(cpu, (time()? - before.0) as f64 / orphans as f64);
    samples.add(wake_ups, (running.wake_ups()? - before.1) as f64);
    Ok(())
}

fn latency(program: &Program, samples: &mut Samples) -> Result<()> {
    let running = Running::start(program)?;
    let own = running.children()?;
    running.adopt(50, Orphans::Alive)?;
    for orphan in running.children()?.into_iter().filter(|child| !own.contains(child)) {
        running.wait_until_asleep()?;
        samples.add("reap.latency", nanoseconds(kill_orphan(orphan)?));
    }
    Ok(())
}

fn shutdown(program: &Program, samples: &mut Samples) -> Result<()> {
    samples.add("shutdown", nanoseconds(Running::start(program)?.terminate()?));
    Ok(())
}

fn idle(program: &Program, samples: &mut Samples) -> Result<()> {
    let running = Running::start(program)?;
    let before = running.wake_ups()?;
    sleep(IDLE);
    samples.add("idle.wake_ups", (running.wake_ups()? - before) as f64);
    Ok(())
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}
