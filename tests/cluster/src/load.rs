//! Many pods: what their sandboxes take, that nothing is left of them, and that they are replaced under load.

use crate::Cluster;
use crate::kubernetes::NAMESPACE;
use crate::life::sleeper;
use crate::node::{self, Disk};
use crate::sandboxes::{self, Sandbox};
use anyhow::{Context, Result, bail, ensure};
use e2e::host::{Check, Scene};
use e2e::hosts::cluster::UPSTREAM;
use e2e::images::REFERENCE;
use e2e::{archive, command};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use nix::sys::signal::Signal;
use procfs::process::{Process, all_processes};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use xshell::cmd;

const MANY: Check = Check { name: "100 pods run at once", broken_by: &[] };
const NOTHING_LEFT: Check = Check {
    name: "once 100 pods are gone, no sandbox, process, shim, mount or interface of theirs is left",
    broken_by: &[],
};
const REPLACED: Check = Check {
    name: "20 rolling updates of 20 replicas leave no sandbox over, and every replica has ended with exit status 0",
    broken_by: &[],
};
const PINNED: Check = Check {
    name: "image garbage collection takes an unused image, and leaves the pinned sandbox image",
    broken_by: &[],
};
/// How many pods there are at once.
const PODS: usize = 100;

/// How many replicas are updated, and how often.
const REPLICAS: usize = 20;
const UPDATES: usize = 20;

/// The image of the program that is measured beside this one, and an image that nobody uses.
const OTHER: &str = "localhost/upstream:e2e";
const UNUSED: &str = "localhost/unused:e2e";

/// How long the kubelet may take until it collects what nobody needs: it looks once a minute.
const COLLECTION: Duration = Duration::from_secs(150);

/// Runs these checks.
pub fn check(cluster: &mut Cluster, scene: &mut Scene) -> Result<()> {
    let (pods, ours) = run_many(cluster, scene)?;
    scene.check(&MANY, (pods == PODS).then_some(()).with_context(|| format!("{pods} have a sandbox")));
    scene.check(&REPLACED, check_updates(cluster));
    if Path::new(UPSTREAM).exists() {
        let image = Path::new("/tmp/upstream.tar");
        archive::write(image, OTHER, &json!({ "Entrypoint": ["/pause"] }), &[("pause", Path::new(UPSTREAM))])?;
        node::import(cluster.shell, image)?;
        cluster.node.restart_containerd(Signal::SIGTERM, OTHER)?;
        scene.setting = ", with the program beside it";
        let (_, theirs) = run_many(cluster, scene)?;
        scene.setting = "";
        scene.figures = ours
            .iter()
            .zip(theirs)
            .map(|((what, ours), (_, theirs))| vec![(*what).into(), ours.clone(), theirs])
            .collect();
        cluster.node.restart_containerd(Signal::SIGTERM, REFERENCE)?;
    }
    check_collection(cluster, scene)
}

/// What was measured, in words and numbers.
type Figures = Vec<(&'static str, String)>;

/// Runs many pods, measures their sandboxes, and removes them. Returns how many sandboxes there were and what they took.
fn run_many(cluster: &Cluster, scene: &mut Scene) -> Result<(usize, Figures)> {
    // Those of pods that are gone are removed within a minute.
    let none_yet = command::within(COLLECTION, || Ok(sandboxes::count()? == 0))?;
    ensure!(none_yet, "sandboxes of pods that are gone are still there");
    let before = Traces::find()?;
    let begin = Instant::now();
    deploy(cluster, "many", PODS, sleeper())?;
    let seconds = begin.elapsed().as_secs_f64();
    let sandboxes: Vec<_> = sandboxes::running()?;
    let sums = Sums::of(&sandboxes)?;
    let figures = vec![
        ("resident memory (RSS), kB", sums.resident.to_string()),
        ("proportional memory (PSS), kB", sums.proportional.to_string()),
        ("page tables, kB", sums.page_tables.to_string()),
        ("charged to the sandboxes' cgroups, kB", sums.charged.to_string()),
        ("seconds until all run", format!("{seconds:.0}")),
    ];
    let said: Vec<_> = figures.iter().map(|(what, number)| format!("{what}: {number}")).collect();
    scene.notes.push(format!("of {PODS} pods{}: {}", scene.setting, said.join("; ")));
    remove(cluster, "many")?;
    // A sandbox that has ended is removed within a minute.
    let mut after = Traces::find()?;
    command::within(COLLECTION, || {
        after = Traces::find()?;
        Ok(after == before)
    })?;
    scene.check(&NOTHING_LEFT, (after == before).then_some(()).context(format!("{before:?} became {after:?}")));
    Ok((sandboxes.len(), figures))
}

/// Runs a deployment of pods with this specification.
fn deploy(cluster: &Cluster, name: &str, replicas: usize, spec: Value) -> Result<()> {
    let deployment = json!({
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "strategy": { "rollingUpdate": { "maxSurge": "50%", "maxUnavailable": "50%" } },
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": spec },
        },
    });
    cluster.kubernetes.create(&cluster.kubernetes.of::<Deployment>(NAMESPACE), deployment)?;
    cluster.kubernetes.wait_until_complete(name)
}

/// Removes a deployment and its pods.
fn remove(cluster: &Cluster, name: &str) -> Result<()> {
    let kubernetes = &cluster.kubernetes;
    kubernetes.delete(&kubernetes.of::<Deployment>(NAMESPACE), name)?;
    kubernetes.wait("all pods are gone", || {
        Ok(kubernetes.ask(kubernetes.pods().list(&ListParams::default()))?.items.is_empty())
    })
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

/// What sandboxes take together, in kB.
#[derive(Default)]
struct Sums {
    resident: u64,
    proportional: u64,
    page_tables: u64,
    charged: u64,
}

impl Sums {
    fn of(sandboxes: &[Sandbox]) -> Result<Self> {
        let mut sums = Self::default();
        for Sandbox { pid, .. } in sandboxes {
            let process = Process::new(*pid)?;
            let status = process.status()?;
            sums.resident += status.vmrss.context("the kernel does not count memory")?;
            sums.page_tables += status.vmpte.context("the kernel does not count page tables")?;
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("the kernel knows no PSS")?;
            sums.proportional += line.trim().trim_end_matches(" kB").parse::<u64>()?;
            sums.charged += charged(&process)? / 1024;
        }
        Ok(sums)
    }
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

/// Updates replicas that run the image as their own program, again and again.
fn check_updates(cluster: &Cluster) -> Result<()> {
    let kubernetes = &cluster.kubernetes;
    let before = sandboxes::running()?.len();
    let mut spec = sleeper();
    spec["containers"][0]["image"] = REFERENCE.into();
    // One that does not end by itself is killed after that, with another exit status.
    spec["terminationGracePeriodSeconds"] = 10.into();
    let events = command::Foreground::start(cmd!(cluster.shell, "ctr --namespace k8s.io events"), "events")?;
    deploy(cluster, "updated", REPLICAS, spec)?;
    let mut containers = BTreeSet::new();
    for update in 0..=UPDATES {
        if update > 0 {
            let annotations = json!({ "annotations": { "update": update.to_string() } });
            kubernetes.change("updated", json!({ "spec": { "template": { "metadata": annotations } } }))?;
        }
        for pod in kubernetes.ask(kubernetes.pods().list(&ListParams::default().labels("app=updated")))?.items {
            let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
            let ids = statuses.into_iter().filter_map(|status| status.container_id);
            containers.extend(ids.map(|id| id.trim_start_matches("containerd://").to_owned()));
        }
    }
    remove(cluster, "updated")?;
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

/// Has the kubelet collect images.
fn check_collection(cluster: &mut Cluster, scene: &mut Scene) -> Result<()> {
    let image = Path::new("/tmp/unused.tar");
    archive::write(image, UNUSED, &json!({ "Cmd": ["/unused"] }), &[("unused", Path::new("/etc/hostname"))])?;
    node::import(cluster.shell, image)?;
    let is_there = |name: &str| -> Result<bool> {
        let list = cmd!(cluster.shell, "ctr --namespace k8s.io images list --quiet").quiet().read()?;
        Ok(list.lines().any(|line| line == name))
    };
    cluster.node.restart_kubelet(Disk::Small)?;
    let taken = command::within(COLLECTION, || Ok(!is_there(UNUSED)?))?;
    let left = is_there(REFERENCE)?;
    let seen = format!("the unused one is taken: {taken}; the sandbox image is left: {left}");
    scene.check(&PINNED, (taken && left).then_some(()).context(seen));
    Ok(())
}
