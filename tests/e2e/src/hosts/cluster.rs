//! A Kubernetes cluster of one node: its own control plane and kubelet over containerd 2, with the image under every
//! pod.
//!
//! What talks to its API server is a program of its own, `tests/cluster`: the client and the types of Kubernetes'
//! objects take longer to compile than all other hosts together.

use crate::golden::NONE;
use crate::host::{Host, STAND_INS, Scene};
use anyhow::{Context, Result, bail, ensure};
use std::env::{split_paths, var_os};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xtask::command::cargo_for;
use xtask::table::Table;

/// One row of the table.
pub const HOST: Host = Host {
    name: "cluster",
    title: "Kubernetes, over containerd",
    packages: &[
        "containerd",
        "runc",
        "crun",
        "containernetworking-plugins",
        "etcd-server",
        "kubernetes-client",
        "openssl",
    ],
    absent_from: &[
        ("bookworm", "has a containerd that speaks to no kubelet of today"),
        ("trixie", "has a containerd that speaks to no kubelet of today"),
    ],
    crates: &[],
    version: &[&["/opt/kubernetes/kubelet", "--version"], &["containerd", "--version"]],
    stand_ins: STAND_INS,
    checks,
};

/// The golden table of what was measured, relative to the repository.
pub const FIGURES: &str = "tests/e2e/cluster.txt";

/// Its headings: what, and the programs with which it was measured.
const HEADINGS: [&str; 4] = ["measurement", "pause", "upstream", "deaf to SIGTERM"];

/// The table of what was measured. A row may leave out programs at its end.
pub fn table(figures: &[Vec<String>]) -> Table {
    let mut table = Table::new(HEADINGS);
    for row in figures {
        let rest = HEADINGS[row.len()..].iter().map(|_| NONE);
        table.push(row.iter().map(String::as_str).chain(rest));
    }
    table
}

/// What Debian does not package.
const PROGRAMS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"];

/// Where they are in a sandbox.
pub const KUBERNETES: &str = "/opt/kubernetes";

/// Where the pause program is that another is measured beside, if there is one.
pub const UPSTREAM: &str = "/opt/upstream/pause";

/// The package of the program that runs the checks, which is its executable's name too, and where it is in a sandbox.
const PACKAGE: &str = "cluster";
const PROGRAM: &str = "/opt/cluster";

/// What a sandbox is shown: Kubernetes' programs, from this folder or else from `PATH`, and what else is given.
///
/// # Errors
/// Where one of them is nowhere.
pub fn shown(folder: Option<&Path>, against: Option<&Path>) -> Result<Vec<(PathBuf, String)>> {
    let path = var_os("PATH").unwrap_or_default();
    let folders = folder.map_or_else(|| split_paths(&path).collect(), |folder| vec![folder.to_owned()]);
    let (mut shown, mut missing) = (Vec::new(), Vec::new());
    for name in PROGRAMS {
        match folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()) {
            Some(file) => shown.push((file.canonicalize()?, below_root(&format!("{KUBERNETES}/{name}")))),
            None => missing.push(name),
        }
    }
    if !missing.is_empty() {
        let place = folder.map_or("PATH".into(), |folder| folder.display().to_string());
        bail!(
            "`cargo xtask e2e --host {}` needs {}, which {place} has not; they are in the server archive of Kubernetes \
             1.36 (https://kubernetes.io/releases/download): unpack it and give --kubernetes DIR",
            HOST.name,
            missing.join(" and ")
        );
    }
    shown.extend(against.map(|file| (file.to_owned(), below_root(UPSTREAM))));
    Ok(shown)
}

/// The same, without the slash at the beginning.
pub fn below_root(path: &str) -> String {
    path.trim_start_matches('/').into()
}

/// Builds the program that runs the checks. Returns where it is, and where a sandbox is to be shown it.
///
/// # Errors
/// Where it can't be built.
pub fn build(repository: &Path) -> Result<(PathBuf, String)> {
    let mut cargo = cargo_for("build", PACKAGE, repository);
    let output = cargo.args(["--message-format", "json"]).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "can't build the checks of a cluster");
    let messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let executables = messages.filter_map(|message| message.ok()?["executable"].as_str().map(PathBuf::from));
    let program = executables.last().context("cargo names no executable")?;
    Ok((program, below_root(PROGRAM)))
}

fn checks(scene: &mut Scene) -> Result<()> {
    let output = Command::new(PROGRAM).arg(scene.repository).arg(scene.archive).stderr(Stdio::inherit()).output()?;
    let report = serde_json::from_slice(&output.stdout);
    scene.adopt(report.with_context(|| format!("the checks ended in the middle: {}", output.status))?)
}
