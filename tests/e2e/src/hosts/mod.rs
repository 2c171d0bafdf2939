//! The table of hosts.

mod bundle;
pub mod cluster;
pub mod containerd;
pub mod cri;
mod docker;
mod gvisor;
mod podman;
pub mod readers;
pub mod registry;
mod rootfs;
pub mod signing;

use crate::host::Host;
use anyhow::{Result, bail};
pub use readers::READERS;

/// Every host, in the order in which they run.
pub static HOSTS: &[Host] = &[
    bundle::CRUN,
    bundle::RUNC,
    bundle::YOUKI,
    gvisor::HOST,
    rootfs::NSPAWN,
    rootfs::BUBBLEWRAP,
    rootfs::LXC,
    containerd::HOST,
    docker::HOST,
    podman::HOST,
    podman::ROOTLESS,
    registry::HOST,
    signing::HOST,
];

/// All hosts.
pub fn all() -> impl Iterator<Item = &'static Host> {
    HOSTS.iter().chain(READERS).chain(NAMED)
}

/// Whether a host only unpacks the image.
pub fn is_reader(host: &Host) -> bool {
    READERS.iter().any(|reader| reader.name == host.name)
}

/// The hosts that are run only where `--host` names them: they take more than Debian has.
pub static NAMED: &[Host] = &[cluster::HOST];

/// The host of that name; the parser of `--host`.
///
/// # Errors
/// Where there is none.
pub fn parse(name: &str) -> Result<&'static Host> {
    match all().find(|host| host.name == name) {
        Some(host) => Ok(host),
        None => {
            let names: Vec<_> = all().map(|host| host.name).collect();
            bail!("there is no such host; there are {}", names.join(", "))
        }
    }
}
