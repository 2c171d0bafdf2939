//! Many pods: that they run at once, that nothing is left of them, and that they are replaced under load.

use crate::figures::{self, Figures};
use crate::kubernetes;
use crate::life::sleeper;
use crate::node::COLLECTION;
use crate::{Cluster, sandboxes};
use anyhow::{Context, Result, ensure};
use e2e::command;
use e2e::host::{Check, Scene};
use e2e::images::REFERENCE;
use kube::api::ListParams;
use procfs::process::{Process, all_processes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::cmd;

const RUN: Check = Check { name: "100 pods run at once", broken_by: &[] };
const NOTHING_LEFT: Check = Check {
    name: "once 100 pods are gone, no sandbox, process, shim, mount or interface of theirs is left",
    broken_by: &[],
};
const REPLACED: Check = Check {
    name: "20 rolling updates of 20 replicas leave no sandbox over, and every replica has ended with exit status 0",
    broken_by: &[],
};

/// How many pods there are at once.
const PODS: usize = 100;

/// How many replicas are updated, and how often.
const REPLICAS: usize = 20;
const UPDATES: usize = 20;

/// Runs these checks. Returns what many pods took.
pub fn check(cluster: &Cluster, scene: &mut Scene) -> Result<Figures> {
    let Many { run, nothing_left, figures } = run_many(cluster, &cluster.program)?;
    scene.check(&RUN, run);
    scene.check(&NOTHING_LEFT, nothing_left);
    scene.check(&REPLACED, check_updates(cluster));
    Ok(figures)
}

/// What came of many pods.
pub struct Many {
    /// Whether all of them ran at once.
    pub run: Result<()>,
    /// Whether nothing is left of them.
    pub nothing_left: Result<()>,
    /// What they took.
    pub figures: Figures,
}

/// Runs many pods, whose sandboxes are to be this program, and removes them.
pub fn run_many(cluster: &Cluster, program: &Path) -> Result<Many> {
    // Those of pods that were there before go one after the other.
    let none_yet = command::within(COLLECTION, || Ok(sandboxes::count()? == 0))?;
    ensure!(none_yet, "sandboxes of pods that are gone are still there");
    let before = Traces::find()?;
    let begin = Instant::now();
    cluster.kubernetes.deploy("many", PODS, sleeper())?;
    let took = begin.elapsed();
    let sandboxes = sandboxes::running()?;
    let count = sandboxes.len();
    let run = (count == PODS).then_some(()).with_context(|| format!("{count} have a sandbox"));
    let run = run.and_then(|()| sandboxes.iter().try_for_each(|sandbox| sandbox.check_program(program)));
    let mut figures = figures::memory(&sandboxes)?;
    figures.push(("100 pods: until all are Ready, s", figures::seconds(took)));
    cluster.kubernetes.remove("many")?;
    let mut after = Traces::find()?;
    command::within(COLLECTION, || {
        after = Traces::find()?;
        Ok(after == before)
    })?;
    let nothing_left = (after == before).then_some(()).with_context(|| format!("{before:?} became {after:?}"));
    Ok(Many { run, nothing_left, figures })
}

/// What is on a node of its pods.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    sandboxes: usize,
    processes: usize,
    shims: usize,
    mounts: usize,
    interfaces: usize,
}

impl Traces {
    fn find() -> Result<Self> {
        let names: Vec<_> = all_processes()?.filter_map(|process| Some(process.ok()?.stat().ok()?.comm)).collect();
        let count = |name: &str| names.iter().filter(|one| one.starts_with(name)).count();
        Ok(Self {
            sandboxes: sandboxes::count()?,
            processes: count("pause") + count("busybox") + count("sleep"),
            shims: count("containerd-shim"),
            mounts: Process::myself()?.mountinfo()?.0.len(),
            interfaces: fs::read_dir("/sys/class/net")?.count(),
        })
    }
}

/// Updates replicas that run the image as their own program, again and again.
fn check_updates(cluster: &Cluster) -> Result<()> {
    let kubernetes = &cluster.kubernetes;
    let before = sandboxes::running()?.len();
    let mut spec = sleeper();
    spec["containers"][0]["image"] = REFERENCE.into();
    // One that does not end by itself is killed after that, with another exit status.
    spec["terminationGracePeriodSeconds"] = 10.into();
    let events = command::Foreground::start(cmd!(cluster.shell, "ctr --namespace k8s.io events"), "events")?;
    kubernetes.deploy("updated", REPLICAS, spec)?;
    let mut containers = BTreeSet::new();
    for update in 0..=UPDATES {
        if update > 0 {
            let annotations = json!({ "annotations": { "update": update.to_string() } });
            kubernetes.change("updated", json!({ "spec": { "template": { "metadata": annotations } } }))?;
        }
        for pod in kubernetes.ask(kubernetes.pods().list(&ListParams::default().labels("app=updated")))?.items {
            containers.extend(kubernetes::containers(pod));
        }
    }
    kubernetes.remove("updated")?;
    ensure!(containers.len() >= REPLICAS * (UPDATES + 1), "only {} containers ran", containers.len());

    let mut statuses = BTreeMap::new();
    command::becomes_so(|| {
        statuses = exits(&events.log()?);
        Ok(containers.iter().all(|id| statuses.contains_key(id)))
    })?;
    for id in &containers {
        let status = statuses.get(id).with_context(|| format!("the container {id} has not ended"))?;
        ensure!(*status == 0, "the exit status of the container {id} is {status}");
    }
    let after = sandboxes::running()?.len();
    ensure!(after == before, "{before} sandboxes became {after}");
    Ok(())
}

/// The exit statuses of containers, out of what containerd says of its events. It leaves out those that are 0.
fn exits(log: &str) -> BTreeMap<String, u64> {
    let events = log.lines().filter_map(|line| line.split_once("/tasks/exit "));
    let events = events.filter_map(|(_, event)| serde_json::from_str::<Value>(event.trim()).ok());
    let exits = events.filter(|event| event["id"] == event["container_id"]).filter_map(|event| {
        Some((event["container_id"].as_str()?.to_owned(), event["exit_status"].as_u64().unwrap_or_default()))
    });
    exits.collect()
}
