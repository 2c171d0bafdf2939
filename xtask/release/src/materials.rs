//! The crates and compilers of a release.

use anyhow::{Context, Result};
use cargo_lock::Lockfile;
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use xshell::{Shell, cmd};
use xtask::build::Binary;
use xtask::compiler::{Compiler, Toolchain};
use xtask::digest::sha256;
use xtask::platform::{PLATFORMS, Platform};

/// All of them.
pub struct Materials {
    /// The crates that are linked into the program.
    pub linked: BTreeSet<Crate>,
    /// The crates that took part: those, and the dependencies of this command.
    pub used: BTreeSet<Crate>,
    /// The compilers of the program.
    pub compilers: Vec<Rustc>,
}

/// A crate from a registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 digest of its archive in `Cargo.lock`, in hexadecimal.
    pub checksum: Option<String>,
    /// Its licence.
    pub license: Option<String>,
}

/// A compiler, with the `core` that it used.
pub struct Rustc {
    /// Which one.
    pub compiler: Compiler,
    /// Its version.
    pub version: String,
    /// The commit that it was built from.
    pub commit: Option<String>,
    /// The platforms that it built for.
    pub platforms: Vec<&'static Platform>,
    /// The compiled `core` that came with it: names of files and their digests.
    pub core: Vec<(String, String)>,
    /// Debian's packages of it, with their versions.
    pub packages: Vec<String>,
}

impl Materials {
    /// Asks cargo and the compilers.
    pub fn gather(shell: &Shell, binaries: &[Binary]) -> Result<Self> {
        let targets: BTreeSet<_> = PLATFORMS.iter().map(|platform| platform.target).collect();
        let linked = dependencies(shell, "pause", targets, &[DependencyKind::Normal])?;
        let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
        let mut used = dependencies(
            shell,
            env!("CARGO_PKG_NAME"),
            [host.as_str()],
            &[DependencyKind::Normal, DependencyKind::Build],
        )?;
        used.extend(linked.iter().cloned());
        Ok(Self { linked, used, compilers: compilers(shell, binaries)? })
    }
}

impl Rustc {
    /// Its name for readers.
    pub fn name(&self) -> String {
        format!("{} rustc {}", self.compiler, self.version)
    }
}

/// The crates from registries that a package of this repository depends on, directly and indirectly, on these targets.
fn dependencies<'a>(
    shell: &Shell,
    package: &str,
    targets: impl IntoIterator<Item = &'a str>,
    kinds: &[DependencyKind],
) -> Result<BTreeSet<Crate>> {
    let lock = Lockfile::load(shell.current_dir().join("Cargo.lock"))?;
    let mut options = vec!["--locked".to_string()];
    options.extend(targets.into_iter().map(|target| format!("--filter-platform={target}")));
    let mut command = MetadataCommand::new();
    let metadata = command.manifest_path(shell.current_dir().join("Cargo.toml")).other_options(options).exec()?;
    let graph = metadata.resolve.as_ref().context("cargo resolves dependencies")?;
    let package = metadata.workspace_packages().into_iter().find(|one| one.name.as_str() == package);
    let package = &package.context("a package of this repository")?.id;

    let (mut found, mut next) = (BTreeSet::from([package]), vec![package]);
    while let Some(package) = next.pop() {
        let node = graph.nodes.iter().find(|node| node.id == *package).context("each package is in the graph")?;
        for dependency in &node.deps {
            let is_needed = dependency.dep_kinds.iter().any(|kind| kinds.contains(&kind.kind));
            if is_needed && found.insert(&dependency.pkg) {
                next.push(&dependency.pkg);
            }
        }
    }
    let packages = found.into_iter().map(|id| &metadata[id]).filter(|package| package.source.is_some());
    let crates = packages.map(|package| {
        let (name, version) = (package.name.to_string(), &package.version);
        let locked = lock.packages.iter().find(|locked| locked.name.as_str() == name && locked.version == *version);
        let checksum = locked.and_then(|locked| locked.checksum.as_ref()).map(ToString::to_string);
        Crate { name, version: version.to_string(), checksum, license: package.license.clone() }
    });
    Ok(crates.collect())
}

/// The compilers of these binaries.
fn compilers(shell: &Shell, binaries: &[Binary]) -> Result<Vec<Rustc>> {
    let mut all: BTreeMap<String, Rustc> = BTreeMap::new();
    for Binary { platform, compiler, .. } in binaries {
        let name = compiler.to_string();
        if !all.contains_key(&name) {
            all.insert(name.clone(), ask(shell, *compiler)?);
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

/// Asks a compiler for its version, and dpkg for its packages.
fn ask(shell: &Shell, compiler: Compiler) -> Result<Rustc> {
    let rustc = Toolchain::of(shell, compiler)?.rustc;
    let text = cmd!(shell, "{rustc} -vV").quiet().read()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(String::from);
    let mut packages = Vec::new();
    if compiler == Compiler::Debian {
        let format = "--showformat=${Package} ${Version}\\n";
        let list = cmd!(shell, "dpkg-query --show {format} rustc-web rust-web-src lld-22").quiet().read()?;
        packages.extend(list.lines().map(String::from));
    }
    let version = field("release: ").context("a compiler has a version")?;
    // A package may have been built without git.
    let commit = field("commit-hash: ").filter(|commit| commit != "unknown");
    Ok(Rustc { compiler, version, commit, platforms: Vec::new(), core: Vec::new(), packages })
}
