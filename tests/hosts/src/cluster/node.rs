//! The cluster's machine: its daemons and their configurations.

use super::{KUBERNETES, run};
use crate::command::Daemon;
use crate::hosts::containerd;
use crate::images::REFERENCE;
use anyhow::Result;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;
use xshell::{Shell, cmd};

pub const NAME: &str = "node";

/// The administrator's credentials, which the node's programs use as well.
pub const KUBECONFIG: &str = "/tmp/kubeconfig.yaml";

/// The kubelet removes unused sandboxes and images once a minute.
pub const COLLECTION: Duration = Duration::from_secs(150);

/// The kubelet's threshold for `imagefs.available`, under which it removes unused images.
pub const KEEP_IMAGES: &str = "1Ki";
pub const COLLECT_IMAGES: &str = "1Pi";

const RUNTIMES: &str = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]
BinaryName = 'crun'
";

pub struct Node<'a> {
    shell: &'a Shell,
    containerd: Daemon,
    kubelet: Daemon,
}

impl<'a> Node<'a> {
    /// Starts everything. The image under test, in one of these archives, is the sandbox image.
    pub fn start(shell: &'a Shell, archives: &[&Path]) -> Result<Self> {
        let script = include_str!("control-plane.sh");
        shell.set_var("KUBECONFIG", KUBECONFIG);
        run(cmd!(shell, "sh -s {KUBERNETES}").stdin(script))?;
        let containerd = containerd::start_version_2(shell, REFERENCE, RUNTIMES)?;
        archives.iter().try_for_each(|archive| import(shell, archive))?;
        Ok(Self { shell, containerd, kubelet: start_kubelet(shell, KEEP_IMAGES)? })
    }

    pub fn restart_containerd(&mut self, signal: Signal, sandbox_image: &str) -> Result<()> {
        self.containerd.end(signal)?;
        self.containerd = containerd::start_version_2(self.shell, sandbox_image, RUNTIMES)?;
        Ok(())
    }

    pub fn restart_kubelet(&mut self, images_available: &str) -> Result<()> {
        self.kubelet.end(Signal::SIGTERM)?;
        self.kubelet = start_kubelet(self.shell, images_available)?;
        Ok(())
    }

    pub fn end_of_log(&self) -> String {
        let log = self.kubelet.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

pub fn import(shell: &Shell, archive: &Path) -> Result<()> {
    run(cmd!(shell, "ctr --namespace k8s.io images import {archive}")).map(drop)
}

fn start_kubelet(shell: &Shell, images_available: &str) -> Result<Daemon> {
    let configuration = include_str!("kubelet.yaml").replace("IMAGES_AVAILABLE", images_available);
    std::fs::write("/tmp/kubelet.yaml", configuration)?;
    let kubelet = cmd!(
        shell,
        "{KUBERNETES}/kubelet --config /tmp/kubelet.yaml --kubeconfig {KUBECONFIG} --hostname-override {NAME}
         --node-ip 10.98.0.1"
    );
    Daemon::start(kubelet, "kubelet")
}
