//! crun and runc: a bundle unpacked from the image, locked up as tightly as a runtime can.

use super::common::{self, BUSYBOX, MAKE_ORPHANS};
use super::{Check, Host, REFERENCE, Scene, read};
use anyhow::{Context, Result};
use procfs::process::Process;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use xshell::{Shell, cmd};

/// One row of the table.
pub const CRUN: Host = Host {
    name: "crun",
    packages: &[("crun", "crun"), ("skopeo", "skopeo"), ("umoci", "umoci")],
    version: &["crun", "--version"],
    checks: |scene| checks(scene, "crun", CRUN_START),
};
/// One row of the table.
pub const RUNC: Host = Host {
    name: "runc",
    packages: &[("runc", "runc"), ("skopeo", "skopeo"), ("umoci", "umoci")],
    version: &["runc", "--version"],
    checks: |scene| checks(scene, "runc", RUNC_START),
};

/// The system calls that the program documents. Any other kills it here.
const PROGRAM: [&str; 10] =
    ["rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "wait4", "getpid", "poll", "ppoll", "write", "pause", "exit"];

/// What crun itself does under the container's seccomp profile, up to the program's start.
const CRUN_START: &[&str] = &["close", "execve"];

/// The same of runc, which is written in Go.
#[rustfmt::skip]
const RUNC_START: &[&str] = &[
    "close", "epoll_ctl", "execve", "fcntl", "fstat", "fstatfs", "futex", "getdents64", "gettid", "madvise", "mmap",
    "nanosleep", "newfstatat", "openat", "sched_yield", "sigaltstack", "tgkill",
];

/// The longest that a runtime gives a container to stop: what Kubernetes, podman and Docker use by themselves
/// is 10 s or more.
const GRACE: Duration = Duration::from_secs(10);

const LOCKED: Check = Check {
    name: "it runs as user 65535, without capabilities or new privileges, under a seccomp filter",
    broken_by: None,
};
const INTERRUPT: Check = Check { name: "its exit status is 0 after SIGINT", broken_by: None };
const KILL: Check = Check { name: "its exit status is 137 after SIGKILL", broken_by: None };

fn checks(scene: &mut Scene, runtime: &'static str, start: &[&str]) -> Result<()> {
    let (shell, busybox) = (scene.shell, common::busybox()?);
    unpack(shell, scene.archive, REFERENCE, "pause")?;
    unpack(shell, &busybox, BUSYBOX, "busybox")?;
    edit("pause", |config| lock_up(config, start))?;

    let mut container = Container::run(runtime, "pause", "terminated")?;
    let pause = container.pid()?;
    let status = Process::new(pause)?.status()?;
    let locked =
        status.euid == 65535 && status.capeff == 0 && status.nonewprivs == Some(1) && status.seccomp == Some(2);
    scene.check(&LOCKED, locked.then_some(()).with_context(|| format!("its status is {status:?}")));
    edit("busybox", |config| join(config, pause))?;
    Container::run(runtime, "busybox", "busybox")?.pid()?;
    common::check_reaping(scene, pause, || {
        read(cmd!(shell, "{runtime} exec busybox {MAKE_ORPHANS...}"))?;
        Ok(())
    })?;
    let begin = Instant::now();
    container.kill(shell, Signal::TERM)?;
    let status = container.wait()?;
    let duration = begin.elapsed();
    let status = status.map_or("none: it still runs".into(), |status| status.to_string());
    let log = fs::read_to_string("terminated.log")?;
    common::check_stop(scene, duration, GRACE, &status, &log);
    if duration >= GRACE {
        container.kill(shell, Signal::KILL)?;
    }

    for (check, id, signal, expected) in
        [(&INTERRUPT, "interrupted", Signal::INT, 0), (&KILL, "killed", Signal::KILL, 137)]
    {
        let mut container = Container::run(runtime, "pause", id)?;
        common::await_handlers(container.pid()?)?;
        container.kill(shell, signal)?;
        let status = container.wait()?;
        scene.check(check, (status == Some(expected)).then_some(()).with_context(|| format!("it is {status:?}")));
    }
    Ok(())
}

/// Unpacks an image into a bundle: a root file system, and a configuration with the image's command and user.
fn unpack(shell: &Shell, archive: &Path, reference: &str, bundle: &str) -> Result<()> {
    read(cmd!(
        shell,
        "skopeo --insecure-policy copy --quiet docker-archive:{archive}:{reference} oci:layout:{bundle}"
    ))?;
    read(cmd!(shell, "umoci unpack --image layout:{bundle} {bundle}"))?;
    Ok(())
}

/// Changes a bundle's configuration.
fn edit(bundle: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let file = Path::new(bundle).join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&file)?)?;
    change(&mut config);
    Ok(fs::write(file, serde_json::to_vec(&config)?)?)
}

/// Takes away all that the program does not need.
fn lock_up(config: &mut Value, start: &[&str]) {
    let allowed = [PROGRAM.as_slice(), start].concat();
    config["root"]["readonly"] = json!(true);
    config["process"]["terminal"] = json!(false);
    config["process"]["noNewPrivileges"] = json!(true);
    config["process"]["capabilities"] = json!({});
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_KILL_PROCESS",
        "syscalls": [{ "names": allowed, "action": "SCMP_ACT_ALLOW" }],
    });
}

/// Puts a container into the PID namespace of process `pause`.
fn join(config: &mut Value, pause: i32) {
    config["process"]["terminal"] = json!(false);
    for namespace in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
        if namespace["type"] == "pid" {
            namespace["path"] = json!(format!("/proc/{pause}/ns/pid"));
        }
    }
}

/// A container in the foreground of its runtime, which ends with its exit status.
struct Container {
    runtime: &'static str,
    id: &'static str,
    process: Child,
}

impl Container {
    fn run(runtime: &'static str, bundle: &str, id: &'static str) -> Result<Self> {
        let log = File::create(format!("{id}.log"))?;
        let mut command = Command::new(runtime);
        // crun takes the path relative to the bundle, runc relative to where it is called.
        let pid_file = std::env::current_dir()?.join(format!("{id}.pid"));
        command.args(["run", "--bundle", bundle, "--pid-file"]).arg(pid_file).arg(id);
        command.stdout(log.try_clone()?).stderr(log);
        eprintln!("$ {runtime} run --bundle {bundle} {id}");
        Ok(Self { runtime, id, process: command.spawn()? })
    }

    /// The process number of the container's first process.
    fn pid(&mut self) -> Result<i32> {
        let file = format!("{}.pid", self.id);
        let read = || fs::read_to_string(&file).ok().and_then(|pid| pid.parse().ok());
        common::wait_until(|| Ok(read().is_some()))?;
        read().with_context(|| {
            let log = fs::read_to_string(format!("{}.log", self.id)).unwrap_or_default();
            format!("{} did not start the container: {log}", self.runtime)
        })
    }

    fn kill(&self, shell: &Shell, signal: Signal) -> Result<()> {
        let (runtime, id, signal) = (self.runtime, self.id, signal.as_raw().to_string());
        read(cmd!(shell, "{runtime} kill {id} {signal}"))?;
        Ok(())
    }

    /// Waits for its end. Returns its exit status, or nothing if it still runs after all patience.
    fn wait(&mut self) -> Result<Option<i32>> {
        common::wait_until(|| Ok(self.process.try_wait()?.is_some()))?;
        Ok(self.process.try_wait()?.and_then(|status| status.code()))
    }
}
