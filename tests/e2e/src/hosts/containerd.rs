//! containerd: by hand with ctr, and through Kubernetes' container runtime interface.

use super::cri::{
    Client, ContainerConfig, ContainerMetadata, CreateContainerRequest, CreateContainerResponse, Done, ExecSyncRequest,
    ExecSyncResponse, ImageSpec, LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, ListPodSandboxRequest, ListPodSandboxResponse, NamespaceMode, NamespaceOption,
    PodSandboxConfig, PodSandboxMetadata, PodSandboxState, PodSandboxStatusRequest, PodSandboxStatusResponse,
    RunPodSandboxRequest, RunPodSandboxResponse, StartContainerRequest, StopPodSandboxRequest,
};
use crate::busybox::{self, BUSYBOX, MAKE_ORPHANS};
use crate::command::{self, Foreground, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::REFERENCE;
use crate::pause;
use anyhow::{Context, Result, ensure};
use mutants::DEAF;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::seccomp;

/// One row of the table.
pub const HOST: Host = Host {
    name: "containerd",
    title: "containerd, with its CRI",
    packages: &["containerd", "runc", "containernetworking-plugins"],
    absent_from: &[],
    crates: &[],
    version: &[&["containerd", "--version"]],
    stand_ins: STAND_INS,
    checks,
};

/// Where it serves.
pub const SOCKET: &str = "/run/containerd/containerd.sock";

const NOT_READY: Check =
    Check { name: "SIGTERM to the sandbox's process makes the pod sandbox NotReady", broken_by: &[&DEAF] };
const STOPPED: Check = Check { name: "StopPodSandbox stops a pod sandbox whose process runs", broken_by: &[] };

/// The pods' network: an address each, and no way out.
const NETWORK: &str = r#"{
    "cniVersion": "0.4.0", "name": "pods", "plugins": [{
        "type": "bridge", "bridge": "pods", "ipam": { "type": "host-local", "subnet": "10.99.0.0/24" }
    }]
}"#;

const SCORE: &str = "# Lowering a score needs CAP_SYS_RESOURCE, which a virtual machine's root may lack.
restrict_oom_score_adj = true";

fn configuration() -> String {
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{REFERENCE}"
{SCORE}
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
"#
    )
}

fn checks(scene: &mut Scene) -> Result<()> {
    let (shell, archive, busybox) = (scene.shell, scene.archive, busybox::pack()?);
    let _daemon = start(shell)?;
    // Kubernetes has a namespace of its own for its images.
    for (namespace, archive) in [("default", archive), ("k8s.io", archive), ("k8s.io", Path::new(busybox))] {
        read(cmd!(shell, "ctr --namespace {namespace} images import {archive}"))?;
    }

    let profile = archive.with_file_name(seccomp::FILE);
    let confined = cmd!(shell, "ctr run --seccomp --seccomp-profile {profile}");
    let run = confined.args(["--pid-file", "/tmp/pause.pid", REFERENCE, "pause"]);
    let mut container = Foreground::start(run, "pause")?;
    pause::wait_until_ready(container.pid(Path::new("/tmp/pause.pid"))?)?;
    let begin = Instant::now();
    read(cmd!(shell, "ctr task kill --signal SIGTERM pause"))?;
    let status = container.wait()?;
    pause::check_stop(scene, begin.elapsed(), status, &container.log()?);
    if status.is_none() {
        read(cmd!(shell, "ctr task kill --signal SIGKILL pause"))?;
    }

    let client = Client::connect(SOCKET)?;
    let (sandbox, pid) = run_sandbox(&client, "first")?;
    let container = run_container(&client, &sandbox)?;
    pause::check_reaping(scene, pid, || {
        let cmd = MAKE_ORPHANS.map(String::from).to_vec();
        let done: ExecSyncResponse =
            client.call("ExecSync", ExecSyncRequest { container_id: container, cmd, timeout: 10 })?;
        ensure!(done.exit_code == 0, "making orphans failed: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    })?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    let not_ready = command::becomes_so(|| Ok(state(&client, &sandbox)? == PodSandboxState::NotReady))?;
    scene.check(&NOT_READY, not_ready.then_some(()).context("it is Ready still"));

    // StopPodSandbox sends SIGKILL.
    let (sandbox, _) = run_sandbox(&client, "second")?;
    let _: Done = client.call("StopPodSandbox", StopPodSandboxRequest { pod_sandbox_id: sandbox.clone() })?;
    let state = state(&client, &sandbox)?;
    scene.check(&STOPPED, (state == PodSandboxState::NotReady).then_some(()).context("it is Ready still"));
    Ok(())
}

/// Starts containerd.
///
/// # Errors
/// Where it does not come up.
pub fn start(shell: &Shell) -> Result<Foreground> {
    fs::create_dir_all("/etc/cni/net.d")?;
    fs::write("/etc/cni/net.d/pods.conflist", NETWORK)?;
    fs::write("/etc/containerd/config.toml", configuration())?;
    let daemon = Foreground::start(cmd!(shell, "containerd"), "containerd")?;
    daemon.wait_until_up(|| command::succeeds(cmd!(shell, "ctr version")))?;
    Ok(daemon)
}

/// Starts containerd 2 with its own setting of the sandbox image, and what else is set.
///
/// # Errors
/// Where it does not come up.
pub fn start_version_2(shell: &Shell, sandbox_image: &str, rest: &str) -> Result<Foreground> {
    let content = format!(
        "version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{sandbox_image}'
[plugins.'io.containerd.cri.v1.runtime']
{SCORE}
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/usr/lib/cni']
{rest}"
    );
    fs::write("/etc/containerd/config.toml", content)?;
    let daemon = Foreground::start(cmd!(shell, "containerd"), "containerd")?;
    // It serves others before it serves Kubernetes.
    daemon.wait_until_up(|| {
        let pods = |client: Client| client.ask::<_, ListPodSandboxResponse>("ListPodSandbox", ListPodSandboxRequest {});
        Client::connect(SOCKET).and_then(pods).is_ok()
    })?;
    Ok(daemon)
}

/// What containerd is told of a pod whose containers share a PID namespace.
fn pod(name: &str) -> PodSandboxConfig {
    let metadata = PodSandboxMetadata { name: name.into(), uid: name.into(), namespace: "default".into() };
    let security_context = LinuxSandboxSecurityContext { namespace_options: Some(shared()) };
    PodSandboxConfig {
        metadata: Some(metadata),
        linux: Some(LinuxPodSandboxConfig { security_context: Some(security_context) }),
    }
}

fn shared() -> NamespaceOption {
    NamespaceOption { pid: NamespaceMode::Pod.into() }
}

/// Runs a pod sandbox. Returns its name and the number of its process.
fn run_sandbox(client: &Client, name: &str) -> Result<(String, i32)> {
    let RunPodSandboxResponse { pod_sandbox_id } =
        client.call("RunPodSandbox", RunPodSandboxRequest { config: Some(pod(name)) })?;
    let info: Value = serde_json::from_str(status(client, &pod_sandbox_id)?.info.get("info").context("verbose")?)?;
    let pid = info["pid"].as_i64().context("containerd does not say which process the sandbox is")?;
    Ok((pod_sandbox_id, pid.try_into()?))
}

/// Runs the small container in a pod. Returns its name.
fn run_container(client: &Client, sandbox: &str) -> Result<String> {
    let security_context = LinuxContainerSecurityContext { namespace_options: Some(shared()) };
    let config = ContainerConfig {
        metadata: Some(ContainerMetadata { name: "busybox".into() }),
        image: Some(ImageSpec { image: BUSYBOX.into() }),
        linux: Some(LinuxContainerConfig { security_context: Some(security_context) }),
    };
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.into(),
        config: Some(config),
        sandbox_config: Some(pod("first")),
    };
    let CreateContainerResponse { container_id } = client.call("CreateContainer", request)?;
    let _: Done = client.call("StartContainer", StartContainerRequest { container_id: container_id.clone() })?;
    Ok(container_id)
}

fn state(client: &Client, sandbox: &str) -> Result<PodSandboxState> {
    Ok(status(client, sandbox)?.status.context("containerd knows no status")?.state())
}

fn status(client: &Client, sandbox: &str) -> Result<PodSandboxStatusResponse> {
    client.ask("PodSandboxStatus", PodSandboxStatusRequest { pod_sandbox_id: sandbox.into(), verbose: true })
}
