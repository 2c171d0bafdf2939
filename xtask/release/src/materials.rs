//! What the program and its release are made of: crates and compilers.

use anyhow::{Context, Result};
use cargo_lock::Lockfile;
use cargo_metadata::{DependencyKind, MetadataCommand};
use rustc_version::VersionMeta;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use xshell::{Shell, cmd};
use xtask::build::Binary;
use xtask::compiler::{Compiler, Toolchain};
use xtask::digest::sha256;
use xtask::platform::{PLATFORMS, Platform};

/// All of it.
pub struct Materials {
    /// The crates that are linked into the program, with their licences.
    pub crates: Vec<Crate>,
    /// All crates that had a part in the release: those, and what the release is made with.
    pub used: Vec<Crate>,
    /// The compilers.
    pub compilers: Vec<Rustc>,
}

/// A crate from a registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 digest of its archive, as `Cargo.lock` has it, in hexadecimal.
    pub checksum: Option<String>,
    /// Its licence, where it is known.
    pub license: Option<String>,
}

/// A compiler that built a part of the release, with the `core` that it used.
pub struct Rustc {
    /// Which one.
    pub compiler: Compiler,
    /// What it says of itself.
    pub version: VersionMeta,
    /// What it built for.
    pub platforms: Vec<&'static Platform>,
    /// The compiled `core` that came with it: names of files and their digests.
    pub core: Vec<(String, String)>,
}

impl Materials {
    /// Asks cargo and the compilers.
    ///
    /// # Errors
    /// Where one does not answer.
    pub fn gather(shell: &Shell, binaries: &[Binary]) -> Result<Self> {
        let lock = Lockfile::load(shell.current_dir().join("Cargo.lock"))?;
        let crates = linked(shell, &lock)?;
        let mut used: BTreeSet<_> = closure(&lock, env!("CARGO_PKG_NAME"));
        used.extend(crates.iter().cloned().map(|linked| Crate { license: None, ..linked }));
        Ok(Self { crates, used: used.into_iter().collect(), compilers: compilers(shell, binaries)? })
    }
}

impl Rustc {
    /// What one calls it: whose it is, and its version.
    pub fn name(&self) -> String {
        format!("{} rustc {}", self.compiler, self.version.semver)
    }
}

/// The crates that are linked into the program.
fn linked(shell: &Shell, lock: &Lockfile) -> Result<Vec<Crate>> {
    let targets: BTreeSet<_> = PLATFORMS.iter().map(|platform| platform.target).collect();
    let mut options = vec!["--locked".to_string()];
    options.extend(targets.into_iter().map(|target| format!("--filter-platform={target}")));
    let mut command = MetadataCommand::new();
    let metadata = command.manifest_path(shell.current_dir().join("Cargo.toml")).other_options(options).exec()?;
    let program = metadata.root_package().context("the repository's root is the program's package")?;
    let graph = metadata.resolve.as_ref().context("cargo resolves what packages depend on")?;

    let (mut found, mut next) = (BTreeSet::new(), vec![&program.id]);
    while let Some(package) = next.pop() {
        let node = graph.nodes.iter().find(|node| node.id == *package).context("each package is in the graph")?;
        for dependency in &node.deps {
            let is_linked = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if is_linked && found.insert(&dependency.pkg) {
                next.push(&dependency.pkg);
            }
        }
    }
    let mut crates = Vec::new();
    for package in found.into_iter().map(|id| &metadata[id]) {
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let locked =
            lock.packages.iter().find(|locked| locked.name.as_str() == name && locked.version == package.version);
        let checksum = locked.and_then(|locked| locked.checksum.as_ref()).map(ToString::to_string);
        crates.push(Crate { name, version, checksum, license: package.license.clone() });
    }
    crates.sort();
    Ok(crates)
}

/// The crates that this package is made of, itself and those of this repository apart: they are the source.
fn closure(lock: &Lockfile, package: &str) -> BTreeSet<Crate> {
    let (mut seen, mut crates) = (BTreeSet::new(), BTreeSet::new());
    let mut next: Vec<_> = lock.packages.iter().filter(|locked| locked.name.as_str() == package).collect();
    while let Some(locked) = next.pop() {
        if !seen.insert((&locked.name, &locked.version)) {
            continue;
        }
        if locked.source.is_some() {
            crates.insert(Crate {
                name: locked.name.to_string(),
                version: locked.version.to_string(),
                checksum: locked.checksum.as_ref().map(ToString::to_string),
                license: None,
            });
        }
        let is_needed = |other: &&cargo_lock::Package| locked.dependencies.iter().any(|needed| needed.matches(other));
        next.extend(lock.packages.iter().filter(is_needed));
    }
    crates
}

/// The compilers of these binaries.
fn compilers(shell: &Shell, binaries: &[Binary]) -> Result<Vec<Rustc>> {
    let mut all: BTreeMap<String, Rustc> = BTreeMap::new();
    for Binary { platform, compiler, .. } in binaries {
        let name = compiler.to_string();
        if !all.contains_key(&name) {
            let rustc = Toolchain::of(shell, *compiler)?.rustc;
            let version = rustc_version::version_meta_for(&cmd!(shell, "{rustc} -vV").quiet().read()?)?;
            let rustc = Rustc { compiler: *compiler, version, platforms: Vec::new(), core: Vec::new() };
            all.insert(name.clone(), rustc);
        }
        all.get_mut(&name).context("it is there now")?.platforms.push(platform);
    }
    let mut all: Vec<_> = all.into_values().collect();
    // Debian's compiles `core` from its source, and so does any other for targets that it has no `core` for.
    for rustc in all.iter_mut().filter(|rustc| rustc.compiler != Compiler::Debian) {
        let toolchain = Toolchain::of(shell, rustc.compiler)?;
        let targets: BTreeSet<_> = rustc.platforms.iter().map(|platform| platform.target).collect();
        for (target, core) in targets.into_iter().filter_map(|target| Some((target, toolchain.core(target)?))) {
            let name = core.file_name().unwrap_or_default().to_string_lossy();
            rustc.core.push((format!("{target}/{name}"), sha256(&fs::read(&core)?)));
        }
    }
    Ok(all)
}
