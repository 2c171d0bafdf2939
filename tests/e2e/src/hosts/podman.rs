//! podman: the infra container of its pods, whatever they share, however they are made, and whoever runs them.

use crate::busybox::{self, BUSYBOX, MAKE_ORPHANS};
use crate::command::{GRACE, read, read_errors};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::REFERENCE;
use crate::pause;
use crate::recipe::{GOES_BACK, INSTALLS, Page};
use anyhow::{Context, Result, ensure};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::chown;
use std::time::Instant;
use xshell::{Cmd, Shell};
use xtask::seccomp;

/// One row of the table.
pub const HOST: Host = Host {
    name: "podman",
    title: "podman",
    packages: PACKAGES,
    absent_from: &[],
    crates: &[],
    version: &[&["podman", "--version"]],
    stand_ins: STAND_INS,
    checks,
};

/// One row of the table.
pub const ROOTLESS: Host = Host {
    name: "rootless",
    title: "podman, rootless",
    packages: &["podman", "crun", "containernetworking-plugins", "uidmap", "skopeo"],
    absent_from: &[],
    crates: &[],
    version: &[&["podman", "--version"]],
    stand_ins: STAND_INS,
    checks: check_rootless,
};

/// What podman needs.
pub const PACKAGES: &[&str] = &["podman", "crun", "containernetworking-plugins", "catatonit"];

/// What a pod shares.
pub const SHARE: &str = "pid,net,ipc,uts";

/// Ways to make a pod.
const PODS: [(&str, &[&str]); 3] = [
    (", in a pod on a bridge network", &["--network", "bridge", "--share", SHARE]),
    (", in a pod on the host's network", &["--network", "host", "--share", "pid,ipc,uts"]),
    (", in a pod on no network", &["--network", "none", "--share", SHARE]),
];

/// A pod as Kubernetes describes it.
fn kubernetes() -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: pod
spec:
  shareProcessNamespace: true
  containers:
  - name: container
    image: {BUSYBOX}
"
    )
}

const SHARED: Check = Check { name: "the pod's other container is in its PID, IPC and UTS namespaces", broken_by: &[] };
const VERSION: Check = Check {
    name: "run with the one argument -v by user 999, as kubeadm does it, it says its version and is done",
    broken_by: &[],
};
const READABLE: Check = Check { name: "skopeo reads the archive for a user who is not root", broken_by: &[] };

/// Settings that a machine with systemd doesn't need.
const SETTINGS: (&str, &str) = (
    "/etc/containers/containers.conf.d/no-systemd.conf",
    "[containers]\nlog_driver = \"k8s-file\"\n\
     [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"crun\"\n",
);

/// The user of a podman without root, who need not exist on this machine.
const USER: &str = "54321";

/// A user's podman.
pub struct Podman<'a> {
    shell: &'a Shell,
    /// The command that makes the next one run as the user; empty for root.
    user: &'static [&'static str],
}

fn checks(scene: &mut Scene) -> Result<()> {
    let podman = Podman::new(scene, &[])?;
    podman.load_busybox()?;
    let page = Page::of_host(scene.repository, "podman")?;
    let renew_pod = || {
        podman.run(&["pod", "rm", "--force", "--ignore", "pod"])?;
        podman.run(&["pod", "create", "--name", "pod", "--share", SHARE])?;
        podman.run(&["pod", "start", "pod"]).map(drop)
    };
    let repeated = page.is_in_readme(scene.repository);
    scene.check(&INSTALLS, repeated.and_then(|()| page.install(scene.shell, renew_pod)));
    scene.setting = ", as the infra image of containers.conf";
    podman.check_pod(scene)?;
    // It has no option for the infra image.
    scene.setting = ", in a pod of kube play";
    fs::write("/tmp/pod.yaml", kubernetes())?;
    podman.run(&["kube", "play", "/tmp/pod.yaml"])?;
    podman.check_pod(scene)?;
    scene.setting = "";
    scene.check(&GOES_BACK, page.go_back(scene.shell, renew_pod));
    podman.run(&["pod", "rm", "--force", "pod"])?;
    for (setting, options) in PODS {
        scene.setting = setting;
        podman.run(&[&["pod", "create", "--name", "pod", "--infra-image", REFERENCE], options].concat())?;
        podman.check_pod(scene)?;
    }

    scene.setting = "";
    // The seccomp profile of a pod is that of all its containers, so the infra container alone can't have one.
    let confined = format!("seccomp={}", scene.archive.with_file_name(seccomp::FILE).display());
    let said = podman.run(&["run", "--rm", "--user", "999", "--security-opt", &confined, REFERENCE, "-v"]);
    scene.check(&VERSION, said.and_then(|said| pause::check_version(&said)));
    Ok(())
}

fn check_rootless(scene: &mut Scene) -> Result<()> {
    let podman = Podman::new(scene, &["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"])?;
    let (home, run) = ("/tmp/home", "/tmp/user");
    for (file, line) in [
        ("/etc/passwd", format!("pause-e2e:x:{USER}:{USER}::{home}:/bin/sh\n")),
        ("/etc/group", format!("pause-e2e:x:{USER}:\n")),
        ("/etc/subuid", "pause-e2e:1000000:65536\n".into()),
        ("/etc/subgid", "pause-e2e:1000000:65536\n".into()),
    ] {
        OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())?;
    }
    for folder in [home, run] {
        fs::create_dir(folder)?;
        chown(folder, USER.parse().ok(), USER.parse().ok())?;
    }
    scene.shell.set_var("HOME", home);
    scene.shell.set_var("XDG_RUNTIME_DIR", run);
    podman.run(&["load", "--quiet", "--input", ARCHIVE])?;
    podman.load_busybox()?;
    let (source, copy) = (format!("oci-archive:{ARCHIVE}:{REFERENCE}"), format!("oci:{home}/copy:{REFERENCE}"));
    let read = read(podman.as_user(&["skopeo", "--insecure-policy", "copy", "--quiet", &source, &copy])?);
    scene.check(&READABLE, read.map(|_| ()));
    // A network of its own would take slirp4netns and /dev/net/tun.
    let options = ["--network", "none", "--share", SHARE];
    podman.run(&[["pod", "create", "--name", "pod", "--infra-image", REFERENCE].as_slice(), &options].concat())?;
    podman.check_pod(scene)
}

/// The image under test, which any user can read. They may not read the repository.
const ARCHIVE: &str = "/tmp/dist/pause.oci.tar";

impl<'a> Podman<'a> {
    /// Sets podman up for a user.
    ///
    /// # Errors
    /// Where its configuration can't be written.
    pub fn new(scene: &Scene<'a>, user: &'static [&'static str]) -> Result<Self> {
        let (file, content) = SETTINGS;
        fs::create_dir_all("/etc/containers/containers.conf.d")?;
        fs::write(file, content)?;
        // An overlay on the sandbox's overlay is more than podman takes.
        scene.shell.set_var("STORAGE_DRIVER", "vfs");
        Ok(Self { shell: scene.shell, user })
    }

    /// A command that the user runs.
    fn as_user(&self, command: &[&str]) -> Result<Cmd<'a>> {
        let words = [self.user, command].concat();
        let (program, rest) = words.split_first().context("a command")?;
        Ok(self.shell.cmd(program).args(rest))
    }

    fn command(&self, arguments: &[&str]) -> Result<Cmd<'a>> {
        self.as_user(&[["podman"].as_slice(), arguments].concat())
    }

    /// Runs a command of podman's. Returns what it says.
    ///
    /// # Errors
    /// Where it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        read(self.command(arguments)?)
    }

    /// Loads the small container's image.
    ///
    /// # Errors
    /// Where podman does not take it.
    pub fn load_busybox(&self) -> Result<()> {
        self.run(&["load", "--quiet", "--input", busybox::pack()?])?;
        Ok(())
    }

    /// Checks the infra container of the pod `pod`, and removes the pod. Its other container is made here, unless
    /// it is there.
    ///
    /// # Errors
    /// Where podman fails.
    pub fn check_pod(&self, scene: &mut Scene) -> Result<()> {
        let ancestor = format!("ancestor={BUSYBOX}");
        let container = match self.run(&["ps", "--quiet", "--filter", "pod=pod", "--filter", &ancestor])? {
            none if none.is_empty() => self.run(&["run", "--detach", "--pod", "pod", BUSYBOX])?,
            container => container,
        };
        let infra = self.run(&["pod", "inspect", "--format", "{{.InfraContainerID}}", "pod"])?;
        let pid = self.run(&["inspect", "--format", "{{.State.Pid}}", &infra])?.parse().context("no process")?;
        let other = self.run(&["inspect", "--format", "{{.State.Pid}}", &container])?.parse().context("no process")?;
        scene.check(&SHARED, check_shared(pid, other));
        pause::check_reaping(scene, pid, || {
            self.run(&[&["exec", &container], MAKE_ORPHANS.as_slice()].concat())?;
            Ok(())
        })?;
        let begin = Instant::now();
        self.run(&["pod", "stop", "--time", &GRACE.as_secs().to_string(), "pod"])?;
        let duration = begin.elapsed();
        let status = self.run(&["inspect", "--format", "{{.State.ExitCode}}", &infra])?.parse().ok();
        let log = read_errors(self.command(&["logs", &infra])?)?;
        pause::check_stop(scene, duration, status, &log);
        self.run(&["pod", "rm", "--force", "pod"])?;
        Ok(())
    }
}

/// Compares the namespaces of two processes.
fn check_shared(pause: i32, other: i32) -> Result<()> {
    for kind in ["pid", "ipc", "uts"] {
        let [its, the_others] = [pause, other].map(|pid| fs::read_link(format!("/proc/{pid}/ns/{kind}")));
        let (its, the_others) = (its?, the_others?);
        ensure!(its == the_others, "it is in {}, the other in {}", its.display(), the_others.display());
    }
    Ok(())
}
