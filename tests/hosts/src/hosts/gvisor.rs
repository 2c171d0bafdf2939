//! gVisor: a pod on a kernel that is not Linux.
//!
//! Its processes are not processes of the machine, and its `/proc` doesn't show which signals they handle. So a second
//! container of the pod looks at pause, which sleeps only once it has all its handlers.

use super::bundle::{ARCHIVE, BUNDLE, INTERRUPT, LOCKED, OTHER, edit, lock_up, renamed};
use crate::busybox::{self, MAKE_ORPHANS};
use crate::command::{self, Daemon, read};
use crate::host::{Check, DEAFNESS, Fixture, Host, broken_by, check, host};
use crate::pause::{self, Pod, check_status};
use crate::recipe::{BACK, CHECK, ENDS, INSTALL, INSTALLS, Page};
use anyhow::{Context, Result, ensure};
use harness::{StdioPipe, Stream};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Instant;
use xshell::{Cmd, Shell, cmd};
use xtask::seccomp;

pub const GVISOR: Host = Host {
    absent_from: &[("sid", "has a runsc that always panics")],
    ..host("gvisor", "gVisor", &["runsc", "skopeo", "umoci"], &["runsc --version"], checks)
};

const VERSION: Check = check("it prints its version if any argument is -v or -V, with or without an environment");
const NO_READER: Check =
    broken_by(DEAFNESS, "its exit status is 0 after SIGTERM if its stderr is a pipe without a reader");
const FULL: Check = broken_by(DEAFNESS, "its exit status is 0 after SIGTERM if its stderr is a full pipe");
const CLOSED: Check = broken_by(DEAFNESS, "its exit status is 0 after SIGTERM if stdout and stderr are closed");
const UNPROTECTED: Check = check("SIGHUP ends it: gVisor does not protect process 1 from signals");
const MEMORY: Check = check("a sandbox with it alone uses at most 24 KiB of memory by gVisor's count");

const MEMORY_BUDGET: u64 = 24 << 10;
const ORPHANS: usize = 1_000;

/// The page's container.
const PAUSE: &str = "pause";
/// A container with a shell in `/bin`, and its bundle.
const EQUIPPED: &str = "equipped";

fn checks(fixture: &mut Fixture) -> Result<()> {
    let (shell, busybox) = (fixture.shell, busybox::pack(fixture.shell)?);
    let profile = serde_json::from_slice(&fs::read(fixture.archive.with_file_name(seccomp::FILE))?)?;
    let page = Page::of_host(fixture.repository, "gvisor")?.replace("runsc ", "runsc --oci-seccomp ");
    let equipped = renamed(&page, ARCHIVE, EQUIPPED);
    let failed = page.check_fails(shell);
    for page in [&page, &equipped, &renamed(&page, &format!("docker-archive:{busybox}"), OTHER)] {
        page.apply(shell, INSTALL)?;
    }
    let missed = lock_up(shell, &page, profile, "SCMP_ACT_KILL")?;
    edit(EQUIPPED, |config| {
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/bin/busybox", "sh", "-c", "exec /pause >&- 2>&-"]);
        let source = "/tmp/busybox/rootfs/bin";
        let bin = json!({ "destination": "/bin", "type": "bind", "source": source, "options": ["ro"] });
        config["mounts"].as_array_mut().into_iter().for_each(|mounts| mounts.push(bin.clone()));
    })?;

    let mut pod = Sandbox::start(shell, &page, PAUSE, None)?;
    fixture.check(&INSTALLS, failed.and_then(|()| page.apply(shell, CHECK)).map(drop));
    fixture.check(&LOCKED, pod.check_locked().and(missed));
    let [orphans @ .., _] = MAKE_ORPHANS;
    let orphans = || pod.exec(OTHER, &[orphans.as_slice(), &[&ORPHANS.to_string()]].concat());
    pause::check_reaping(fixture, &pod, ORPHANS, orphans)?;
    let versions = pod.check_version();
    let begin = Instant::now();
    page.apply(shell, BACK)?;
    let status = pod.program.wait()?;
    pause::check_stop(fixture, begin.elapsed(), status, &pod.program.log()?);
    fixture.check(&ENDS, page.check_fails(shell));
    pod.remove()?;

    let mut pod = Sandbox::start(shell, &page, PAUSE, None)?;
    pod.wait_until_ready()?;
    read(runsc(shell, &["kill", OTHER, "KILL"]))?;
    pod.other.wait()?;
    let events: Value = serde_json::from_str(&read(runsc(shell, &["events", "--stats", PAUSE]))?)?;
    let memory = events["data"]["memory"]["usage"]["usage"].as_u64().context("gVisor has no count of memory")?;
    fixture.findings.notes.push(format!("a sandbox with it alone uses {memory} bytes of memory by gVisor's count"));
    fixture.expect(&MEMORY, memory <= MEMORY_BUDGET, || format!("it uses {memory} bytes"));
    fixture.check(&INTERRUPT, pod.ends_with(Signal::SIGINT, 0));
    pod.remove()?;

    let no_reader = StdioPipe::new(Stream::Broken)?;
    let full = StdioPipe::new(Stream::Full)?;
    for (check, page, id, stderr, signal, expected) in [
        (&UNPROTECTED, &page, PAUSE, None, Signal::SIGHUP, 128 + 1),
        (&NO_READER, &page, PAUSE, no_reader.child, Signal::SIGTERM, 0),
        (&FULL, &page, PAUSE, full.child, Signal::SIGTERM, 0),
        (&CLOSED, &equipped, EQUIPPED, None, Signal::SIGTERM, 0),
    ] {
        let mut pod = Sandbox::start(shell, page, id, stderr)?;
        pod.wait_until_ready()?;
        fixture.check(check, pod.ends_with(signal, expected));
        pod.remove()?;
    }

    edit(BUNDLE, |config| {
        config["process"]["args"] = json!(["/pause", "-v"]);
        config["process"]["env"] = json!([]);
    })?;
    let output = read(page.command(shell, "")?);
    fixture.check(&VERSION, versions.and(output.and_then(|output| pause::check_version(&output))));
    Ok(())
}

/// A call of gVisor's runtime, with its default platform: ptrace until 2023, now systrap. Both run here.
/// <https://github.com/google/gvisor/blob/release-20240729.0/runsc/config/flags.go>
fn runsc<'a>(shell: &'a Shell, arguments: &[&str]) -> Cmd<'a> {
    cmd!(shell, "runsc --network=none --ignore-cgroups --oci-seccomp {arguments...}")
}

/// A pod of two containers: pause, and one that looks at it.
struct Sandbox<'a> {
    shell: &'a Shell,
    id: &'static str,
    program: Daemon,
    other: Daemon,
}

impl<'a> Sandbox<'a> {
    /// Starts both, pause with this standard error instead of the log.
    fn start(shell: &'a Shell, page: &Page, id: &'static str, stderr: Option<OwnedFd>) -> Result<Self> {
        let bundle = if id == PAUSE { BUNDLE } else { id };
        // The annotations of Kubernetes' runtimes:
        // https://github.com/google/gvisor/blob/release-20240729.0/runsc/specutils/cri.go
        edit(bundle, |config| config["annotations"]["io.kubernetes.cri.container-type"] = json!("sandbox"))?;
        edit(OTHER, |config| {
            config["process"]["terminal"] = json!(false);
            config["annotations"]["io.kubernetes.cri.container-type"] = json!("container");
            config["annotations"]["io.kubernetes.cri.sandbox-id"] = json!(id);
            // By default it is in the sandbox's PID namespace.
            let namespaces = config["linux"]["namespaces"].as_array_mut();
            namespaces.into_iter().for_each(|namespaces| namespaces.retain(|namespace| namespace["type"] != "pid"));
        })?;
        let program = Daemon::start_with(page.command(shell, "")?, id, stderr)?;
        let is_up = |id: &str| command::succeeds(runsc(shell, &["ps", id]));
        program.wait_until_up(|| is_up(id))?;
        let other = Daemon::start(runsc(shell, &["run", "--bundle", OTHER, OTHER]), OTHER)?;
        other.wait_until_up(|| is_up(OTHER))?;
        Ok(Self { shell, id, program, other })
    }

    fn exec(&self, container: &str, command: &[&str]) -> Result<String> {
        read(runsc(self.shell, &[&["exec", container], command].concat()))
    }

    /// Each process's PID, its parent's, its state and its name.
    fn processes(&self) -> Result<Vec<(i32, i32, String, String)>> {
        let list =
            runsc(self.shell, &["exec", OTHER, "/bin/busybox", "ps", "-o", "pid,ppid,stat,comm"]).quiet().read()?;
        let rows = list.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let rows = rows.filter(|row| row.len() > 3);
        rows.map(|row| Ok((row[0].parse()?, row[1].parse()?, row[2].into(), row[3].into()))).collect()
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

    fn ends_with(&mut self, signal: Signal, expected: i32) -> Result<()> {
        read(runsc(self.shell, &["kill", self.id, signal.as_str()]))?;
        check_status(self.program.wait()?, expected)
    }

    fn remove(mut self) -> Result<()> {
        if command::succeeds(runsc(self.shell, &["kill", self.id, "KILL"])) {
            self.program.wait()?;
        }
        self.other.wait().map(drop)
    }
}

impl Pod for Sandbox<'_> {
    fn pids(&self) -> Result<Vec<i32>> {
        Ok(self.processes()?.into_iter().filter(|(.., name)| name == "pause").map(|(pid, ..)| pid).collect())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let is_asleep = |(_, _, state, name): &(i32, i32, String, String)| name == "pause" && state.starts_with('S');
        let is_ready = command::becomes_so(|| Ok(self.processes()?.iter().any(is_asleep)))?;
        ensure!(is_ready, "pause does not go to sleep");
        Ok(())
    }

    fn children(&self) -> Result<Vec<(i32, bool)>> {
        let children = self.processes()?.into_iter().filter(|(_, parent, ..)| *parent == 1);
        Ok(children.map(|(pid, _, state, _)| (pid, state.starts_with('Z'))).collect())
    }

    fn kill(&self, children: &[i32]) -> Result<()> {
        let pids = children.iter().map(ToString::to_string);
        Ok(runsc(self.shell, &["exec", OTHER, "/bin/busybox", "kill", "-9"]).args(pids).quiet().run()?)
    }
}
