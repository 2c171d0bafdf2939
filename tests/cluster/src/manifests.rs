//! The manifests of the documents: they apply, run, make way, and end.

use crate::kubernetes::NAMESPACE;
use crate::life::sleeper;
use crate::{Cluster, node};
use anyhow::{Context, Result};
use e2e::host::{Check, Scene};
use e2e::{archive, busybox, command};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;
use std::path::Path;
use xshell::cmd;

const GIVES_WAY: Check =
    Check { name: "the documents' placeholders run, and make way for a pod that needs their room", broken_by: &[] };
const PULLS: Check = Check { name: "the documents' early pull has every image run, and then sleeps", broken_by: &[] };
const DEBUG: Check = Check { name: "the documents' place to debug from runs", broken_by: &[] };
const ENDS: Check = Check { name: "what the documents' manifests made ends when they are deleted", broken_by: &[] };

/// The manifests.
const MANIFESTS: [&str; 3] = ["placeholder.yaml", "early-pull.yaml", "debug-target.yaml"];

/// The images that one of them pulls. Here they are small, and there before.
const PULLED: [&str; 2] = ["docker.io/library/busybox:1.37", "docker.io/library/nginx:1.29"];

/// Runs these checks.
pub fn check(cluster: &Cluster, scene: &mut Scene) -> Result<()> {
    let kubernetes = &cluster.kubernetes;
    let busybox = busybox::program()?;
    for name in PULLED {
        let image = Path::new("/tmp/pulled.tar");
        archive::write(image, name, &json!({ "Env": ["PATH=/bin"] }), &[("bin/true", busybox)])?;
        node::import(cluster.shell, image)?;
    }
    let kubectl = |verb: &[&str], manifest: &str| {
        let file = scene.repository.join("docs/manifests").join(manifest);
        let administrator = node::ADMINISTRATOR;
        command::read(cmd!(cluster.shell, "kubectl --kubeconfig {administrator} {verb...} --filename {file}"))
    };
    for manifest in MANIFESTS {
        // Validation by the client wants the whole API's description, which the server may still be writing.
        kubectl(&["apply", "--validate=false"], manifest)?;
    }
    let pulls = kubernetes.wait("the early pull is done", || {
        let set = kubernetes.ask(kubernetes.of::<DaemonSet>(NAMESPACE).get("early-pull"))?;
        Ok(set.status.is_some_and(|status| status.number_available == Some(1)))
    });
    let debug = kubernetes.wait_until_ready(&kubernetes.pods(), "debug-target");
    let placeholders = kubernetes.wait_until_complete("placeholder").and_then(|()| displace(cluster));
    let ends = || {
        for manifest in MANIFESTS {
            kubectl(&["delete"], manifest)?;
        }
        kubernetes.wait_until_empty()
    };
    let ends = ends();
    for (check, result) in [(&PULLS, pulls), (&DEBUG, debug), (&GIVES_WAY, placeholders), (&ENDS, ends)] {
        scene.check(check, result);
    }
    Ok(())
}

/// Runs a pod that needs the room of all placeholders.
fn displace(cluster: &Cluster) -> Result<()> {
    let kubernetes = &cluster.kubernetes;
    let node: Node = kubernetes.ask(kubernetes.all::<Node>().get(node::NAME))?;
    let room =
        node.status.and_then(|status| status.allocatable?.remove("cpu")).context("the node has no processors")?.0;
    let room = match room.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<u64>()?,
        None => room.parse::<u64>()? * 1000,
    };
    let mut spec = sleeper();
    // What is left is less than one of them asks for.
    spec["containers"][0]["resources"] = json!({ "requests": { "cpu": format!("{}m", room - 400) } });
    kubernetes.run("important", spec)?;
    let placeholders = kubernetes.ask(kubernetes.of::<Deployment>(NAMESPACE).get("placeholder"))?;
    let running = placeholders.status.and_then(|status| status.available_replicas).unwrap_or_default();
    kubernetes.delete::<Pod>(&kubernetes.pods(), "important")?;
    (running == 0).then_some(()).with_context(|| format!("{running} placeholders run beside it"))
}
