//! The table of hosts.

mod bundle;
pub mod containerd;
pub mod cri;
pub mod crio;
mod criu;
mod docker;
mod gvisor;
mod podman;
pub mod readers;
pub mod registry;
pub mod signing;

use crate::cluster;
use crate::host::Host;
use anyhow::{Context, Result};

/// The hosts that run containers, in the order of their runs, without those that need more than Debian has.
pub static HOSTS: &[Host] = &[
    bundle::CRUN,
    bundle::RUNC,
    bundle::YOUKI,
    criu::CRIU,
    gvisor::GVISOR,
    bundle::NSPAWN,
    bundle::BUBBLEWRAP,
    bundle::LXC,
    bundle::FILE,
    bundle::SYSTEMD,
    bundle::MACHINE,
    containerd::CONTAINERD,
    docker::DOCKER,
    podman::PODMAN,
    podman::ROOTLESS,
    podman::INIT,
    registry::REGISTRY,
    signing::SIGNING,
    signing::VERIFIER,
];

pub fn all() -> impl Iterator<Item = &'static Host> {
    HOSTS.iter().chain(readers::READERS).chain([&crio::HOST, &cluster::HOST])
}

/// Finds a host by its name; the parser of `--host`.
pub fn parse(name: &str) -> Result<&'static Host> {
    let names = || all().map(|host| host.name).collect::<Vec<_>>().join(", ");
    all().find(|host| host.name == name).with_context(|| format!("not a host; the hosts are {}", names()))
}
