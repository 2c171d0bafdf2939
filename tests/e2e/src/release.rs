//! Other releases of Debian, for other generations of the hosts.

use super::{HOSTS, common};
use crate::install;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use xshell::{Shell, cmd};

/// What newer releases have apart from the packages that the hosts name.
const PACKAGES: [&str; 6] = ["aardvark-dns", "docker-cli", "iproute2", "netavark", "nftables", "passt"];

/// The parser of `--release`.
///
/// # Errors
/// Where it can't be one.
pub fn parse(name: &str) -> Result<String> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    ensure!(is_name, "a release of Debian has a name like trixie or sid");
    Ok(name.into())
}

/// Makes a root file system of a release, with all hosts' packages, unless it is there. Returns the folder.
///
/// # Errors
/// Where it can't be made.
pub fn root(shell: &Shell, release: &str) -> Result<PathBuf> {
    let folder = shell.current_dir().join("target/e2e").join(release);
    if folder.exists() {
        return Ok(folder);
    }
    install::ensure(shell, "debootstrap", &["debootstrap"], "install another release of Debian in a folder")?;
    let mirror =
        cmd!(shell, "apt-get indextargets --format $(REPO_URI)").args(["Created-By: Packages"]).quiet().read()?;
    let mirror = mirror.lines().next().context("this machine's apt knows no mirror of Debian")?;
    let hosts = HOSTS.iter().flat_map(|host| host.packages).chain(common::PACKAGES);
    let packages: BTreeSet<&str> = hosts.map(|(_, package)| *package).chain(PACKAGES).collect();
    let packages = Vec::from_iter(packages).join(",");
    let parent = folder.parent().context("a folder in a folder")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::tempdir_in(parent)?;
    let new = staging.path().join(release);
    println!("Installing Debian's {release} in {}, which takes some minutes once", folder.display());
    cmd!(shell, "debootstrap --variant=minbase --include={packages} {release} {new} {mirror}").ignore_stdout().run()?;
    fs::rename(new, &folder)?;
    Ok(folder)
}
