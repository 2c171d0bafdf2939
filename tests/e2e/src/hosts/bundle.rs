//! crun, runc and youki: a bundle unpacked from the image, locked up as tightly as a runtime can.

use crate::busybox::{self, BUSYBOX, MAKE_ORPHANS};
use crate::command::{Foreground, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::{self, LINK, REFERENCE};
use crate::pause;
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
        checks(scene, &Runtime { program: "youki", calls, killed: (&KILLED, Signal::SIGKILL as i32) })
    },
};

/// A runtime.
struct Runtime {
    /// The program.
    program: &'static str,
    /// What it calls once the filter is loaded, and the profile that ships does not allow.
    calls: &'static [&'static str],
    /// What its exit status is where the program was killed.
    killed: (&'static Check, i32),
}

/// Most runtimes.
const PLAIN: Runtime = Runtime { program: "", calls: &[], killed: (&KILL, 128 + Signal::SIGKILL as i32) };

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
    let Runtime { program: runtime, calls, killed: (killed, status_if_killed) } = *runtime;
    let (shell, busybox) = (scene.shell, busybox::pack()?);
    let mut profile: Profile = serde_json::from_slice(&fs::read(scene.archive.with_file_name(seccomp::FILE))?)?;
    // The last of its rules is for a runtime that starts the program.
    let start = profile.syscalls.last_mut().context("a profile has rules")?;
    start.names.extend(calls.iter().map(|call| call.to_string()));
    unpack(shell, scene.archive, REFERENCE, "pause")?;
    unpack(shell, Path::new(busybox), BUSYBOX, "busybox")?;
    let (missed, expected) = MISSED;
    edit("pause", |config| lock_up(config, &profile.without(missed)))?;
    let status = Foreground::start(cmd!(shell, "{runtime} run --bundle pause confined"), "confined")?.wait()?;
    let is_missed = status == Some(expected);
    // Any other call kills it.
    let strict = Profile { default_action: "SCMP_ACT_KILL_PROCESS".into(), ..profile };
    edit("pause", |config| lock_up(config, &strict))?;

    let (mut container, pid) = run(shell, runtime, "pause", "terminated")?;
    pause::wait_until_ready(pid)?;
    let status = Process::new(pid)?.status()?;
    let locked =
        status.euid == 65535 && status.capeff == 0 && status.nonewprivs == Some(1) && status.seccomp == Some(2);
    let locked = locked.then_some(()).with_context(|| format!("its status is {status:?}"));
    let is_missed =
        is_missed.then_some(()).with_context(|| format!("without {missed} it does not end with {expected}"));
    scene.check(&LOCKED, locked.and(is_missed));
    edit("busybox", |config| join(config, pid))?;
    run(shell, runtime, "busybox", "busybox")?;
    pause::check_reaping(scene, pid, || {
        read(cmd!(shell, "{runtime} exec busybox {MAKE_ORPHANS...}"))?;
        Ok(())
    })?;
    let begin = Instant::now();
    kill(shell, runtime, "terminated", Signal::SIGTERM)?;
    let status = container.wait()?;
    pause::check_stop(scene, begin.elapsed(), status, &container.log()?);
    if status.is_none() {
        kill(shell, runtime, "terminated", Signal::SIGKILL)?;
    }

    for (check, id, signal, expected) in
        [(&INTERRUPT, "interrupted", Signal::SIGINT, 0), (killed, "killed", Signal::SIGKILL, status_if_killed)]
    {
        let (mut container, pid) = run(shell, runtime, "pause", id)?;
        pause::wait_until_ready(pid)?;
        kill(shell, runtime, id, signal)?;
        let status = container.wait()?;
        scene.check(check, (status == Some(expected)).then_some(()).with_context(|| format!("it is {status:?}")));
    }

    let folder = scene.archive.parent().context("a file in a folder")?;
    let air_gap = folder.join(images::LINKED).join(image::air_gap_archive(platform::native()?));
    unpack(shell, &air_gap, REFERENCE, "linked")?;
    edit("linked", |config| {
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!([format!("/{LINK}"), "-v"]);
    })?;
    let said = read(cmd!(shell, "{runtime} run --bundle linked linked"));
    scene.check(&LINKED, said.and_then(|said| pause::check_version(&said)));
    Ok(())
}

/// Unpacks an image into a bundle: a root file system, and a configuration with the image's command and user.
///
/// # Errors
/// Where it can't be unpacked.
pub fn unpack(shell: &Shell, archive: &Path, reference: &str, bundle: &str) -> Result<()> {
    read(cmd!(
        shell,
        "skopeo --insecure-policy copy --quiet docker-archive:{archive}:{reference} oci:layout:{bundle}"
    ))?;
    read(cmd!(shell, "umoci unpack --image layout:{bundle} {bundle}"))?;
    Ok(())
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

/// Runs a container in the foreground of its runtime. Returns the runtime, which ends with the container's exit
/// status, and the number of the container's first process.
fn run(shell: &Shell, runtime: &str, bundle: &str, id: &'static str) -> Result<(Foreground, i32)> {
    // crun takes the path relative to the bundle, runc relative to where it is called.
    let pid_file = shell.current_dir().join(format!("{id}.pid"));
    let container = Foreground::start(cmd!(shell, "{runtime} run --bundle {bundle} --pid-file {pid_file} {id}"), id)?;
    let pid = container.pid(&pid_file)?;
    // youki takes no signal for a container that it has not yet noted down as running.
    let is_running = || {
        let state = cmd!(shell, "{runtime} state {id}").quiet().ignore_stderr().read().unwrap_or_default();
        serde_json::from_str::<Value>(&state).is_ok_and(|state| state["status"] == "running")
    };
    container.wait_until_up(is_running)?;
    Ok((container, pid))
}

fn kill(shell: &Shell, runtime: &str, id: &str, signal: Signal) -> Result<()> {
    let signal = signal.as_str();
    read(cmd!(shell, "{runtime} kill {id} {signal}"))?;
    Ok(())
}
