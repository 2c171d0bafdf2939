//! Other releases of Debian, for other generations of the hosts.

use crate::{busybox, hosts, sandbox};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::needs::Needs;
use xtask::{note, output};

/// What newer releases have apart from the packages that the hosts name.
const PACKAGES: [&str; 5] = ["aardvark-dns", "docker-cli", "netavark", "nftables", "passt"];

/// What this machine's release is called, where it says so.
pub fn of_this_machine() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(name.trim_matches('"').into())
}

/// Holds the root file systems of releases. Their files belong to root and other users, so none is in the checkout.
const CACHE: &str = "/var/cache/pause-e2e";

/// The packages that the hosts of a release name.
fn packages(release: &str) -> impl Iterator<Item = &'static str> {
    let hosts = hosts::all().filter(move |host| host.reason_to_skip(release).is_none());
    let named = hosts.flat_map(|host| host.packages).chain([&busybox::PACKAGE, &sandbox::PACKAGE]);
    named.map(|(_, package)| *package)
}

/// Whether a root file system is there, with all that the hosts need today.
fn is_whole(path: &Path, release: &str) -> bool {
    packages(release).all(|package| path.join(format!("var/lib/dpkg/info/{package}.list")).exists())
}

/// Adds what making the root file system of a release takes.
pub fn add_needs(needs: &mut Needs, release: &str) {
    if !is_whole(&Path::new(CACHE).join(release), release) {
        needs.file("debootstrap", "debootstrap", "install another release of Debian in a folder");
    }
}

/// Makes the root file system of a release, with all hosts' packages, unless it is there. Returns the folder.
///
/// # Errors
/// Where it can't be made.
pub fn root(shell: &Shell, release: &str) -> Result<PathBuf> {
    let path = Path::new(CACHE).join(release);
    if is_whole(&path, release) {
        return Ok(path);
    }
    if path.exists() {
        note!("{} lacks what the hosts need today, and is made anew", path.display());
        fs::remove_dir_all(&path)?;
    }
    let mirror =
        cmd!(shell, "apt-get indextargets --format $(REPO_URI)").args(["Created-By: Packages"]).quiet().read()?;
    let mirror = mirror.lines().next().context("this machine's apt knows no mirror of Debian")?;
    let packages: BTreeSet<&str> = packages(release).chain(PACKAGES).collect();
    let packages = Vec::from_iter(packages).join(",");
    note!("Installing Debian's {release} in {}, which takes some minutes once", path.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(CACHE).with_context(|| format!("can't make {CACHE}"))?;
    output::provide(&path, |new| install(shell, release, &packages, mirror, new))?;
    Ok(path)
}

/// Installs a release in a folder.
fn install(shell: &Shell, release: &str, packages: &str, mirror: &str, folder: &Path) -> Result<()> {
    // debootstrap takes no path with a blank, so the folder gets another one. What is mounted must be gone when somebody
    // removes it, whatever ended this.
    let place = tempfile::tempdir()?;
    let place = place.path();
    let script = "mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"";
    let debootstrap = cmd!(
        shell,
        "unshare --mount sh -ec {script} sh {folder} {place}
         debootstrap --variant=minbase --include={packages} {release} {place} {mirror}"
    );
    debootstrap.env("PATH", sandbox::PATH).ignore_stdout().run().with_context(|| format!("can't install {release}"))
}
