//! CRI-O, through Kubernetes' container runtime interface.

use super::cri::{self, SEPARATE, SETUP, SHARED, field};
use super::registry::read_json;
use crate::busybox::{self, BUSYBOX};
use crate::command::{self, read};
use crate::host::{Check, Fixture, Host, Programs, check, host};
use crate::images::{LINK, LINKED, REFERENCE};
use crate::pause;
use crate::recipe::{GOES_BACK, INSTALLS, Page};
use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::{image, platform};

pub const HOST: Host = Host {
    absent_from: &[("bookworm", "has a crun that is too old for CRI-O")],
    programs: Some(Programs {
        option: "--cri-o",
        names: &[("crio", "crio version "), ("pinns", "")],
        place: "/usr/bin",
        source: "the archive of CRI-O 1.36 (https://github.com/cri-o/cri-o/releases)",
    }),
    ..host(
        "cri-o",
        "CRI-O, with crun",
        &["conmon", "crun", "containernetworking-plugins", "skopeo", cri::PACKAGES[0], cri::PACKAGES[1]],
        &["crio --version", "crun --version"],
        checks,
    )
};

const PINNED: Check = check("the kubelet sees the image as pinned");
const DROPPED: Check = check("by default, a pod has its process only if its containers share a PID namespace");
const COMMAND: Check = check("a reload applies pause_command, which replaces the image's entrypoint");
const KEPT: Check = check("with drop_infra_ctr = false, every pod has its process");

fn checks(fixture: &mut Fixture) -> Result<()> {
    let (shell, page) = (fixture.shell, Page::of_host(fixture.repository, "cri-o")?);
    read(cmd!(shell, "sh -ec {SETUP} crio"))?;
    copy(shell, Path::new(busybox::pack(shell)?), BUSYBOX)?;
    fixture.check(&INSTALLS, page.install(shell, cri::renew_sandbox));
    let image = cri::find_image(REFERENCE)?;
    fixture.expect(&PINNED, matches!(image, Some((_, true))), || format!("its ID and pin are {image:?}"));

    let (sandbox, pid) = run_sandbox(shell, "first", SHARED)?;
    cri::check_reaping(fixture, (&sandbox, pid), "first")?;
    let begin = Instant::now();
    cri::stop_sandbox(&sandbox)?;
    let duration = begin.elapsed();
    let state = format!("/var/lib/containers/storage/overlay-containers/{sandbox}/userdata/state.json");
    let status = || Ok(read_json(&state)?["exitCode"].as_i64().and_then(|status| status.try_into().ok()));
    command::becomes_so(|| status().map(|status| status.is_some()))?;
    let log = fs::read_to_string(format!("/var/log/crio/pods/{sandbox}/{sandbox}.log"))?;
    // Each line begins with the time and the stream.
    pause::check_stop(fixture, duration, status()?, log.rsplit(" F ").next().unwrap_or_default());

    fixture.check(&DROPPED, check_processes(shell, false));
    let linked = Path::new("dist").join(LINKED).join(image::air_gap_archive(platform::native()?));
    copy(shell, &linked, "localhost/pause:linked")?;
    let setting = "/etc/crio/crio.conf.d/99-pod.conf"; // CRI-O reads it after the page's file
    let pod = format!("[crio.image]\npause_image = 'localhost/pause:linked'\npause_command = '/{LINK}'\n");
    fs::write(setting, pod)?;
    read(cmd!(shell, "systemctl reload crio"))?;
    let (_, pid) = run_sandbox(shell, "linked", SHARED)?;
    let program = || Ok(fs::read_link(format!("/proc/{pid}/exe"))? == Path::new("/").join(LINK));
    fixture.expect(&COMMAND, command::becomes_so(program)?, || "it is another program".into());
    fs::write(setting, "[crio.runtime]\ndrop_infra_ctr = false\n")?;
    read(cmd!(shell, "systemctl restart crio"))?;
    fixture.check(&KEPT, check_processes(shell, true));
    fs::remove_file(setting)?;
    fixture.check(&GOES_BACK, page.go_back(shell, cri::renew_sandbox));
    Ok(())
}

fn copy(shell: &Shell, archive: &Path, name: &str) -> Result<()> {
    read(cmd!(shell, "skopeo copy --quiet oci-archive:{archive} containers-storage:{name}")).map(drop)
}

/// Runs a pod sandbox. Returns its ID and the PID of its process, 0 if it has none.
fn run_sandbox(shell: &Shell, name: &str, pids: i32) -> Result<(String, i32)> {
    let id = cri::run_sandbox(name, pids)?;
    let status = read(cmd!(shell, "crio status containers --id {id}"))?;
    Ok((id, field(&status, "pid").parse()?))
}

/// Checks which pods have a process: those with a shared PID namespace, or all.
fn check_processes(shell: &Shell, all: bool) -> Result<()> {
    cri::renew_sandbox()?;
    for (name, pids, expected) in [("shared", SHARED, true), ("separate", SEPARATE, all)] {
        let (_, pid) = run_sandbox(shell, name, pids)?;
        let runs = pause::wait_until_ready(pid).is_ok();
        ensure!(runs == expected, "in a pod with a {name} namespace, it has the PID {pid}");
    }
    Ok(())
}
