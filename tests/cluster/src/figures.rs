//! What pods take: memory and time, with this program in their sandboxes and with others. Nothing here is a check.

use crate::life::sleeper;
use crate::load::{self, Many};
use crate::sandboxes::{self, Sandbox};
use crate::{Cluster, node};
use anyhow::{Context, Result, bail};
use e2e::archive;
use e2e::host::Scene;
use e2e::hosts::cluster::UPSTREAM;
use e2e::images::REFERENCE;
use k8s_openapi::api::core::v1::Pod;
use mutants::DEAF;
use nix::sys::signal::Signal;
use procfs::process::Process;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What was measured with one program, in words and numbers.
pub type Figures = Vec<(&'static str, String)>;

/// The images of the other programs.
const UPSTREAM_IMAGE: &str = "localhost/upstream:e2e";
const DEAF_IMAGE: &str = "localhost/deaf:e2e";

/// How many pods come and go one after the other. There is one in the middle.
const TURNS: usize = 11;

/// Measures, after `many` pods with this program: with it, and with the others if there is one to measure beside it.
pub fn measure(cluster: &mut Cluster, scene: &mut Scene, many: Figures) -> Result<()> {
    let (mut many, mut one) = (vec![many], vec![come_and_go(cluster, &cluster.program)?]);
    let upstream = Path::new(UPSTREAM);
    if upstream.exists() {
        put_into_sandboxes(cluster, UPSTREAM_IMAGE, upstream)?;
        one.push(come_and_go(cluster, upstream)?);
        let Many { run, nothing_left, figures } = load::run_many(cluster, upstream)?;
        run.and(nothing_left).context("with the program that is measured beside this one")?;
        many.push(figures);
        // Only its time is of interest.
        let deaf = DEAF.binary(scene.repository);
        put_into_sandboxes(cluster, DEAF_IMAGE, &deaf)?;
        one.push(come_and_go(cluster, &deaf)?);
        cluster.node.restart_containerd(Signal::SIGTERM, REFERENCE)?;
    }
    scene.figures.extend(rows(&one));
    scene.figures.extend(rows(&many));
    Ok(())
}

/// Has containerd put this program into new sandboxes.
fn put_into_sandboxes(cluster: &mut Cluster, image: &str, program: &Path) -> Result<()> {
    let archive = Path::new("/tmp/other.tar");
    archive::write(archive, image, &json!({ "Entrypoint": ["/pause"] }), &[("pause", program)])?;
    node::import(cluster.shell, archive)?;
    cluster.node.restart_containerd(Signal::SIGTERM, image)?;
    cluster.kubernetes.wait_until_node_is_ready(node::NAME)
}

/// The rows of a table with a column for each program.
fn rows(columns: &[Figures]) -> Vec<Vec<String>> {
    let row = |(index, (what, _)): (usize, &(&str, String))| {
        let cells = columns.iter().map(|column| column[index].1.clone());
        std::iter::once((*what).into()).chain(cells).collect()
    };
    columns[0].iter().enumerate().map(row).collect()
}

/// Runs and deletes one pod after the other, whose sandbox is to be this program.
fn come_and_go(cluster: &Cluster, program: &Path) -> Result<Figures> {
    let (mut ready, mut gone) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let name = format!("turn-{turn}");
        let begin = Instant::now();
        cluster.kubernetes.run(&name, sleeper())?;
        ready.push(begin.elapsed());
        sandboxes::of(&name)?.context("the pod has no sandbox")?.check_program(program)?;
        let begin = Instant::now();
        cluster.kubernetes.delete::<Pod>(&cluster.kubernetes.pods(), &name)?;
        gone.push(begin.elapsed());
    }
    Ok(vec![
        ("a pod: from its creation until it is Ready, median, s", seconds(median(ready))),
        ("a pod: from its deletion until it is gone, median, s", seconds(median(gone))),
    ])
}

/// The one in the middle.
fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}

/// A duration as a figure.
pub fn seconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64())
}

/// What sandboxes take together.
pub fn memory(sandboxes: &[Sandbox]) -> Result<Figures> {
    let [mut resident, mut proportional, mut page_tables, mut bytes] = [0; 4];
    for Sandbox { pid, .. } in sandboxes {
        let process = Process::new(*pid)?;
        let status = process.status()?;
        resident += status.vmrss.context("the kernel does not count memory")?;
        page_tables += status.vmpte.context("the kernel does not count page tables")?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("the kernel knows no PSS")?;
        proportional += line.trim().trim_end_matches(" kB").parse::<u64>()?;
        bytes += charged(&process)?;
    }
    Ok(vec![
        ("100 pods: resident memory (RSS), kB", resident.to_string()),
        ("100 pods: proportional memory (PSS), kB", proportional.to_string()),
        ("100 pods: page tables, kB", page_tables.to_string()),
        ("100 pods: charged to the sandboxes' cgroups, kB", (bytes / 1024).to_string()),
    ])
}

/// How many bytes are charged to a process's cgroup.
fn charged(process: &Process) -> Result<u64> {
    for hierarchy in process.cgroups()? {
        let (folder, file) = match hierarchy.hierarchy {
            0 => ("", "memory.current"),
            _ if hierarchy.controllers.iter().any(|name| name == "memory") => ("memory", "memory.usage_in_bytes"),
            _ => continue,
        };
        let path = hierarchy.pathname.trim_start_matches('/');
        let file = Path::new("/sys/fs/cgroup").join(folder).join(path).join(file);
        if let Ok(text) = fs::read_to_string(file) {
            return Ok(text.trim().parse()?);
        }
    }
    bail!("no cgroup charges the sandbox's memory")
}
