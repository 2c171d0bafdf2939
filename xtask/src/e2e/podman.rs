//! podman: the infra container of a pod.

use super::common::{self, BUSYBOX, MAKE_ORPHANS};
use super::{Host, REFERENCE, Scene, read, read_errors};
use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};
use xshell::{Shell, cmd};

/// One row of the table.
pub const HOST: Host = Host {
    name: "podman",
    packages: &[("podman", "podman"), ("crun", "crun"), ("/usr/lib/cni/bridge", "containernetworking-plugins")],
    version: &["podman", "--version"],
    checks,
};

/// How long `podman pod stop` waits before it kills, unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// What podman reads, and a machine with systemd would have otherwise.
const CONFIGURATION: [(&str, &str); 3] = [
    ("/etc/containers/policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#),
    (
        "/etc/containers/containers.conf",
        "[containers]\nlog_driver = \"k8s-file\"\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"crun\"\n",
    ),
    // An overlay on the sandbox's overlay is more than some kernels take.
    (
        "/etc/containers/storage.conf",
        "[storage]\ndriver = \"vfs\"\nrunroot = \"/run/containers\"\ngraphroot = \"/var/lib/containers\"\n",
    ),
];

fn checks(scene: &mut Scene) -> Result<()> {
    let (shell, archive, busybox) = (scene.shell, scene.archive, common::busybox()?);
    for (file, content) in CONFIGURATION {
        fs::write(file, content)?;
    }
    read(cmd!(shell, "podman load --quiet --input {archive}"))?;
    read(cmd!(shell, "podman load --quiet --input {busybox}"))?;

    read(cmd!(shell, "podman pod create --name pod --share pid,net,ipc,uts --infra-image {REFERENCE}"))?;
    read(cmd!(shell, "podman run --detach --pod pod --name container {BUSYBOX}"))?;
    let infra = inspect(shell, &["pod", "inspect"], "InfraContainerID", "pod")?;
    let pause = inspect(shell, &["inspect"], "State.Pid", &infra)?.parse().context("podman names no process")?;
    common::check_reaping(scene, pause, || {
        read(cmd!(shell, "podman exec container {MAKE_ORPHANS...}"))?;
        Ok(())
    })?;

    let begin = Instant::now();
    read(cmd!(shell, "podman pod stop pod"))?;
    let duration = begin.elapsed();
    let status = inspect(shell, &["inspect"], "State.ExitCode", &infra)?.parse().ok();
    let log = read_errors(cmd!(shell, "podman logs {infra}"))?;
    common::check_stop(scene, duration, GRACE, status, &log);
    Ok(())
}

/// What podman knows of a pod or a container.
fn inspect(shell: &Shell, command: &[&str], field: &str, name: &str) -> Result<String> {
    let format = format!("{{{{.{field}}}}}");
    read(cmd!(shell, "podman {command...} --format {format} {name}"))
}
