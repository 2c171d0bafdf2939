//! crun, runc and youki: a bundle unpacked from the image, locked up as tightly as a runtime can.

use crate::busybox::{self, MAKE_ORPHANS};
use crate::command::{Foreground, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::{self, LINK};
use crate::pause;
use crate::recipe::{BACK, CHECK, ENDS, INSTALL, INSTALLS, Page};
use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use procfs::process::Process;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::seccomp::{self, Profile};
use xtask::{image, platform};

/// One row of the table.
pub const CRUN: Host = Host {
    name: "crun",
    title: "crun",
    packages: &["crun", "skopeo", "umoci"],
    absent_from: &[],
    crates: &[],
    version: &[&["crun", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| checks(scene, &Runtime { program: "crun", ..PLAIN }),
};
/// One row of the table.
pub const RUNC: Host = Host {
    name: "runc",
    title: "runc",
    packages: &["runc", "skopeo", "umoci"],
    absent_from: &[],
    crates: &[],
    version: &[&["runc", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| checks(scene, &Runtime { program: "runc", ..PLAIN }),
};
/// One row of the table.
pub const YOUKI: Host = Host {
    name: "youki",
    title: "youki",
    packages: &["skopeo", "umoci"],
    absent_from: &[],
    crates: &[("youki", "v1,v2,seccomp")],
    version: &[&["youki", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| {
        // What it calls: `container_init_process` in
        // <https://github.com/youki-dev/youki/blob/v0.7.0/crates/libcontainer/src/process/init/process.rs>
        let calls = &["sendmsg", "accept4", "recvfrom", "socket", "connect"];
        // How it ends: `handle_foreground` in
        // <https://github.com/youki-dev/youki/blob/v0.7.0/crates/youki/src/commands/run.rs>
        checks(scene, &Runtime { program: "youki", page: "youki", calls, killed: (&KILLED, Signal::SIGKILL as i32) })
    },
};

/// A runtime.
struct Runtime {
    program: &'static str,
    /// Its page.
    page: &'static str,
    /// What it calls once the filter is loaded, and the profile that ships does not allow.
    calls: &'static [&'static str],
    /// What its exit status is where the program was killed.
    killed: (&'static Check, i32),
}

/// Most runtimes.
const PLAIN: Runtime =
    Runtime { program: "", page: "crun-runc", calls: &[], killed: (&KILL, 128 + Signal::SIGKILL as i32) };

/// The tightest that it runs in.
pub const LOCKED: Check = Check {
    name: "it runs as user 65535, without capabilities or new privileges, and needs what its seccomp profile allows",
    broken_by: &[],
};
/// It ends by itself on this signal, too.
pub const INTERRUPT: Check = Check { name: "its exit status is 0 after SIGINT", broken_by: &[] };
const KILL: Check = Check { name: "its exit status is 137 after SIGKILL", broken_by: &[] };
const KILLED: Check = Check { name: "its exit status is SIGKILL's number after SIGKILL", broken_by: &[] };
const LINKED: Check =
    Check { name: "the archive for an air-gapped node has it under a second name, which runs", broken_by: &[] };

/// A call that the profile allows, and the program's exit status if it didn't.
pub const MISSED: (&str, i32) = ("rt_sigaction", 2);

fn checks(scene: &mut Scene, runtime: &Runtime) -> Result<()> {
    let Runtime { program: runtime, page, calls, killed: (killed, status_if_killed) } = *runtime;
    let (shell, busybox) = (scene.shell, busybox::pack()?);
    let mut profile: Profile = serde_json::from_slice(&fs::read(scene.archive.with_file_name(seccomp::FILE))?)?;
    // The last of its rules is for a runtime that starts the program.
    let start = profile.syscalls.last_mut().context("a profile has rules")?;
    start.names.extend(calls.iter().map(|call| call.to_string()));
    let page = Page::of_host(scene.repository, page)?.replace("crun ", &format!("{runtime} "));
    let other = renamed(&page, &format!("docker-archive:{busybox}"), OTHER);
    let failed = page.check_fails(shell);
    page.apply(shell, INSTALL)?;
    other.apply(shell, INSTALL)?;
    let (missed, expected) = MISSED;
    edit(BUNDLE, |config| lock_up(config, &profile.without(missed)))?;
    let status = Foreground::start(page.command(shell, "")?, "confined")?.wait()?;
    let is_missed = status == Some(expected);
    // Any other call kills it.
    let strict = Profile { default_action: "SCMP_ACT_KILL_PROCESS".into(), ..profile };
    edit(BUNDLE, |config| lock_up(config, &strict))?;

    let (mut container, pid) = run(shell, runtime, &page, "pause")?;
    scene.check(&INSTALLS, failed.and_then(|()| page.apply(shell, CHECK)).map(drop));
    pause::wait_until_ready(pid)?;
    let status = Process::new(pid)?.status()?;
    let locked =
        status.euid == 65535 && status.capeff == 0 && status.nonewprivs == Some(1) && status.seccomp == Some(2);
    let locked = locked.then_some(()).with_context(|| format!("its status is {status:?}"));
    let is_missed =
        is_missed.then_some(()).with_context(|| format!("without {missed} it does not end with {expected}"));
    scene.check(&LOCKED, locked.and(is_missed));
    edit(OTHER, |config| join(config, pid))?;
    run(shell, runtime, &other, OTHER)?;
    pause::check_reaping(scene, pid, || {
        read(cmd!(shell, "{runtime} exec {OTHER} {MAKE_ORPHANS...}"))?;
        Ok(())
    })?;
    let begin = Instant::now();
    page.apply(shell, BACK)?;
    let status = container.wait()?;
    pause::check_stop(scene, begin.elapsed(), status, &container.log()?);
    scene.check(&ENDS, page.check_fails(shell));
    if status.is_none() {
        kill(shell, runtime, Signal::SIGKILL)?;
        container.wait()?;
    }

    for (check, signal, expected) in [(&INTERRUPT, Signal::SIGINT, 0), (killed, Signal::SIGKILL, status_if_killed)] {
        let (mut container, pid) = run(shell, runtime, &page, "pause")?;
        pause::wait_until_ready(pid)?;
        kill(shell, runtime, signal)?;
        let status = container.wait()?;
        scene.check(check, (status == Some(expected)).then_some(()).with_context(|| format!("it is {status:?}")));
    }

    let air_gap = format!("oci-archive:dist/{}/{}", images::LINKED, image::air_gap_archive(platform::native()?));
    let linked = renamed(&page, &air_gap, "linked");
    linked.apply(shell, INSTALL)?;
    edit("linked", |config| {
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!([format!("/{LINK}"), "-v"]);
    })?;
    let said = read(linked.command(shell, "")?);
    scene.check(&LINKED, said.and_then(|said| pause::check_version(&said)));
    Ok(())
}

/// The pages' source of the image, and their bundle.
pub const ARCHIVE: &str = "oci-archive:dist/pause.oci.tar";
pub const BUNDLE: &str = "bundle";

/// The bundle of the pod's other container, and its name.
pub const OTHER: &str = "busybox";

/// The same page for another image, whose bundle and container have another name.
pub fn renamed(page: &Page, archive: &str, name: &str) -> Page {
    let page = page.clone().replace(ARCHIVE, archive);
    page.replace(" bundle", &format!(" {name}")).replace(" pause", &format!(" {name}"))
}

/// Changes a bundle's configuration.
///
/// # Errors
/// Where it has none.
pub fn edit(bundle: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let file = Path::new(bundle).join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&file)?)?;
    change(&mut config);
    Ok(fs::write(file, serde_json::to_vec(&config)?)?)
}

/// Takes away all that the program does not need.
pub fn lock_up(config: &mut Value, profile: &Profile) {
    config["root"]["readonly"] = json!(true);
    config["process"]["terminal"] = json!(false);
    config["process"]["noNewPrivileges"] = json!(true);
    config["process"]["capabilities"] = json!({});
    config["linux"]["seccomp"] = json!(profile);
}

/// Puts a container into the PID namespace of process `pause`.
fn join(config: &mut Value, pause: i32) {
    config["process"]["terminal"] = json!(false);
    // youki looks for itself in /proc to mount it, and another namespace's /proc has it under another number:
    // <https://github.com/youki-dev/youki/blob/v0.7.0/crates/libcontainer/src/rootfs/mount.rs>
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "cgroup");
    }
    for namespace in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
        if namespace["type"] == "pid" {
            namespace["path"] = json!(format!("/proc/{pause}/ns/pid"));
        }
    }
}

/// Runs a page's container. Returns the runtime, which ends with the container's exit status, and the number of the
/// container's first process.
fn run(shell: &Shell, runtime: &str, page: &Page, id: &'static str) -> Result<(Foreground, i32)> {
    let container = Foreground::start(page.command(shell, "")?, id)?;
    let state = || -> Result<Value> {
        Ok(serde_json::from_str(&cmd!(shell, "{runtime} state {id}").quiet().ignore_stderr().read()?)?)
    };
    // youki takes no signal for a container that it has not yet noted down as running.
    container.wait_until_up(|| state().is_ok_and(|state| state["status"] == "running"))?;
    let pid = state()?["pid"].as_i64().context("the runtime does not say which process the container is")?;
    Ok((container, pid.try_into()?))
}

fn kill(shell: &Shell, runtime: &str, signal: Signal) -> Result<()> {
    let signal = signal.as_str();
    read(cmd!(shell, "{runtime} kill pause {signal}"))?;
    Ok(())
}
