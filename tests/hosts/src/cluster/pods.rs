//! Pods whose sandboxes run, die, or outlive the daemons; pods with few privileges, in a user namespace, or with crun.

use super::Cluster;
use super::node::KEEP_IMAGES;
use crate::busybox::BUSYBOX;
use crate::command;
use crate::host::{Check, DEAFNESS, Fixture, ZOMBIES, broken_by, check};
use crate::images::REFERENCE;
use crate::pause::{self, Pod, Visible};
use anyhow::{Context, Result, bail, ensure};
use harness::process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use xshell::{Shell, cmd};

const ORPHANS: usize = 500;
const REAPS: Check = broken_by(ZOMBIES, "no zombie is left of 500 orphans in a pod");
const REAPING: Duration = Duration::from_secs(5);

const TERMINATED: Check = broken_by(DEAFNESS, "after SIGTERM to the sandbox the pod comes back in a new one");
const FROM_INSIDE: Check =
    broken_by(DEAFNESS, "after SIGTERM to process 1 from a root container the pod comes back in a new sandbox");

pub fn checks(cluster: &mut Cluster, fixture: &mut Fixture) -> Result<()> {
    let first = cluster.deploy("first", BUSYBOX, 1);
    fixture.check(&check("the node becomes Ready, and a Deployment runs"), first);
    let (_, pid) = sandbox(cluster, "")?;
    let name = "the sandbox's process is this program, user 65535, without a capability";
    fixture.check(&check(name), check_program(cluster, pid).and_then(|()| check_user(pid, 65535)));
    check_orphans(cluster, fixture, "orphans", json!({}))?;
    check_replacements(cluster, fixture)?;
    cluster.delete("deployment/first")?;
    check_restricted(cluster, fixture)?;

    cluster.create("{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: crun}, handler: crun}")?;
    for (setting, pod, fields) in [
        (", in a user namespace", "mapped", json!({ "hostUsers": false })),
        (", with crun", "crun", json!({ "runtimeClassName": "crun" })),
        (", with crun in a user namespace", "crun-mapped", json!({ "hostUsers": false, "runtimeClassName": "crun" })),
    ] {
        fixture.setting = setting;
        check_orphans(cluster, fixture, pod, fields)?;
    }
    fixture.setting = "";
    let name = "kubeadm's upgrade job completes: the program prints its version for the argument -v";
    fixture.check(&check(name), check_upgrade(cluster));
    Ok(())
}

/// The IDs of all sandboxes, or a pod's, including those that have ended.
pub fn sandbox_ids(shell: &Shell, pod: &str) -> Result<Vec<String>> {
    let mut filter = String::from(r#"labels."io.cri-containerd.kind"==sandbox"#);
    if !pod.is_empty() {
        filter += &format!(r#",labels."io.kubernetes.pod.name"=={pod}"#);
    }
    let ids = cmd!(shell, "ctr --namespace k8s.io containers list --quiet {filter}").quiet().read()?;
    Ok(ids.lines().map(String::from).collect())
}

/// The IDs of running sandboxes, and the PIDs of their processes.
pub fn sandboxes(shell: &Shell, pod: &str) -> Result<Vec<(String, i32)>> {
    let ids = sandbox_ids(shell, pod)?;
    let tasks = cmd!(shell, "ctr --namespace k8s.io tasks list").quiet().read()?;
    let tasks = tasks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let running = tasks.filter(|task| task.last() == Some(&"RUNNING") && ids.iter().any(|id| id == task[0]));
    running.map(|task| Ok((task[0].into(), task[1].parse()?))).collect()
}

fn sandbox(cluster: &Cluster, pod: &str) -> Result<(String, i32)> {
    sandboxes(cluster.shell, pod)?.pop().context("no sandbox is running")
}

pub fn check_program(cluster: &Cluster, pid: i32) -> Result<()> {
    let same = fs::read(format!("/proc/{pid}/exe"))? == fs::read(&cluster.program)?;
    ensure!(same, "a sandbox runs another program");
    Ok(())
}

fn check_user(pid: i32, user: u32) -> Result<()> {
    let status = Process::new(pid)?.status()?;
    let users = [status.ruid, status.euid, status.suid, status.fuid];
    ensure!(users == [user; 4], "its user IDs are {users:?}");
    let sets = [status.capprm, status.capeff, status.capinh, status.capamb.unwrap_or_default()];
    ensure!(sets == [0; 4], "its capabilities are {sets:x?}");
    Ok(())
}

/// Runs a pod whose container makes orphans, with these fields, and checks that they are reaped.
fn check_orphans(cluster: &Cluster, fixture: &mut Fixture, name: &str, mut fields: Value) -> Result<()> {
    fields["shareProcessNamespace"] = true.into();
    let script = format!("for orphan in $(seq {ORPHANS}); do (sleep 3600 &); done; exec sleep 3600");
    fields["containers"] = json!([{ "name": name, "image": BUSYBOX, "command": ["/bin/busybox", "sh", "-c", script] }]);
    cluster.run_pod(name, &fields)?;
    let (_, pid) = sandbox(cluster, name)?;
    pause::wait_until_ready(pid)?;
    let adopted = command::becomes_so(|| Ok(process::children(pid)?.len() == ORPHANS))?;
    let orphans = process::children(pid)?;
    ensure!(adopted, "it has {} children instead of {ORPHANS}", orphans.len());
    Visible(pid).kill(&orphans)?;
    command::within(REAPING, || Ok(process::children(pid)?.is_empty()))?;
    let (rest, zombies) = (process::children(pid)?.len(), process::zombies(pid)?);
    fixture.check(&REAPS, (rest == 0).then_some(()).context(format!("{rest} remain, {zombies} of them zombies")));
    cluster.delete(&format!("pod/{name}"))
}

/// Checks that pods get new sandboxes when theirs die, and keep them when the node's daemons do.
fn check_replacements(cluster: &mut Cluster, fixture: &mut Fixture) -> Result<()> {
    let killed = check_replacement(cluster, "killed", |pid| Ok(kill(pid, Signal::SIGKILL)?));
    fixture.check(&check("after SIGKILL to the sandbox the pod comes back in a new one"), killed);
    let terminated = check_replacement(cluster, "terminated", |pid| Ok(kill(pid, Signal::SIGTERM)?));
    fixture.check(&TERMINATED, terminated);
    let from_inside = check_replacement(cluster, "from-inside", |_| {
        // The namespace, and this command with it, may be gone before kubectl gets an exit status.
        let _: Result<String> = cluster.kubectl("exec from-inside -- /bin/busybox kill -TERM 1");
        Ok(())
    });
    fixture.check(&FROM_INSIDE, from_inside);

    let before = sandboxes(cluster.shell, "")?;
    for (name, signal) in [
        ("the sandboxes and their processes survive a restart of the kubelet", None),
        ("the sandboxes and their processes survive a restart of containerd", Some(Signal::SIGTERM)),
        ("the sandboxes and their processes survive containerd's crash", Some(Signal::SIGKILL)),
    ] {
        match signal {
            None => cluster.node.restart_kubelet(KEEP_IMAGES)?,
            Some(signal) => cluster.node.restart_containerd(signal, REFERENCE)?,
        }
        // The node still starts a new pod.
        cluster.run_pod("later", &json!({}))?;
        cluster.delete("pod/later")?;
        let after = sandboxes(cluster.shell, "")?;
        let all_survive = before.iter().all(|sandbox| after.contains(sandbox));
        fixture.expect(&check(name), all_survive, || format!("{before:?} became {after:?}"));
    }
    cluster.delete("pod killed terminated from-inside")
}

/// Runs a pod whose containers share a PID namespace, ends its sandbox, and checks that it gets a new one.
fn check_replacement(cluster: &Cluster, pod: &str, end: impl FnOnce(Pid) -> Result<()>) -> Result<()> {
    cluster.run_pod(pod, &json!({ "shareProcessNamespace": true }))?;
    let (old, pid) = sandbox(cluster, pod)?;
    pause::wait_until_ready(pid)?;
    end(Pid::from_raw(pid))?;
    let replaced = || Ok(sandboxes(cluster.shell, pod)?.iter().any(|(id, _)| *id != old));
    ensure!(command::becomes_so(replaced)?, "it doesn't get a new sandbox");
    // The pod's condition Ready is out of date for a while. Its container's status isn't.
    let status = "jsonpath={.status.containerStatuses[*].restartCount},{.status.containerStatuses[*].ready}";
    let restarted = || {
        let status = cmd!(cluster.shell, "kubectl get pod/{pod} --output {status}").quiet().read()?;
        Ok(!status.starts_with("0,") && status.ends_with(",true"))
    };
    ensure!(command::becomes_so(restarted)?, "its container doesn't run again");
    Ok(())
}

fn check_restricted(cluster: &Cluster, fixture: &mut Fixture) -> Result<()> {
    cluster.create(include_str!("restricted.yaml"))?;
    let accepted = cluster.wait_for("condition=Ready", "pod/other-user --namespace restricted").and_then(|()| {
        let root = cluster.kubectl(&format!("run root --namespace restricted --image {BUSYBOX}"));
        let Err(refusal) = root else { bail!("a pod with more privileges runs") };
        ensure!(refusal.to_string().contains("violates PodSecurity"), "refused for another reason: {refusal}");
        Ok(())
    });
    let name = "a namespace with Pod Security \"restricted\" runs a pod, and refuses one that asks for more privileges";
    fixture.check(&check(name), accepted);
    let name = "a pod's runAsUser replaces the image's user for the sandbox as well";
    fixture.check(&check(name), check_user(sandbox(cluster, "other-user")?.1, 1000));
    let name = "a namespace with Pod Security \"restricted\" runs the image as a plain container, under runAsNonRoot";
    fixture.check(&check(name), cluster.wait_for("condition=Ready", "pod/plain --namespace restricted"));
    cluster.delete("namespace/restricted")
}

fn check_upgrade(cluster: &Cluster) -> Result<()> {
    let job = "job/upgrade-health-check --namespace kube-system";
    cluster.create(include_str!("upgrade-health-check.yaml"))?;
    cluster.wait_for("condition=Complete", job)?;
    let output = cluster.kubectl(&format!("logs {job}"))?;
    cluster.delete(job)?;
    pause::check_version(output.trim_end())
}
