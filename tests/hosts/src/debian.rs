//! Releases of Debian, each installed once in a directory with the packages of its hosts.

use crate::{busybox, hosts, sandbox};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::{debian, output, status};

/// Only root can enter it: a tree contains set-user-ID programs that get no updates.
const TREES: &str = "/var/cache/pause-hosts";

/// A tree's list of packages, written when all of them are installed.
const STAMP: &str = "packages";

/// Packages of no host: parts of one package in Debian 12, or recommended by podman.
const NEWER: [&str; 5] = ["aardvark-dns", "docker-cli", "netavark", "nftables", "passt"];

/// This machine's release if hosts have been run on it, otherwise Debian 12.
pub fn default_release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.filter(|name| ["trixie", "sid"].contains(name)).unwrap_or("bookworm").into()
}

fn packages(release: &str) -> BTreeSet<&'static str> {
    let hosts = hosts::all().filter(move |host| host.reason_to_skip(release).is_none());
    let packages = hosts.flat_map(|host| host.packages).chain([&busybox::PACKAGE, &sandbox::PACKAGE]);
    packages.chain(NEWER.iter().filter(|_| release != "bookworm")).copied().collect()
}

fn is_complete(tree: &Path, release: &str) -> bool {
    let installed = fs::read_to_string(tree.join(STAMP)).unwrap_or_default();
    packages(release).iter().all(|package| installed.lines().any(|line| line == *package))
}

/// A release of Debian in a directory. The lock keeps other processes from replacing it.
pub struct Tree {
    pub root: PathBuf,
    _lock: File,
}

impl Tree {
    /// Installs a release with the packages of all its hosts, unless that is done.
    pub fn of(shell: &Shell, release: &str) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(TREES).with_context(|| format!("can't make {TREES}"))?;
        let root = Path::new(TREES).join(release);
        let lock = File::create(root.with_extension("lock"))?;
        lock.lock_shared()?;
        // Between two locks, another process may replace the tree by one with other packages.
        while !is_complete(&root, release) {
            lock.unlock()?;
            lock.lock()?;
            if !is_complete(&root, release) {
                status!("installing Debian's {release} in {}, once; this takes one or two minutes", root.display());
                shell.remove_path(&root)?;
                let installed = output::provide(&root, |tree| install(shell, release, tree));
                installed.with_context(|| format!("can't install Debian's {release}"))?;
            }
            lock.unlock()?;
            lock.lock_shared()?;
        }
        Ok(Self { root, _lock: lock })
    }
}

fn install(shell: &Shell, release: &str, tree: &Path) -> Result<()> {
    let packages = Vec::from_iter(packages(release));
    let (include, mirror) = (packages.join(","), debian::mirror(shell)?);
    // In new namespaces, the mounts and services of packages end with it.
    let debootstrap = cmd!(
        shell,
        "unshare --mount --pid --fork --kill-child debootstrap --force-check-gpg --variant=minbase
         --include={include} {release} {tree} {mirror}"
    );
    debootstrap.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").quiet().ignore_stdout().run()?;
    fs::remove_dir_all(tree.join("var/cache/apt/archives"))?;
    Ok(fs::write(tree.join(STAMP), packages.join("\n"))?)
}
