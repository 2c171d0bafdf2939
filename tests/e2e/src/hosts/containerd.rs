//! containerd: by hand with ctr, and through Kubernetes' container runtime interface.

use super::cri::{
    Client, ContainerConfig, ContainerMetadata, CreateContainerRequest, CreateContainerResponse, Done, ExecSyncRequest,
    ExecSyncResponse, ImageRequest, ImageSpec, ImageStatusResponse, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, ListPodSandboxRequest,
    ListPodSandboxResponse, NamespaceMode, NamespaceOption, PodSandbox, PodSandboxConfig, PodSandboxMetadata,
    PodSandboxState, PodSandboxStatusRequest, PodSandboxStatusResponse, RunPodSandboxRequest, RunPodSandboxResponse,
    StartContainerRequest, StopPodSandboxRequest,
};
use crate::busybox::{self, BUSYBOX, MAKE_ORPHANS};
use crate::command::{self, Foreground, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::REFERENCE;
use crate::pause;
use crate::recipe::{INSTALL, Page};
use anyhow::{Context, Result, ensure};
use mutants::DEAF;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::{note, seccomp};

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

/// Files of the sandbox. Its programs come before the host's own in PATH.
const FILES: [(&str, &str); 3] = [
    ("/etc/cni/net.d/pods.conflist", NETWORK),
    ("/usr/local/sbin/runc", RUNC),
    ("/usr/local/sbin/systemctl", SYSTEMCTL),
];

/// runc for a machine whose root may not lower an OOM score (CAP_SYS_RESOURCE).
const RUNC: &str = r#"#!/bin/sh
for bundle; do
    if [ -f "$bundle/config.json" ]; then
        sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
    fi
done
exec /usr/sbin/runc "$@"
"#;

/// `systemctl restart containerd` without systemd.
const SYSTEMCTL: &str = "#!/bin/sh
busybox killall -q containerd
while busybox pidof containerd; do sleep 0.1; done >/dev/null
containerd >>/tmp/containerd.log 2>&1 &
while kill -0 $!; do
    ctr --connect-timeout 1s version && exit
    sleep 0.1
done >/dev/null 2>&1
tail /tmp/containerd.log >&2
exit 1
";

const CONFIG: &str = "/etc/containerd/config.toml";

/// A setting that every recipe has to keep.
const KEPT: &str = "max_concurrent_downloads = 7";

/// Contents of `config.toml` that name another image, for each version of its format.
fn naming_another_image() -> [String; 3] {
    let [cri, images] = ["plugins.\"io.containerd.grpc.v1.cri\"", "plugins.'io.containerd.cri.v1.images'"];
    [
        format!("[plugins.cri]\n  sandbox_image = \"example/pause:1\"\n  {KEPT}\n"),
        format!("version = 2\n[{cri}]\n  sandbox_image = \"example/pause:1\"\n  {KEPT}\n"),
        format!("version = 3\n[{images}]\n{KEPT}\n[{images}.pinned_images]\nsandbox = 'example/pause:1'\n"),
    ]
}

const RECIPE: Check = Check {
    name: "whatever config.toml is, the page's recipe sets the image, keeps the rest, may be repeated, and goes back",
    broken_by: &[],
};
const PINNED: Check = Check { name: "the kubelet sees the image as pinned, from containerd 1.6.22 on", broken_by: &[] };

fn checks(scene: &mut Scene) -> Result<()> {
    let (shell, archive, busybox) = (scene.shell, scene.archive, busybox::pack()?);
    let page = Page::of_host(scene.repository, "containerd-2")?;
    let debian = fs::read_to_string(CONFIG)?;
    start(shell)?;
    let repeated = page.is_in_readme(scene.repository);
    scene.check(&RECIPE, repeated.and_then(|()| follow_from_everywhere(shell, &page, &debian)));
    fs::write(CONFIG, debian)?;
    page.apply(shell, INSTALL)?;
    let client = connect()?;
    let image = ImageSpec { image: REFERENCE.into() };
    let status: ImageStatusResponse = client.ask_images("ImageStatus", ImageRequest { image: Some(image) })?;
    let pinned = status.image.context("the image is missing")?.pinned;
    let pins = !read(cmd!(shell, "containerd --version"))?.contains(" 1.6.20");
    scene.check(&PINNED, (pinned == pins).then_some(()).with_context(|| format!("pinned: {pinned}")));
    for (namespace, archive) in [("default", archive), ("k8s.io", Path::new(busybox))] {
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

/// Follows the page from each `config.toml` that a node may have.
fn follow_from_everywhere(shell: &Shell, page: &Page, debian: &str) -> Result<()> {
    let default = read(cmd!(shell, "containerd config default"))?;
    let [first, second, third] = naming_another_image();
    follow(shell, page, None).context("without config.toml")?;
    follow(shell, page, Some(debian)).context("with Debian's config.toml")?;
    follow(shell, page, Some(&default)).context("with the default config.toml")?;
    follow(shell, page, Some(&second)).context("with a file of version 2")?;
    // containerd 1 doesn't know version 3, and containerd 2 ignores what version 1 has of its CRI.
    if default.lines().any(|line| line == "version = 2") {
        refuse(shell, page, &first).context("with a file of version 1")
    } else {
        follow(shell, page, Some(&third)).context("with a file of version 3")
    }
}

fn follow(shell: &Shell, page: &Page, content: Option<&str>) -> Result<()> {
    match content {
        Some(content) => fs::write(CONFIG, content)?,
        None => fs::remove_dir_all("/etc/containerd")?,
    }
    read(cmd!(shell, "systemctl restart containerd"))?;
    let dump = || read(cmd!(shell, "containerd config dump"));
    page.install(shell, renew_sandbox)?;
    let keeps = content.is_none_or(|content| !content.contains(KEPT)) || dump()?.contains(KEPT);
    ensure!(keeps, "another setting is gone");
    let installed = fs::read_to_string(CONFIG)?;
    page.apply(shell, INSTALL)?;
    ensure!(fs::read_to_string(CONFIG)? == installed, "applied twice, it leaves another file");
    page.go_back(shell, renew_sandbox)?;
    ensure!(dump()?.contains("registry.k8s.io/pause:"), "the default image is not back");
    let containers = read(cmd!(shell, "ctr --namespace k8s.io containers list"))?;
    ensure!(!containers.contains(REFERENCE), "a new pod has the image still");
    Ok(())
}

fn refuse(shell: &Shell, page: &Page, content: &str) -> Result<()> {
    fs::write(CONFIG, content)?;
    ensure!(page.apply(shell, INSTALL).is_err(), "the installation does not fail");
    ensure!(fs::read_to_string(CONFIG)? == content, "the installation changes it");
    Ok(())
}

/// Replaces all pod sandboxes by a new one, if there is an image for it.
fn renew_sandbox() -> Result<()> {
    let client = connect()?;
    let ListPodSandboxResponse { items } = client.ask("ListPodSandbox", ListPodSandboxRequest {})?;
    for PodSandbox { id, .. } in items {
        for method in ["StopPodSandbox", "RemovePodSandbox"] {
            let _: Done = client.call(method, StopPodSandboxRequest { pod_sandbox_id: id.clone() })?;
        }
    }
    if let Err(error) = run_sandbox(&client, "page") {
        note!("{error:#}");
    }
    Ok(())
}

/// Starts containerd with the `config.toml` that is there.
///
/// # Errors
/// Where it does not come up.
pub fn start(shell: &Shell) -> Result<()> {
    for (file, content) in FILES {
        let path = Path::new(file);
        fs::create_dir_all(path.parent().context("a file in a directory")?)?;
        fs::write(path, content)?;
        fs::set_permissions(path, Permissions::from_mode(0o755))?;
    }
    // Where containerd looks for CNI plugins unless Debian's configuration says otherwise.
    fs::create_dir_all("/opt/cni")?;
    symlink("/usr/lib/cni", "/opt/cni/bin")?;
    read(cmd!(shell, "systemctl restart containerd"))?;
    Ok(())
}

/// Connects to containerd, once it serves Kubernetes. It serves others before.
fn connect() -> Result<Client> {
    let pods = |client: &Client| client.ask::<_, ListPodSandboxResponse>("ListPodSandbox", ListPodSandboxRequest {});
    let mut client = Client::connect(SOCKET)?;
    command::becomes_so(|| {
        client = Client::connect(SOCKET)?;
        Ok(pods(&client).is_ok())
    })?;
    Ok(client)
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
    daemon.wait_until_up(|| connect().is_ok())?;
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
