//! What becomes of a pod while its sandbox lives, dies, and outlives the daemons.

use crate::kubernetes;
use crate::node::Disk;
use crate::sandboxes::{self, Sandbox};
use crate::{Cluster, figures, node};
use anyhow::{Context, Result, ensure};
use e2e::busybox::BUSYBOX;
use e2e::command;
use e2e::host::{Check, Scene};
use e2e::hosts::containerd::SOCKET;
use e2e::hosts::cri::{Client, ExecSyncRequest, ExecSyncResponse};
use e2e::images::REFERENCE;
use e2e::pause;
use harness::process;
use mutants::{DEAF, NO_REAPING};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const RUNS: Check = Check { name: "the node gets Ready, and a Deployment runs", broken_by: &[] };
const CONFINED: Check =
    Check { name: "the sandbox's process is this program, user 65535, without a capability", broken_by: &[] };
const REAPS: Check = Check { name: "of 500 orphans in a pod none stays a zombie", broken_by: &[&NO_REAPING] };
const KILLED: Check = Check { name: "after SIGKILL to the sandbox the pod comes back in a new one", broken_by: &[] };
const TERMINATED: Check =
    Check { name: "after SIGTERM to the sandbox the pod comes back in a new one", broken_by: &[&DEAF] };
const FROM_INSIDE: Check = Check {
    name: "after SIGTERM to process 1 from a container that is root in it, the pod comes back in a new sandbox",
    broken_by: &[&DEAF],
};
const SURVIVES: [Check; 3] = [
    Check { name: "the sandboxes and their processes outlive a restart of the kubelet", broken_by: &[] },
    Check { name: "the sandboxes and their processes outlive a restart of containerd", broken_by: &[] },
    Check { name: "the sandboxes and their processes outlive containerd's death", broken_by: &[] },
];

/// How many orphans a pod makes.
const ORPHANS: usize = 500;

/// The pods that lose their sandboxes.
const PHOENIXES: [&str; 3] = ["killed", "terminated", "terminated-from-inside"];

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
    scene.check(&RUNS, cluster.kubernetes.deploy("first", 1, sleeper()));
    let first = sandboxes::running()?.pop().context("there is no sandbox")?;
    scene.check(&CONFINED, check_confined(cluster, &first));

    check_orphans(cluster, scene, "orphans", json!({}))?;
    let pods = cluster.kubernetes.pods();
    cluster.kubernetes.delete(&pods, "orphans")?;

    let [killed, terminated, from_inside] = PHOENIXES;
    for (check, pod, signal) in [(&KILLED, killed, Signal::SIGKILL), (&TERMINATED, terminated, Signal::SIGTERM)] {
        let took = check_replacement(cluster, pod, |pid| Ok(kill(Pid::from_raw(pid), signal)?));
        if let Ok(took) = &took {
            let what = format!("a pod: from {signal} to its sandbox until it has a new one, s");
            scene.figures.push(vec![what, figures::seconds(*took)]);
        }
        scene.check(check, took.map(drop));
    }
    let took = check_replacement(cluster, from_inside, |_| terminate_from_inside(cluster, from_inside));
    scene.check(&FROM_INSIDE, took.map(drop));

    let before = sandboxes::running()?;
    let [kubelet, containerd, death] = SURVIVES;
    cluster.node.restart_kubelet(Disk::Large)?;
    scene.check(&kubelet, check_survival(cluster, &before, "after-kubelet"));
    cluster.node.restart_containerd(Signal::SIGTERM, REFERENCE)?;
    scene.check(&containerd, check_survival(cluster, &before, "after-containerd"));
    cluster.node.restart_containerd(Signal::SIGKILL, REFERENCE)?;
    scene.check(&death, check_survival(cluster, &before, "after-death"));

    PHOENIXES.iter().try_for_each(|pod| cluster.kubernetes.delete(&pods, pod))?;
    cluster.kubernetes.remove("first")
}

/// Checks what a sandbox's process is and may do.
fn check_confined(cluster: &Cluster, sandbox: &Sandbox) -> Result<()> {
    sandbox.check_program(&cluster.program)?;
    check_user(sandbox, 65535)?;
    let status = Process::new(sandbox.pid)?.status()?;
    let sets = [status.capprm, status.capeff, status.capinh, status.capamb.unwrap_or_default()];
    ensure!(sets == [0; 4], "its capabilities are {sets:x?}");
    Ok(())
}

/// Checks which user a sandbox's process is.
pub fn check_user(sandbox: &Sandbox, user: u32) -> Result<()> {
    let status = Process::new(sandbox.pid)?.status()?;
    let users = [status.ruid, status.euid, status.suid, status.fuid];
    ensure!(users == [user; 4], "its users are {users:?}");
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

/// Runs a pod whose containers share a PID namespace, and checks that it gets a new sandbox once a signal was sent to
/// the process of its first one. Returns how long that took.
fn check_replacement(cluster: &Cluster, pod: &str, send: impl FnOnce(i32) -> Result<()>) -> Result<Duration> {
    let mut spec = sleeper();
    spec["shareProcessNamespace"] = true.into();
    cluster.kubernetes.run(pod, spec)?;
    let old = sandboxes::of(pod)?.context("the pod has no sandbox")?;
    pause::wait_until_ready(old.pid)?;
    let begin = Instant::now();
    send(old.pid)?;
    let is_new = |sandbox: Option<Sandbox>| sandbox.is_some_and(|new| new.id != old.id);
    let replaced = command::becomes_so(|| Ok(is_new(sandboxes::of(pod)?)))?;
    let took = begin.elapsed();
    ensure!(replaced, "it has none after {} s", took.as_secs());
    // The condition is stale for a while: the container has to be there, too.
    let pods = cluster.kubernetes.pods();
    cluster.kubernetes.wait("its container runs again", || {
        let status = cluster.kubernetes.ask(pods.get(pod))?.status.and_then(|status| status.container_statuses);
        Ok(status.unwrap_or_default().iter().any(|container| container.restart_count > 0 && container.ready))
    })?;
    Ok(took)
}

/// Sends SIGTERM to process 1 of a pod's PID namespace from its container.
fn terminate_from_inside(cluster: &Cluster, pod: &str) -> Result<()> {
    let container = kubernetes::containers(cluster.kubernetes.ask(cluster.kubernetes.pods().get(pod))?).next();
    let request = ExecSyncRequest {
        container_id: container.context("the pod has no container")?,
        cmd: ["/bin/busybox", "kill", "-TERM", "1"].map(String::from).to_vec(),
        timeout: 10,
    };
    // The command may be killed with the namespace before it is done. What it did shows in the sandbox.
    let _: Result<ExecSyncResponse> = Client::connect(SOCKET)?.call("ExecSync", request);
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
