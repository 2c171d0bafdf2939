//! gVisor: a pod on a kernel that is not Linux.
//!
//! What runs there is no process of the machine, and `/proc` does not tell which signals it handles. So a second
//! container of the pod looks at it from within: pause sleeps only once it has all its handlers.

use super::bundle::{ARCHIVE, BUNDLE, INTERRUPT, LOCKED, MISSED, OTHER, edit, lock_up, renamed};
use crate::busybox::{self, MAKE_ORPHANS};
use crate::command::{self, Foreground, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::pause::{self, Child, Pod};
use crate::recipe::{BACK, CHECK, ENDS, INSTALL, INSTALLS, Page};
use anyhow::{Context, Result, ensure};
use harness::{Ends, Stream};
use mutants::DEAF;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Instant;
use xshell::{Cmd, Shell, cmd};
use xtask::seccomp::{self, Profile};

/// One row of the table.
pub const HOST: Host = Host {
    name: "gvisor",
    title: "gVisor",
    packages: &["runsc", "skopeo", "umoci"],
    absent_from: &[("sid", "has a runsc that panics, whatever it runs")],
    crates: &[],
    version: &[&["runsc", "--version"]],
    stand_ins: STAND_INS,
    checks,
};

const VERSION: Check =
    Check { name: "it says its version to -v, in every form and without an environment", broken_by: &[] };
const DESERTED: Check = Check {
    name: "its exit status is 0 after SIGTERM if nobody reads the pipe that is its stderr",
    broken_by: &[&DEAF],
};
const FULL: Check =
    Check { name: "its exit status is 0 after SIGTERM if the pipe that is its stderr is full", broken_by: &[&DEAF] };
const CLOSED: Check =
    Check { name: "its exit status is 0 after SIGTERM if stdout and stderr are closed", broken_by: &[&DEAF] };
const UNPROTECTED: Check =
    Check { name: "SIGHUP ends it, though it is process 1: gVisor does not protect that", broken_by: &[] };
const MEMORY: Check =
    Check { name: "a sandbox with it alone uses at most 24 KiB of memory by gVisor's count", broken_by: &[] };

/// As much as that.
const BUDGET: u64 = 24 << 10;

/// How many orphans are made.
const ORPHANS: usize = 1_000;

/// The page's container.
const PAUSE: &str = "pause";
/// A container with a shell in `/bin`, and its bundle.
const EQUIPPED: &str = "equipped";

fn checks(scene: &mut Scene) -> Result<()> {
    let (shell, busybox) = (scene.shell, busybox::pack()?);
    let profile: Profile = serde_json::from_slice(&fs::read(scene.archive.with_file_name(seccomp::FILE))?)?;
    let page = Page::of_host(scene.repository, "gvisor")?.replace("runsc ", "runsc --oci-seccomp ");
    let equipped = renamed(&page, ARCHIVE, EQUIPPED);
    let failed = page.check_fails(shell);
    for page in [&page, &equipped, &renamed(&page, &format!("docker-archive:{busybox}"), OTHER)] {
        page.apply(shell, INSTALL)?;
    }
    let (missed, expected) = MISSED;
    edit(BUNDLE, |config| lock_up(config, &profile.without(missed)))?;
    let status = Foreground::start(page.command(shell, "")?, "confined")?.wait()?;
    let is_missed = status_is(status, expected).with_context(|| format!("its status without {missed}"));
    // Any other call kills it. gVisor knows no other name for that.
    let strict = Profile { default_action: "SCMP_ACT_KILL".into(), ..profile };
    edit(BUNDLE, |config| lock_up(config, &strict))?;
    edit(EQUIPPED, |config| {
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/bin/busybox", "sh", "-c", "exec /pause >&- 2>&-"]);
        let bin =
            json!({ "destination": "/bin", "type": "bind", "source": "/tmp/busybox/rootfs/bin", "options": ["ro"] });
        config["mounts"].as_array_mut().into_iter().for_each(|mounts| mounts.push(bin.clone()));
    })?;

    let mut pod = Sandbox::start(shell, &page, PAUSE, None)?;
    scene.check(&INSTALLS, failed.and_then(|()| page.apply(shell, CHECK)).map(drop));
    let locked = pod.check_locked();
    scene.check(&LOCKED, locked.and(is_missed));
    pause::check_reaping_in(scene, &pod, ORPHANS, || {
        let [.., script, _] = MAKE_ORPHANS;
        let count = ORPHANS.to_string();
        pod.exec(OTHER, &["/bin/busybox", "sh", "-c", script, &count])?;
        Ok(())
    })?;
    let forms = pod.check_version();
    let begin = Instant::now();
    page.apply(shell, BACK)?;
    let status = pod.program.wait()?;
    pause::check_stop(scene, begin.elapsed(), status, &pod.program.log()?);
    scene.check(&ENDS, page.check_fails(shell));
    pod.remove()?;

    let mut pod = Sandbox::start(shell, &page, PAUSE, None)?;
    pod.wait_until_ready()?;
    read(runsc(shell, &["kill", OTHER, "KILL"]))?;
    pod.other.wait()?;
    let memory = pod.memory()?;
    scene.notes.push(format!("a sandbox with it alone uses {memory} bytes of memory by gVisor's count"));
    scene.check(&MEMORY, (memory <= BUDGET).then_some(()).with_context(|| format!("it uses {memory} bytes")));
    scene.check(&INTERRUPT, status_is(pod.end(Signal::SIGINT)?, 0));
    pod.remove()?;

    let broken = Ends::of_output(Stream::Broken)?;
    let full = Ends::of_output(Stream::Full)?;
    for (check, page, id, stderr, signal, expected) in [
        (&UNPROTECTED, &page, PAUSE, None, Signal::SIGHUP, 128 + Signal::SIGHUP as i32),
        (&DESERTED, &page, PAUSE, broken.child, Signal::SIGTERM, 0),
        (&FULL, &page, PAUSE, full.child, Signal::SIGTERM, 0),
        (&CLOSED, &equipped, EQUIPPED, None, Signal::SIGTERM, 0),
    ] {
        let mut pod = Sandbox::start(shell, page, id, stderr)?;
        pod.wait_until_ready()?;
        scene.check(check, status_is(pod.end(signal)?, expected));
        pod.remove()?;
    }

    edit(BUNDLE, |config| {
        config["process"]["args"] = json!(["/pause", "-v"]);
        config["process"]["env"] = json!([]);
    })?;
    let said = read(page.command(shell, "")?);
    scene.check(&VERSION, forms.and(said.and_then(|said| pause::check_version(&said))));
    Ok(())
}

/// Fails where an exit status is another one.
fn status_is(status: Option<i32>, expected: i32) -> Result<()> {
    ensure!(status == Some(expected), "it is {status:?}");
    Ok(())
}

/// A call of gVisor's runtime, with its default platform: ptrace until 2023, and systrap since. Neither takes more than
/// this machine has. <https://github.com/google/gvisor/blob/release-20240729.0/runsc/config/flags.go>
fn runsc<'a>(shell: &'a Shell, arguments: &[&str]) -> Cmd<'a> {
    cmd!(shell, "runsc --network=none --ignore-cgroups --oci-seccomp {arguments...}")
}

/// A pod of two containers: pause, and one that looks at it.
struct Sandbox<'a> {
    shell: &'a Shell,
    id: &'static str,
    program: Foreground,
    other: Foreground,
}

/// A process, as busybox lists it.
struct Process {
    pid: i32,
    parent: i32,
    state: String,
    name: String,
}

impl<'a> Sandbox<'a> {
    /// Starts both; the program with that standard error, if it is not the log.
    fn start(shell: &'a Shell, page: &Page, id: &'static str, stderr: Option<OwnedFd>) -> Result<Self> {
        let bundle = if id == PAUSE { BUNDLE } else { id };
        // As Kubernetes' runtimes say it: https://github.com/google/gvisor/blob/release-20240729.0/runsc/specutils/cri.go
        edit(bundle, |config| config["annotations"]["io.kubernetes.cri.container-type"] = json!("sandbox"))?;
        edit(OTHER, |config| {
            config["process"]["terminal"] = json!(false);
            config["annotations"]["io.kubernetes.cri.container-type"] = json!("container");
            config["annotations"]["io.kubernetes.cri.sandbox-id"] = json!(id);
            // Without one of its own it is in the sandbox's.
            let namespaces = config["linux"]["namespaces"].as_array_mut();
            namespaces.into_iter().for_each(|namespaces| namespaces.retain(|namespace| namespace["type"] != "pid"));
        })?;
        let program = Foreground::start_with(page.command(shell, "")?, id, stderr)?;
        let is_up = |id: &str| command::succeeds(runsc(shell, &["ps", id]));
        program.wait_until_up(|| is_up(id))?;
        let other = Foreground::start(runsc(shell, &["run", "--bundle", OTHER, OTHER]), OTHER)?;
        other.wait_until_up(|| is_up(OTHER))?;
        Ok(Self { shell, id, program, other })
    }

    /// Runs a command in one of the containers. Returns what it says.
    fn exec(&self, container: &str, command: &[&str]) -> Result<String> {
        read(runsc(self.shell, &[&["exec", container], command].concat()))
    }

    fn processes(&self) -> Result<Vec<Process>> {
        // Quiet, for it is asked over and over.
        let list = runsc(self.shell, &["exec", OTHER, "/bin/busybox", "ps", "-o", "pid,ppid,stat,comm"]);
        let list = list.quiet().read()?;
        let parse = |line: &str| {
            let mut words = line.split_whitespace();
            let mut next = || words.next().with_context(|| format!("busybox lists {line:?}"));
            let (pid, parent) = (next()?.parse()?, next()?.parse()?);
            Ok(Process { pid, parent, state: next()?.into(), name: next()?.into() })
        };
        list.lines().skip(1).map(parse).collect()
    }

    fn check_locked(&self) -> Result<()> {
        self.wait_until_ready()?;
        let status = self.exec(OTHER, &["/bin/busybox", "cat", "/proc/1/status"])?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let locked = field("Uid:").split_whitespace().all(|id| id == "65535")
            && u64::from_str_radix(field("CapEff:"), 16) == Ok(0)
            && field("Seccomp:") == "2";
        ensure!(locked, "its status is {status:?}");
        Ok(())
    }

    fn check_version(&self) -> Result<()> {
        for arguments in [&["-v"][..], &["-V"], &["x", "-v"], &["", "-", "-V", "y"], &["-v", "-v"]] {
            pause::check_version(&self.exec(self.id, &[&["/pause"], arguments].concat())?)?;
        }
        Ok(())
    }

    /// How much memory it uses.
    fn memory(&self) -> Result<u64> {
        let events: Value = serde_json::from_str(&read(runsc(self.shell, &["events", "--stats", self.id]))?)?;
        events["data"]["memory"]["usage"]["usage"].as_u64().context("gVisor does not say how much memory it uses")
    }

    /// Sends the program a signal. Returns its exit status, or nothing if it still runs.
    fn end(&mut self, signal: Signal) -> Result<Option<i32>> {
        read(runsc(self.shell, &["kill", self.id, signal.as_str()]))?;
        self.program.wait()
    }

    /// Ends what still runs.
    fn remove(mut self) -> Result<()> {
        if command::succeeds(runsc(self.shell, &["kill", self.id, "KILL"])) {
            self.program.wait()?;
        }
        self.other.wait()?;
        Ok(())
    }
}

impl Pod for Sandbox<'_> {
    fn numbers(&self) -> Result<Vec<i32>> {
        Ok(self.processes()?.iter().filter(|process| process.name == "pause").map(|process| process.pid).collect())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let is_asleep = |process: &Process| process.name == "pause" && process.state.starts_with('S');
        let is_ready = command::becomes_so(|| Ok(self.processes()?.iter().any(is_asleep)))?;
        ensure!(is_ready, "pause does not go to sleep");
        Ok(())
    }

    fn children(&self) -> Result<Vec<Child>> {
        let processes = self.processes()?.into_iter().filter(|process| process.parent == 1);
        let child = |Process { pid, state, .. }: Process| Child { pid, is_zombie: state.starts_with('Z') };
        Ok(processes.map(child).collect())
    }

    fn kill(&self, children: &[Child]) -> Result<()> {
        let numbers = children.iter().map(|child| child.pid.to_string());
        Ok(runsc(self.shell, &["exec", OTHER, "/bin/busybox", "kill", "-9"]).args(numbers).quiet().run()?)
    }
}
