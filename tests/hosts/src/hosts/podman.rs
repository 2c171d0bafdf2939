//! podman: the infra container of its pods, with all ways to make one, by root and by a user.

use crate::busybox::{self, BUSYBOX};
use crate::command::{GRACE, read};
use crate::host::{Check, Fixture, Host, check, host};
use crate::images::REFERENCE;
use crate::pause;
use crate::recipe::{GOES_BACK, INSTALLS, Page};
use anyhow::Result;
use std::fs;
use xshell::{Cmd, Shell, cmd};
use xtask::seccomp;

const PACKAGES: &[&str] = &["podman", "crun", "containernetworking-plugins", "catatonit", "uidmap", "skopeo"];
pub const PODMAN: Host = host("podman", "podman", PACKAGES, &["podman --version"], checks);
pub const ROOTLESS: Host = host("rootless", "podman, rootless", PACKAGES, &["podman --version"], check_rootless);

pub const INIT: Host = Host {
    absent_from: &[("bookworm", IMAGE), ("trixie", IMAGE)],
    ..host("podman-init", "podman, with the file", PACKAGES, &["podman --version"], |it| {
        let (podman, page) = (Podman::new(it, &[])?, Page::section(it.repository, "docs/embedding.md", "podman")?);
        podman.load_busybox()?;
        it.check(&INSTALLS, page.install(it.shell, || podman.renew_pod()));
        podman.check_pod(it)?;
        it.check(&QUADLET, page.apply(it.shell, "Quadlet").map(drop));
        it.check(&GOES_BACK, page.go_back(it.shell, || podman.renew_pod()));
        Ok(())
    })
};
const QUADLET: Check = check("the unit that podman makes of a .pod file starts a pod with it");
const IMAGE: &str = "has a podman that builds an image for its pods";

/// Namespaces that a pod's containers share.
pub const SHARE: &str = "pid,net,ipc,uts";

const SHARED: Check = check("the pod's other container is in its PID, IPC and UTS namespaces");
const VERSION: Check =
    check("with the one argument -v, by user 999, as kubeadm runs it, it prints its version and ends");
const READABLE: Check = check("skopeo reads the archive as a user who is not root");

/// Settings for a machine without systemd.
const SETTINGS: &str = "[containers]\nlog_driver = \"k8s-file\"\n\
     [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"crun\"\n";

/// Makes the user of a rootless podman.
const MAKE_USER: &str = "
    echo user:x:54321:54321::/tmp/home:/bin/sh >>/etc/passwd
    echo user:x:54321: >>/etc/group
    echo user:1000000:65536 | tee -a /etc/subuid >>/etc/subgid
    mkdir /tmp/home /tmp/user
    chown user:user /tmp/home /tmp/user";

/// Commands that any user can run begin with this for a rootless podman.
const AS_USER: &[&str] = &["setpriv", "--reuid", "user", "--regid", "user", "--clear-groups"];

fn checks(fixture: &mut Fixture) -> Result<()> {
    let podman = Podman::new(fixture, &[])?;
    podman.load_busybox()?;
    let page = Page::of_host(fixture.repository, "podman")?;
    let repeated = page.is_in_readme(fixture.repository);
    fixture.check(&INSTALLS, repeated.and_then(|()| page.install(fixture.shell, || podman.renew_pod())));
    fixture.setting = ", as the infra image of containers.conf";
    podman.check_pod(fixture)?;
    // It has no option for the infra image.
    fixture.setting = ", in a pod of kube play";
    let pod = format!(
        "{{ apiVersion: v1, kind: Pod, metadata: {{ name: pod }}, spec: {{ shareProcessNamespace: true,
            containers: [{{ name: container, image: '{BUSYBOX}' }}] }} }}"
    );
    fs::write("/tmp/pod.yaml", pod)?;
    podman.run("kube play /tmp/pod.yaml")?;
    podman.check_pod(fixture)?;
    fixture.setting = "";
    fixture.check(&GOES_BACK, page.go_back(fixture.shell, || podman.renew_pod()));
    podman.run("pod rm --force pod")?;
    for (setting, network, share) in [
        (", in a pod on a bridge network", "bridge", SHARE),
        (", in a pod on the host's network", "host", "pid,ipc,uts"),
        (", in a pod on no network", "none", SHARE),
    ] {
        fixture.setting = setting;
        podman.create_pod(REFERENCE, network, share)?;
        podman.check_pod(fixture)?;
    }

    fixture.setting = "";
    // A pod's containers share its seccomp profile, so the infra container alone can't have one.
    let confined = format!("seccomp=dist/{}", seccomp::FILE);
    let output = podman.run(&format!("run --rm --user 999 --security-opt {confined} {REFERENCE} -v"));
    fixture.check(&VERSION, output.and_then(|output| pause::check_version(&output)));
    Ok(())
}

fn check_rootless(fixture: &mut Fixture) -> Result<()> {
    let (shell, podman) = (fixture.shell, Podman::new(fixture, AS_USER)?);
    cmd!(shell, "sh -ec {MAKE_USER}").quiet().run()?;
    shell.set_var("HOME", "/tmp/home");
    shell.set_var("XDG_RUNTIME_DIR", "/tmp/user");
    // The user can read the copy in dist, but perhaps not the repository.
    podman.run("load --quiet --input dist/pause.oci.tar")?;
    podman.load_busybox()?;
    let copy = "skopeo --insecure-policy copy --quiet oci-archive:dist/pause.oci.tar";
    let copied = read(podman.as_user(&format!("{copy}:{REFERENCE} oci:/tmp/home/copy:{REFERENCE}")));
    fixture.check(&READABLE, copied.map(drop));
    // A network would require slirp4netns and /dev/net/tun.
    podman.create_pod(REFERENCE, "none", SHARE)?;
    podman.check_pod(fixture)
}

/// The podman of a user.
pub struct Podman<'a> {
    shell: &'a Shell,
    /// Empty for root.
    as_user: &'static [&'static str],
}

impl<'a> Podman<'a> {
    pub fn new(fixture: &Fixture<'a>, as_user: &'static [&'static str]) -> Result<Self> {
        fixture.shell.write_file("/etc/containers/containers.conf.d/no-systemd.conf", SETTINGS)?;
        // podman can't put an overlay on the sandbox's overlay.
        fixture.shell.set_var("STORAGE_DRIVER", "vfs");
        Ok(Self { shell: fixture.shell, as_user })
    }

    /// A command whose arguments contain no spaces.
    fn as_user(&self, command: &str) -> Cmd<'a> {
        let words: Vec<_> = self.as_user.iter().copied().chain(command.split(' ')).collect();
        self.shell.cmd(words[0]).args(&words[1..])
    }

    /// Runs podman with arguments that contain no spaces. Returns its output.
    pub fn run(&self, arguments: &str) -> Result<String> {
        read(self.as_user(&format!("podman {arguments}")))
    }

    pub fn load_busybox(&self) -> Result<()> {
        self.run(&format!("load --quiet --input {}", busybox::pack(self.shell)?)).map(drop)
    }

    fn renew_pod(&self) -> Result<()> {
        self.run("pod rm --force --ignore pod")?;
        self.run(&format!("pod create --name pod --share {SHARE}"))?;
        self.run("pod start pod").map(drop)
    }

    /// Makes the pod `pod` with this infra image.
    pub fn create_pod(&self, image: &str, network: &str, share: &str) -> Result<()> {
        self.run(&format!("pod create --name pod --infra-image {image} --network {network} --share {share}")).map(drop)
    }

    /// Checks the infra container of the pod `pod`, and removes the pod. Its other container is made here unless it
    /// exists.
    pub fn check_pod(&self, fixture: &mut Fixture) -> Result<()> {
        let container = match self.run(&format!("ps --quiet --filter pod=pod --filter ancestor={BUSYBOX}"))? {
            none if none.is_empty() => self.run(&format!("run --detach --pod pod {BUSYBOX}"))?,
            container => container,
        };
        let infra = self.run("pod inspect --format {{.InfraContainerID}} pod")?;
        let engine = |arguments: &str| self.as_user(&format!("podman {arguments}"));
        let [pid, other] = [&infra, &container].map(|container| pause::inspect(&engine, container, "Pid"));
        let namespaces =
            |pid: i32| ["pid", "ipc", "uts"].map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok());
        let (pause, other) = (namespaces(pid?), namespaces(other?));
        let are_shared = pause == other && !pause.contains(&None);
        fixture.expect(&SHARED, are_shared, || format!("it is in {pause:?}, the other in {other:?}"));
        let stop = format!("pod stop --time {} pod", GRACE.as_secs());
        pause::check_engine(fixture, &engine, (&infra, &container), &stop)?;
        self.run("pod rm --force pod").map(drop)
    }
}
