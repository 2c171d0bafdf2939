//! What becomes of a pod while its sandbox lives, dies, and outlives the daemons.

use crate::kubernetes::NAMESPACE;
use crate::node::Disk;
use crate::sandboxes::{self, Sandbox};
use crate::{Cluster, node};
use anyhow::{Context, Result, ensure};
use e2e::busybox::BUSYBOX;
use e2e::command;
use e2e::host::{Check, Scene};
use e2e::images::REFERENCE;
use e2e::pause;
use harness::process;
use k8s_openapi::api::apps::v1::Deployment;
use mutants::{DEAF, NO_REAPING};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

const RUNS: Check = Check { name: "the node gets Ready, and a Deployment runs", broken_by: &[] };
const CONFINED: Check =
    Check { name: "the sandbox's process is this program, user 65535, without a capability", broken_by: &[] };
const REAPS: Check = Check { name: "of 500 orphans in a pod none stays a zombie", broken_by: &[&NO_REAPING] };
const KILLED: Check = Check { name: "after SIGKILL to the sandbox the pod comes back in a new one", broken_by: &[] };
const TERMINATED: Check =
    Check { name: "after SIGTERM to the sandbox the pod comes back in a new one", broken_by: &[&DEAF] };
const SURVIVES: [Check; 3] = [
    Check { name: "the sandboxes and their processes outlive a restart of the kubelet", broken_by: &[] },
    Check { name: "the sandboxes and their processes outlive a restart of containerd", broken_by: &[] },
    Check { name: "the sandboxes and their processes outlive containerd's death", broken_by: &[] },
];

/// How many orphans a pod makes.
const ORPHANS: usize = 500;

/// How long a sandbox that has ended may take to be replaced.
const REPLACEMENT: Duration = Duration::from_secs(60);

/// How long dead orphans may take to be reaped.
const REAPING: Duration = Duration::from_secs(5);

/// A pod that sleeps, and is not asked twice to stop.
pub fn sleeper() -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{ "name": "sleeper", "image": BUSYBOX, "imagePullPolicy": "Never" }],
    })
}

/// Runs these checks.
pub fn check(cluster: &mut Cluster, scene: &mut Scene) -> Result<()> {
    let deployment = json!({
        "metadata": { "name": "first" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "first" } },
            "template": { "metadata": { "labels": { "app": "first" } }, "spec": sleeper() },
        },
    });
    cluster.kubernetes.create(&cluster.kubernetes.of::<Deployment>(NAMESPACE), deployment)?;
    scene.check(&RUNS, cluster.kubernetes.wait_until_complete("first"));
    let first = sandboxes::running()?.pop().context("there is no sandbox")?;
    scene.check(&CONFINED, check_confined(cluster, first.pid));

    check_orphans(cluster, scene, "orphans", json!({}))?;
    let pods = cluster.kubernetes.pods();
    cluster.kubernetes.delete(&pods, "orphans")?;

    cluster.kubernetes.run("phoenix", sleeper())?;
    for (check, signal) in [(&KILLED, Signal::SIGKILL), (&TERMINATED, Signal::SIGTERM)] {
        scene.check(check, check_replacement(cluster, "phoenix", signal));
    }

    let before = sandboxes::running()?;
    let [kubelet, containerd, death] = SURVIVES;
    cluster.node.restart_kubelet(Disk::Large)?;
    scene.check(&kubelet, check_survival(cluster, &before, "after-kubelet"));
    cluster.node.restart_containerd(Signal::SIGTERM, REFERENCE)?;
    scene.check(&containerd, check_survival(cluster, &before, "after-containerd"));
    cluster.node.restart_containerd(Signal::SIGKILL, REFERENCE)?;
    scene.check(&death, check_survival(cluster, &before, "after-death"));

    let deployments = cluster.kubernetes.of::<Deployment>(NAMESPACE);
    cluster.kubernetes.delete(&deployments, "first")?;
    cluster.kubernetes.delete(&pods, "phoenix")
}

/// Checks what a sandbox's process is and may do.
fn check_confined(cluster: &Cluster, pid: i32) -> Result<()> {
    ensure!(fs::read(format!("/proc/{pid}/exe"))? == fs::read(&cluster.program)?, "it is another program");
    let status = Process::new(pid)?.status()?;
    let users = [status.ruid, status.euid, status.suid, status.fuid];
    ensure!(users == [65535; 4], "its users are {users:?}");
    let sets = [status.capprm, status.capeff, status.capinh, status.capamb.unwrap_or_default()];
    ensure!(sets == [0; 4], "its capabilities are {sets:x?}");
    Ok(())
}

/// Runs a pod whose container makes orphans, with these fields in its specification, and checks that they are reaped.
pub fn check_orphans(cluster: &Cluster, scene: &mut Scene, name: &str, fields: Value) -> Result<()> {
    let script = format!("for orphan in $(seq {ORPHANS}); do (sleep 3600 &); done; exec sleep 3600");
    let mut spec = sleeper();
    spec["shareProcessNamespace"] = true.into();
    spec["containers"][0]["command"] = json!(["/bin/busybox", "sh", "-c", script]);
    for (field, value) in fields.as_object().context("fields")? {
        spec[field] = value.clone();
    }
    cluster.kubernetes.run(name, spec)?;
    let pid = sandboxes::of(name)?.context("the pod has no sandbox")?.pid;
    pause::wait_until_ready(pid)?;
    let adopted = command::becomes_so(|| Ok(process::children(pid)?.len() == ORPHANS))?;
    let orphans = process::children(pid)?;
    ensure!(adopted, "it has {} children instead of {ORPHANS}", orphans.len());
    for orphan in orphans {
        kill(Pid::from_raw(orphan), Signal::SIGKILL)?;
    }
    command::within(REAPING, || Ok(process::children(pid)?.is_empty()))?;
    let (rest, zombies) = (process::children(pid)?.len(), process::zombies(pid)?);
    scene.check(&REAPS, (rest == 0).then_some(()).context(format!("{rest} remain, {zombies} of them zombies")));
    Ok(())
}

/// Checks that a pod gets a new sandbox after a signal to its old one.
fn check_replacement(cluster: &Cluster, pod: &str, signal: Signal) -> Result<()> {
    let old = sandboxes::of(pod)?.context("the pod has no sandbox")?;
    pause::wait_until_ready(old.pid)?;
    kill(Pid::from_raw(old.pid), signal)?;
    let is_new = |sandbox: Option<Sandbox>| sandbox.is_some_and(|new| new.id != old.id);
    let replaced = command::within(REPLACEMENT, || Ok(is_new(sandboxes::of(pod)?)))?;
    ensure!(replaced, "it has none after {} s", REPLACEMENT.as_secs());
    // The condition is stale for a while: the container has to be there, too.
    let pods = cluster.kubernetes.pods();
    cluster.kubernetes.wait("its container runs again", || {
        let status = cluster.kubernetes.ask(pods.get(pod))?.status.and_then(|status| status.container_statuses);
        Ok(status.unwrap_or_default().iter().any(|container| container.restart_count > 0 && container.ready))
    })?;
    Ok(())
}

/// Checks that sandboxes are still the same, once the node works again: a new pod runs there.
fn check_survival(cluster: &Cluster, before: &[Sandbox], pod: &str) -> Result<()> {
    cluster.kubernetes.wait_until_node_is_ready(node::NAME)?;
    cluster.kubernetes.run(pod, sleeper())?;
    let pods = cluster.kubernetes.pods();
    cluster.kubernetes.delete(&pods, pod)?;
    let after: Vec<_> = sandboxes::running()?.into_iter().filter(|sandbox| sandbox.pod != pod).collect();
    ensure!(after == before, "{before:?} became {after:?}");
    Ok(())
}
