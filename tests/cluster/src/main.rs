//! A Kubernetes cluster of one node, and what it must find to be true of the image that is under each of its pods.
//!
//! `cargo xtask e2e --host cluster` builds this and runs it in a sandbox, once with the image and once with each
//! stand-in. It writes what it found to standard output.

mod figures;
mod images;
mod kubernetes;
mod life;
mod load;
mod manifests;
mod node;
mod policies;
mod sandboxes;

use anyhow::{Result, bail};
use e2e::host::Scene;
use e2e::images::{IMAGE, REFERENCE};
use e2e::{busybox, command};
use harness::wait;
use kubernetes::{Kubernetes, NAMESPACE};
use node::Node;
use std::env::args_os;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use xshell::{Shell, cmd};
use xtask::note;

/// How many seconds anything may take that is not Kubernetes'. A stand-in takes all of them.
const PATIENCE: u64 = 30;

/// What all checks have at hand.
struct Cluster<'a> {
    shell: &'a Shell,
    node: Node<'a>,
    kubernetes: Kubernetes,
    /// The program in the image.
    program: PathBuf,
}

fn main() -> ExitCode {
    match report() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the checks and writes what came of them to standard output.
fn report() -> Result<()> {
    let words: Vec<_> = args_os().skip(1).map(PathBuf::from).collect();
    let [repository, archive] = words.as_slice() else { bail!("a repository and an archive") };
    wait::set_patience(PATIENCE);
    let shell = Shell::new()?;
    let mut scene = Scene::new(&shell, repository, archive);
    let result = check(&mut scene);
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&scene.report(result))?)?)
}

/// Starts the cluster and comes to a verdict on each check.
fn check(scene: &mut Scene) -> Result<()> {
    let shell = scene.shell;
    let busybox = busybox::pack()?;
    let node = Node::start(shell, REFERENCE, &[scene.archive, Path::new(busybox)])?;
    let program = PathBuf::from("/tmp/image/pause");
    shell.create_dir("/tmp/image")?;
    command::read(cmd!(shell, "ctr --namespace k8s.io images mount {REFERENCE} /tmp/image"))?;
    let kubernetes = Kubernetes::new(Path::new(node::ADMINISTRATOR))?;
    let mut cluster = Cluster { shell, node, kubernetes, program };
    let result = cluster.check(scene);
    if result.is_err() {
        note!("the kubelet's last words:\n{}", cluster.node.last_words());
    }
    result
}

impl Cluster<'_> {
    fn check(&mut self, scene: &mut Scene) -> Result<()> {
        self.kubernetes.wait_until_node_is_ready(node::NAME)?;
        self.kubernetes.wait_for_account(NAMESPACE)?;
        life::check(self, scene)?;
        policies::check(self, scene)?;
        // What follows is about the image, and takes minutes: a stand-in has shown what it is before.
        if scene.archive.parent().is_some_and(|folder| folder.ends_with(IMAGE)) {
            manifests::check(self, scene)?;
            let many = load::check(self, scene)?;
            figures::measure(self, scene, many)?;
            images::check(self, scene)?;
        }
        Ok(())
    }
}
