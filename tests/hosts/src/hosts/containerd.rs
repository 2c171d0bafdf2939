//! containerd: with ctr, and through Kubernetes' container runtime interface.

use super::cri::{self, SETUP, SHARED};
use crate::busybox;
use crate::command::{self, Daemon, read};
use crate::host::{Check, DEAFNESS, Fixture, Host, broken_by, check, host};
use crate::images::REFERENCE;
use crate::pause;
use crate::recipe::{INSTALL, Page};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::seccomp;

pub const CONTAINERD: Host = host(
    "containerd",
    "containerd, with its CRI",
    &["containerd", "runc", "containernetworking-plugins", cri::PACKAGES[0], cri::PACKAGES[1]],
    &["containerd --version"],
    checks,
);

const NOT_READY: Check = broken_by(DEAFNESS, "SIGTERM to the sandbox's process makes the pod sandbox NotReady");
const STOPPED: Check = check("StopPodSandbox stops a pod sandbox whose process runs");
const RECIPE: Check =
    check("from any config.toml, the page's recipe sets the image, keeps the rest, can be repeated, and goes back");
const PINNED: Check = check("the kubelet sees the image as pinned, from containerd 1.6.22 on");

pub const CONFIG: &str = "/etc/containerd/config.toml";

/// Settings that the recipe must keep.
const KEPT: &str = "max_concurrent_downloads = 7";
const OTHER_TABLE: &str = "[plugins.'io.containerd.example.v1.example']\nsandbox_image = 'kept'\nsandbox = 'kept'\n";

/// Contents of `config.toml` that name another image, for each version of its format.
fn naming_another_image() -> [String; 3] {
    let [cri, images] = ["plugins.\"io.containerd.grpc.v1.cri\"", "plugins.'io.containerd.cri.v1.images'"];
    let image = "'example/pause:1'";
    [
        format!("[plugins.cri]\n  sandbox_image = {image}\n  {KEPT}\n"),
        format!("version = 2 # not 3\n{OTHER_TABLE}[{cri}]\n  sandbox_image = {image}\n  {KEPT}\n"),
        format!("version = 3 # not 2\n[{images}]\n{KEPT}\n[{images}.pinned_images]\nsandbox = {image}\n{OTHER_TABLE}"),
    ]
}

fn checks(fixture: &mut Fixture) -> Result<()> {
    let (shell, archive, busybox) = (fixture.shell, fixture.archive, busybox::pack(fixture.shell)?);
    let page = Page::of_host(fixture.repository, "containerd-2")?;
    let debian = fs::read_to_string(CONFIG)?;
    start(shell)?;
    let repeated = page.is_in_readme(fixture.repository);
    fixture.check(&RECIPE, repeated.and_then(|()| follow_from_everywhere(shell, &page, &debian)));
    fs::write(CONFIG, debian)?;
    page.apply(shell, INSTALL)?;
    cri::wait_until_served()?;
    let image = cri::find_image(REFERENCE)?;
    let pins = !read(cmd!(shell, "containerd --version"))?.contains(" 1.6.20");
    let is_right = image.as_ref().is_some_and(|&(_, pinned)| pinned == pins);
    fixture.expect(&PINNED, is_right, || format!("its ID and pin are {image:?}"));
    for (namespace, archive) in [("default", archive), ("k8s.io", Path::new(busybox))] {
        read(cmd!(shell, "ctr --namespace {namespace} images import {archive}"))?;
    }

    let profile = archive.with_file_name(seccomp::FILE);
    let run = cmd!(shell, "ctr run --seccomp --seccomp-profile {profile} {REFERENCE} pause");
    let mut container = Daemon::start(run, "pause")?;
    container.wait_until_up(|| pid(shell, "default", "pause").is_ok())?;
    pause::wait_until_ready(pid(shell, "default", "pause")?)?;
    let begin = Instant::now();
    read(cmd!(shell, "ctr task kill --signal SIGTERM pause"))?;
    let status = container.wait()?;
    pause::check_stop(fixture, begin.elapsed(), status, &container.log()?);
    if status.is_none() {
        read(cmd!(shell, "ctr task kill --signal SIGKILL pause"))?;
    }

    let (sandbox, pid) = run_sandbox(shell, "first")?;
    cri::check_reaping(fixture, (&sandbox, pid), "first")?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    let not_ready = command::becomes_so(|| Ok(!cri::is_ready(&sandbox)?))?;
    fixture.expect(&NOT_READY, not_ready, || "it is still Ready".into());

    // StopPodSandbox sends SIGKILL.
    let (sandbox, _) = run_sandbox(shell, "second")?;
    cri::stop_sandbox(&sandbox)?;
    let is_ready = cri::is_ready(&sandbox)?;
    fixture.expect(&STOPPED, !is_ready, || "it is still Ready".into());
    Ok(())
}

/// Follows the page from each `config.toml` that a node may have.
fn follow_from_everywhere(shell: &Shell, page: &Page, debian: &str) -> Result<()> {
    let default = read(cmd!(shell, "containerd config default"))?;
    let [first, second, third] = naming_another_image();
    follow(shell, page, None).context("without config.toml")?;
    let mut contents = vec![debian, &default, &second];
    // containerd 1 doesn't know version 3, and containerd 2 ignores the CRI settings of version 1.
    if default.lines().any(|line| line == "version = 2") {
        fs::write(CONFIG, &first)?;
        ensure!(page.apply(shell, INSTALL).is_err(), "the installation succeeds with a file of version 1");
        ensure!(fs::read_to_string(CONFIG)? == first, "the installation changes a file of version 1");
    } else {
        contents.push(&third);
    }
    contents.into_iter().try_for_each(|content| {
        follow(shell, page, Some(content)).with_context(|| format!("with the config.toml\n{content}"))
    })
}

fn follow(shell: &Shell, page: &Page, content: Option<&str>) -> Result<()> {
    match content {
        Some(content) => fs::write(CONFIG, content)?,
        None => fs::remove_dir_all("/etc/containerd")?,
    }
    read(cmd!(shell, "systemctl restart containerd"))?;
    let dump = || read(cmd!(shell, "containerd config dump"));
    page.install(shell, cri::renew_sandbox)?;
    let installed = fs::read_to_string(CONFIG)?;
    let content = content.unwrap_or_default();
    ensure!(!content.contains(KEPT) || dump()?.contains(KEPT), "another setting is gone");
    ensure!(!content.contains(OTHER_TABLE) || installed.contains(OTHER_TABLE), "another table has changed");
    page.apply(shell, INSTALL)?;
    ensure!(fs::read_to_string(CONFIG)? == installed, "applied twice, it leaves another file");
    page.go_back(shell, cri::renew_sandbox)?;
    ensure!(dump()?.contains("registry.k8s.io/pause:"), "the default image is not back");
    let containers = read(cmd!(shell, "ctr --namespace k8s.io containers list"))?;
    ensure!(!containers.contains(REFERENCE), "a new pod still has the image");
    Ok(())
}

/// Starts containerd with the `config.toml` that is there.
pub fn start(shell: &Shell) -> Result<()> {
    read(cmd!(shell, "sh -ec {SETUP} containerd")).map(drop)
}

/// Starts containerd 2 with this sandbox image, and more settings.
pub fn start_version_2(shell: &Shell, sandbox_image: &str, rest: &str) -> Result<Daemon> {
    let content = format!(
        "version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{sandbox_image}'
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true # this machine's root may lack CAP_SYS_RESOURCE
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/usr/lib/cni']
{rest}"
    );
    fs::write(CONFIG, content)?;
    let daemon = Daemon::start(cmd!(shell, "containerd"), "containerd")?;
    daemon.wait_until_up(|| cri::wait_until_served().is_ok())?;
    Ok(daemon)
}

/// Runs a pod sandbox. Returns its ID and the PID of its process.
pub fn run_sandbox(shell: &Shell, name: &str) -> Result<(String, i32)> {
    let id = cri::run_sandbox(name, SHARED)?;
    Ok((id.clone(), pid(shell, "k8s.io", &id)?))
}

/// PID of a container's process.
pub fn pid(shell: &Shell, namespace: &str, container: &str) -> Result<i32> {
    let list = cmd!(shell, "ctr --namespace {namespace} tasks list").quiet().read()?;
    let mut rows = list.lines().filter_map(|line| line.strip_prefix(container)?.split_whitespace().next());
    Ok(rows.next().context("it has no task")?.parse()?)
}
