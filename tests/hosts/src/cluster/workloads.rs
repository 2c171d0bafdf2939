//! The manifests of the documents; many pods at once; pods that are replaced again and again.

use super::node::{self, COLLECTION, NAME};
use super::pods::{self, sandbox_ids};
use super::{Cluster, run};
use crate::busybox::{self, BUSYBOX};
use crate::command::{self, Daemon};
use crate::host::{Fixture, check};
use crate::images::{self, REFERENCE};
use anyhow::{Context, Result, ensure};
use procfs::process::{Process, all_processes};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use xshell::cmd;

const PODS: usize = 100;
const REPLICAS: usize = 20;
const UPDATES: usize = 20;

pub fn checks(cluster: &Cluster, fixture: &mut Fixture) -> Result<()> {
    check_manifests(cluster, fixture)?;
    check_many(cluster, fixture)?;
    let name = "20 rolling updates of 20 replicas leave no sandbox behind, and every replica ends with exit status 0";
    fixture.check(&check(name), check_updates(cluster));
    Ok(())
}

fn check_manifests(cluster: &Cluster, fixture: &mut Fixture) -> Result<()> {
    // Small replacements for the images that one of them pulls.
    for name in ["docker.io/library/busybox:1.37", "docker.io/library/nginx:1.29"] {
        let (directory, config) = (Path::new("/tmp").join(name), r#"{"Env":["PATH=/bin"]}"#);
        let image = images::small(cluster.shell, &directory, name, config, busybox::program()?, &["bin/true"])?;
        node::import(cluster.shell, &image)?;
    }
    let manifests = fixture.repository.join("docs/manifests");
    run(cmd!(cluster.shell, "kubectl apply --filename {manifests}"))?;
    let pulled = cluster.wait_for_rollout("daemonset/early-pull");
    fixture.check(&check("the documents' early pull runs every image, then sleeps"), pulled);
    let debug = cluster.wait_for("condition=Ready", "pod/debug-target");
    fixture.check(&check("the documents' target for debugging runs"), debug);
    let displaced = cluster.wait_for_rollout("deployment/placeholder").and_then(|()| displace(cluster));
    let name = "the documents' placeholders run, and make way for a pod that needs the room";
    fixture.check(&check(name), displaced);
    let deleted = run(cmd!(cluster.shell, "kubectl delete --cascade=foreground --timeout=120s --filename {manifests}"));
    fixture.check(&check("deleting the documents' manifests ends what they started"), deleted.map(drop));
    Ok(())
}

/// Runs a pod that needs the room of all placeholders.
fn displace(cluster: &Cluster) -> Result<()> {
    let room = cluster.kubectl(&format!("get node/{NAME} --output jsonpath={{.status.allocatable.cpu}}"))?;
    let room: u32 = room.parse().with_context(|| format!("{room} is not a number of CPUs"))?;
    // The rest is less than a placeholder requests.
    let resources = json!({ "requests": { "cpu": format!("{}m", room * 1000 - 400) } });
    let container = json!({ "name": "important", "image": BUSYBOX, "resources": resources });
    cluster.run_pod("important", &json!({ "containers": [container] }))?;
    let running = cluster.kubectl("get deployment/placeholder --output jsonpath={.status.availableReplicas}")?;
    cluster.delete("pod/important")?;
    ensure!(running.is_empty(), "{running} placeholders still run");
    Ok(())
}

fn check_many(cluster: &Cluster, fixture: &mut Fixture) -> Result<()> {
    // The sandboxes of earlier pods are removed one by one.
    let empty = command::within(COLLECTION, || Ok(sandbox_ids(cluster.shell, "")?.is_empty()))?;
    ensure!(empty, "there are still sandboxes of deleted pods");
    let before = traces(cluster)?;
    cluster.deploy("many", BUSYBOX, PODS)?;
    let sandboxes = pods::sandboxes(cluster.shell, "")?;
    let ran = (sandboxes.len() == PODS).then_some(()).with_context(|| format!("{} have a sandbox", sandboxes.len()));
    let ran = ran.and_then(|()| sandboxes.iter().try_for_each(|(_, pid)| pods::check_program(cluster, *pid)));
    fixture.check(&check("100 pods run at once"), ran);
    cluster.delete("deployment/many")?;
    let mut after = before;
    command::within(COLLECTION, || {
        after = traces(cluster)?;
        Ok(after == before)
    })?;
    let nothing_left = (after == before).then_some(()).with_context(|| format!("{before:?} became {after:?}"));
    let name = "100 pods leave no sandbox, process, shim, mount or network interface behind";
    fixture.check(&check(name), nothing_left);
    Ok(())
}

/// Counts what pods leave on a node while they run.
fn traces(cluster: &Cluster) -> Result<[(&'static str, usize); 5]> {
    let names: Vec<_> = all_processes()?.filter_map(|process| Some(process.ok()?.stat().ok()?.comm)).collect();
    let count = |name: &str| names.iter().filter(|other| other.starts_with(name)).count();
    Ok([
        ("sandboxes", sandbox_ids(cluster.shell, "")?.len()),
        ("processes", count("pause") + count("busybox") + count("sleep")),
        ("shims", count("containerd-shim")),
        ("mounts", Process::myself()?.mountinfo()?.0.len()),
        ("network interfaces", std::fs::read_dir("/sys/class/net")?.count()),
    ])
}

/// Updates replicas that run the image as a plain container, again and again.
fn check_updates(cluster: &Cluster) -> Result<()> {
    let before = pods::sandboxes(cluster.shell, "")?.len();
    let events = Daemon::start(cmd!(cluster.shell, "ctr --namespace k8s.io events"), "events")?;
    cluster.deploy("updated", REFERENCE, REPLICAS)?;
    let mut containers = BTreeSet::new();
    for update in 0..=UPDATES {
        if update > 0 {
            let patch =
                json!({ "spec": { "template": { "metadata": { "annotations": { "update": update.to_string() } } } } });
            cluster.kubectl(&format!("patch deployment/updated --patch {patch}"))?;
            cluster.wait_for_rollout("deployment/updated")?;
        }
        let ids = "jsonpath={.items[*].status.containerStatuses[*].containerID}";
        let ids = cluster.kubectl(&format!("get pods --selector app=updated --output {ids}"))?;
        containers.extend(ids.split_whitespace().map(|id| id.trim_start_matches("containerd://").to_owned()));
    }
    cluster.delete("deployment/updated")?;
    ensure!(containers.len() >= REPLICAS * (UPDATES + 1), "only {} containers ran", containers.len());

    // The default grace period is 30 s: after that, a container is killed, and has another exit status.
    let all_succeeded = || Ok(containers.is_subset(&successes(&events.log()?)));
    ensure!(command::becomes_so(all_succeeded)?, "a replica did not end with exit status 0");
    // Those that have ended are removed later.
    let after = pods::sandboxes(cluster.shell, "")?.len();
    ensure!(after == before, "{before} sandboxes became {after}");
    Ok(())
}

/// The containers that have ended with exit status 0, which containerd's events leave out.
fn successes(log: &str) -> BTreeSet<String> {
    let events = log.lines().filter_map(|line| line.split_once("/tasks/exit "));
    let events = events.filter_map(|(_, event)| serde_json::from_str::<Value>(event.trim()).ok());
    let successes = events.filter(|event| event["id"] == event["container_id"] && event["exit_status"].is_null());
    successes.filter_map(|event| Some(event["id"].as_str()?.to_owned())).collect()
}
