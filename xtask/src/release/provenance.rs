//! SLSA provenance v1, in an in-toto statement.

use super::git_state::TAG;
use super::{Arguments, Files, GitState, VERSION, crates, json};
use crate::build::Binary;
use crate::compiler::{Compiler, Toolchain};
use crate::digest::sha256;
use crate::image::Contents;
use crate::platform::PLATFORMS;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json as object};
use std::collections::{BTreeMap, BTreeSet};
use xshell::{Shell, cmd};

pub const TYPE: &str = "application/vnd.in-toto+json";
pub const RUST: &str = "https://github.com/rust-lang/rust";

/// The default builder: a machine of the person who signs the release.
pub const RELEASER: &str = "urn:pause:builder:releaser";

/// docs/release.md describes its parameters.
const BUILD_TYPE: &str = "urn:pause:build:release:v1";

/// Parses `--builder`.
pub fn parse_builder(text: &str) -> Result<String> {
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.chars().all(is_plain);
    let is_uri = is_scheme && !rest.is_empty() && text.chars().all(|char| char.is_ascii_graphic());
    ensure!(is_uri, "a builder is a URI, like https://ci.example/builder/v1");
    Ok(text.into())
}

/// A compiler, with its `core`.
pub struct Rustc {
    pub compiler: Compiler,
    pub name: String,
    pub version: String,
    pub commit: Option<String>,
    /// File names and digests of the compiled `core` that it came with.
    pub core: BTreeMap<String, String>,
    packages: Vec<String>,
    platforms: Vec<&'static str>,
}

impl Rustc {
    pub fn all(shell: &Shell, binaries: &[Binary]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for compiler in [Compiler::Active, Compiler::Private, Compiler::Debian] {
            let built = binaries.iter().filter(|binary| binary.compiler == compiler).map(|binary| binary.platform);
            let platforms: Vec<_> = built.clone().map(|platform| platform.name).collect();
            if platforms.is_empty() {
                continue;
            }
            let toolchain = Toolchain::of(shell, compiler)?;
            let rustc = &toolchain.rustc;
            let text = cmd!(shell, "{rustc} -vV").quiet().read()?;
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(String::from);
            let version = field("release: ").context("rustc prints no release")?;
            // A package may have been built without git.
            let commit = field("commit-hash: ").filter(|commit| commit != "unknown");
            let (mut core, mut packages) = (BTreeMap::new(), Vec::new());
            if compiler == Compiler::Debian {
                // It builds `core` from source, and so does any other for targets that it has no `core` for.
                let format = "--showformat=${Package} ${Version}\\n";
                let list = cmd!(shell, "dpkg-query --show {format} rustc-web rust-web-src lld-22").quiet().read()?;
                packages.extend(list.lines().map(String::from));
            } else {
                let found = built.filter_map(|platform| Some((platform.target, toolchain.core(platform.target)?)));
                for (target, file) in found {
                    let name = file.file_name().unwrap_or_default().to_string_lossy();
                    core.insert(format!("{target}/{name}"), sha256(&std::fs::read(&file)?));
                }
            }
            let name = format!("{compiler} rustc {version}");
            all.push(Self { compiler, name, version, commit, core, packages, platforms });
        }
        Ok(all)
    }
}

/// Writes the provenance of these files and of the image whose index has this digest.
pub fn write(
    shell: &Shell,
    compilers: &[Rustc],
    Arguments { contents, builder }: &Arguments,
    state: &GitState,
    index: &str,
    files: &Files,
) -> Result<Vec<u8>> {
    let Contents { annotations, links, user, .. } = contents;
    let references = contents.references();
    let subject = |name: &str, digest: &str| object!({ "name": name, "digest": { "sha256": digest } });
    let image = references.iter().map(|name| subject(name, index));
    let subjects: Vec<_> = image.chain(files.iter().map(|(name, content)| subject(name, &sha256(content)))).collect();

    let mut source = object!({ "digest": { "gitCommit": state.commit } });
    match &state.origin {
        Some(origin) => source["uri"] = format!("{origin}@refs/tags/{TAG}").into(),
        None => source["name"] = "pause".into(),
    }
    let dependencies = [vec![source], resolved_dependencies(shell, compilers)?].concat();
    json(object!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "command": "cargo xtask release",
                    "version": VERSION,
                    "names": references,
                    "annotations": annotations.iter().cloned().collect::<BTreeMap<_, _>>(),
                    "links": links,
                    "user": user,
                },
                "resolvedDependencies": dependencies,
            },
            "runDetails": { "builder": { "id": builder } },
        },
    }))
}

/// Returns resource descriptors of the compilers, and of the registries' crates in the program and in this command.
fn resolved_dependencies(shell: &Shell, compilers: &[Rustc]) -> Result<Vec<Value>> {
    let mut descriptors = Vec::new();
    for Rustc { name, commit, packages, platforms, .. } in compilers {
        let annotations = object!({ "platforms": platforms, "packages": packages });
        let mut descriptor = object!({ "name": name, "uri": format!("git+{RUST}"), "annotations": annotations });
        if let Some(commit) = commit {
            descriptor["digest"] = object!({ "gitCommit": commit });
        }
        descriptors.push(descriptor);
    }
    let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
    let targets = PLATFORMS.iter().map(|platform| ("pause", platform.target)).chain([("xtask", &*host)]);
    let mut all = BTreeMap::new();
    for (package, target) in targets.collect::<BTreeSet<_>>() {
        all.extend(crates::list(shell, package, target, "normal,build")?);
    }
    let descriptor =
        |(purl, part): (String, Value)| object!({ "uri": purl, "digest": { "sha256": part["hashes"][0]["content"] } });
    descriptors.extend(all.into_iter().map(descriptor));
    Ok(descriptors)
}
