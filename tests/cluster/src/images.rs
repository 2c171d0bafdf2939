//! Which images the kubelet's garbage collection takes, and which containerd's setting of the sandbox image keeps.

use crate::Cluster;
use crate::node::{self, COLLECTION, Disk};
use anyhow::{Context, Result, ensure};
use e2e::host::{Check, Scene};
use e2e::hosts::containerd::SOCKET;
use e2e::hosts::cri::{Client, Done, Image, ImageRequest, ImageSpec, ImageStatusResponse};
use e2e::images::REFERENCE;
use e2e::{archive, command};
use nix::sys::signal::Signal;
use serde_json::json;
use std::path::Path;
use xshell::cmd;

const KEPT: Check = Check {
    name: "image garbage collection takes an image that nobody uses, and leaves the sandbox image",
    broken_by: &[],
};
const PINNED: Check = Check {
    name: "containerd pins at its start what its setting names, and what that named before stays pinned",
    broken_by: &[],
};
const UNPINNED: Check =
    Check { name: "what the setting named before is unpinned once both its names are", broken_by: &[] };
const TAKEN: Check =
    Check { name: "image garbage collection then takes it, and leaves what the setting names", broken_by: &[] };
const REMOVED: Check = Check { name: "a pinned image can be removed through the CRI", broken_by: &[] };

/// An image that nobody uses.
const UNUSED: &str = "localhost/unused:e2e";

/// Runs these checks. No pod may be there.
pub fn check(cluster: &mut Cluster, scene: &mut Scene) -> Result<()> {
    let unused = Path::new("/tmp/unused.tar");
    archive::write(unused, UNUSED, &json!({ "Cmd": ["/unused"] }), &[("unused", Path::new("/etc/hostname"))])?;
    node::import(cluster.shell, unused)?;
    cluster.node.restart_kubelet(Disk::Small)?;
    scene.check(&KEPT, check_collection(UNUSED, REFERENCE));

    // The same the other way round. There is room until the setting names the other one.
    cluster.node.restart_kubelet(Disk::Large)?;
    node::import(cluster.shell, unused)?;
    wait_for_pin(UNUSED, false)?;
    cluster.node.restart_containerd(Signal::SIGTERM, UNUSED)?;
    scene.check(&PINNED, [UNUSED, REFERENCE].iter().try_for_each(|name| wait_for_pin(name, true)));
    scene.check(&UNPINNED, unpin(cluster, REFERENCE));
    cluster.node.restart_kubelet(Disk::Small)?;
    scene.check(&TAKEN, check_collection(REFERENCE, UNUSED));

    let _: Done = Client::connect(SOCKET)?.ask_images("RemoveImage", request(UNUSED))?;
    scene.check(&REMOVED, find(UNUSED)?.is_none().then_some(()).context("it is there still"));
    Ok(())
}

/// Waits until the kubelet has taken one image, and checks that it has left another.
fn check_collection(taken: &str, left: &str) -> Result<()> {
    ensure!(command::within(COLLECTION, || Ok(find(taken)?.is_none()))?, "{taken} is there still");
    find(left)?.map(drop).with_context(|| format!("{left} is gone, too"))
}

/// Waits until an image is there, and pinned or not.
fn wait_for_pin(name: &str, pinned: bool) -> Result<()> {
    let is_so = command::becomes_so(|| Ok(find(name)?.is_some_and(|image| image.pinned == pinned)))?;
    ensure!(is_so, "{name}, which should{} be pinned, is {:?}", if pinned { "" } else { " not" }, find(name)?);
    Ok(())
}

/// Removes the pin from both names that containerd has for an image. Its setting must name another one: it would pin
/// this one again as soon as it hears of the change.
/// <https://github.com/containerd/containerd/blob/v2.1.4/internal/cri/server/images/image_pull.go#L425-L471>
fn unpin(cluster: &Cluster, name: &str) -> Result<()> {
    let Image { id, .. } = find(name)?.context("it is not there")?;
    for name in [name, &id] {
        command::read(cmd!(cluster.shell, "ctr --namespace k8s.io images label {name} io.cri-containerd.pinned="))?;
    }
    wait_for_pin(name, false)
}

/// An image, as Kubernetes sees it.
fn find(name: &str) -> Result<Option<Image>> {
    let status: ImageStatusResponse = Client::connect(SOCKET)?.ask_images("ImageStatus", request(name))?;
    Ok(status.image)
}

fn request(name: &str) -> ImageRequest {
    ImageRequest { image: Some(ImageSpec { image: name.into() }) }
}
