//! Which images the kubelet's garbage collection removes, and which containerd's setting of the sandbox image keeps.

use super::Cluster;
use super::node::{self, COLLECT_IMAGES, COLLECTION, KEEP_IMAGES};
use crate::command;
use crate::host::{Fixture, check};
use crate::hosts::cri::{call, find_image};
use crate::images::{self, REFERENCE};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use std::path::Path;
use xshell::cmd;

/// An image that no pod uses.
const UNUSED: &str = "localhost/unused:e2e";

/// Runs these checks. There must be no pods.
pub fn checks(cluster: &mut Cluster, fixture: &mut Fixture) -> Result<()> {
    let (directory, program, config) = (Path::new("/tmp/unused"), Path::new("/etc/hostname"), r#"{"Cmd":["/unused"]}"#);
    let unused = &images::small(cluster.shell, directory, UNUSED, config, program, &["unused"])?;
    node::import(cluster.shell, unused)?;
    cluster.node.restart_kubelet(COLLECT_IMAGES)?;
    let kept = check_collection(UNUSED, REFERENCE);
    fixture.check(&check("image garbage collection removes an unused image and keeps the sandbox image"), kept);

    // Now the other way round. Nothing is collected until the setting names the other image.
    cluster.node.restart_kubelet(KEEP_IMAGES)?;
    node::import(cluster.shell, unused)?;
    wait_for_pin(UNUSED, false)?;
    cluster.node.restart_containerd(Signal::SIGTERM, UNUSED)?;
    let pinned = [UNUSED, REFERENCE].iter().try_for_each(|name| wait_for_pin(name, true));
    let name = "when it starts, containerd pins the image that its setting names; the previous one stays pinned";
    fixture.check(&check(name), pinned);
    let unpinned = unpin(cluster, REFERENCE);
    fixture.check(&check("the previous image is no longer pinned once neither of its names is"), unpinned);
    cluster.node.restart_kubelet(COLLECT_IMAGES)?;
    let taken = check_collection(REFERENCE, UNUSED);
    let name = "image garbage collection then removes the previous image and keeps the one that the setting names";
    fixture.check(&check(name), taken);

    call("ImageService/RemoveImage", &format!("image {{ image: '{UNUSED}' }}"))?;
    let removed = find_image(UNUSED)?.is_none().then_some(()).context("it is still there");
    fixture.check(&check("the CRI can remove a pinned image"), removed);
    Ok(())
}

fn check_collection(removed: &str, kept: &str) -> Result<()> {
    ensure!(command::within(COLLECTION, || Ok(find_image(removed)?.is_none()))?, "{removed} is still there");
    find_image(kept)?.map(drop).with_context(|| format!("{kept} is gone as well"))
}

fn wait_for_pin(name: &str, pinned: bool) -> Result<()> {
    let as_expected = command::becomes_so(|| Ok(find_image(name)?.is_some_and(|(_, is_pinned)| is_pinned == pinned)))?;
    ensure!(as_expected, "{name} should have pinned = {pinned}, but is {:?}", find_image(name)?);
    Ok(())
}

/// Removes the pin from both names that containerd has for an image. Its setting must name another image, or else it
/// pins this one again at once:
/// <https://github.com/containerd/containerd/blob/v2.1.4/internal/cri/server/images/image_pull.go#L425-L471>
fn unpin(cluster: &Cluster, name: &str) -> Result<()> {
    let (id, _) = find_image(name)?.context("the image is missing")?;
    for name in [name, &id] {
        command::read(cmd!(cluster.shell, "ctr --namespace k8s.io images label {name} io.cri-containerd.pinned="))?;
    }
    wait_for_pin(name, false)
}
