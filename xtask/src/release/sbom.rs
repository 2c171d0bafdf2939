//! The SBOM, in CycloneDX 1.5. `cargo-cyclonedx` lists the crates; the binaries and `core` are added here.

use super::provenance::{RUST, Rustc};
use super::{VERSION, json};
use crate::build::Binary;
use crate::digest::sha256;
use crate::image::LICENSES;
use crate::{sources, status};
use anyhow::{Context, Result};
use serde_json::{Value, json as object};
use std::path::PathBuf;
use std::{env, fs};
use xshell::{Shell, cmd};

pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// The version of cargo-cyclonedx, which is in the SBOM: another one may give other bytes.
const TOOL: &str = "0.5.9";

/// Installs cargo-cyclonedx in cargo's target directory, and returns its path.
pub fn ensure_installed(shell: &Shell) -> Result<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    let root = shell.current_dir().join(target).join(format!("tools/cargo-cyclonedx-{TOOL}"));
    let tool = root.join(format!("bin/cargo-cyclonedx{}", env::consts::EXE_SUFFIX));
    if !tool.exists() {
        status!("compiling cargo-cyclonedx {TOOL} in the target directory");
        // Unoptimised, it compiles sooner than it would save.
        let options = ["--quiet", "--locked", "--profile", "dev", "--config", "profile.dev.debug=false"];
        let install = cmd!(shell, "cargo install {options...} --root {root} cargo-cyclonedx@{TOOL}");
        install.quiet().run().context("can't install cargo-cyclonedx")?;
    }
    Ok(tool)
}

/// Writes the SBOM of these binaries and of the image whose index has this digest.
pub fn write(shell: &Shell, binaries: &[Binary], compilers: &[Rustc], index: &str) -> Result<Vec<u8>> {
    let tool = ensure_installed(shell)?;
    // It writes a file next to every manifest.
    let copy = tempfile::tempdir()?;
    sources::copy(&shell.current_dir(), copy.path())?;
    let manifest = copy.path().join("Cargo.toml");
    let options = ["--quiet", "--format", "json", "--spec-version", "1.5", "--target", "all", "--no-build-deps"];
    let list = cmd!(shell, "{tool} cyclonedx {options...} --manifest-path {manifest}");
    list.env("SOURCE_DATE_EPOCH", "0").quiet().run().context("can't list the program's crates")?;
    let mut sbom: Value = serde_json::from_slice(&fs::read(copy.path().join("pause.cdx.json"))?)?;
    let components = sbom["components"].as_array_mut().context("the SBOM lists no components")?;
    components.retain(|component| component["scope"] == "required");
    components.extend(compilers.iter().map(core));
    let names: Vec<_> = components.iter().map(|component| component["bom-ref"].clone()).collect();

    let mut files = Vec::new();
    for binary in binaries {
        let rustc = compilers.iter().find(|rustc| rustc.compiler == binary.compiler);
        let mut file = file(&binary.file_name(), &sha256(&binary.content));
        file["properties"] = object!([
            { "name": "pause:platform", "value": binary.platform.name },
            { "name": "pause:compiler", "value": rustc.context("a binary without a compiler")?.name },
        ]);
        files.push(file);
    }
    let program = format!("pause@{VERSION}");
    sbom["dependencies"] = object!([{ "ref": program, "dependsOn": names }]);
    sbom["metadata"]["component"] = object!({
        "type": "application",
        "bom-ref": program,
        "name": "pause",
        "version": VERSION,
        "licenses": [{ "expression": LICENSES }],
        "purl": format!("pkg:oci/pause@sha256%3A{index}"),
        "components": files,
    });
    // The tool omits a random serial number, but not the time.
    sbom["metadata"].as_object_mut().context("the SBOM has no metadata")?.remove("timestamp");
    json(sbom)
}

/// The component of a compiler's `core`.
fn core(rustc: &Rustc) -> Value {
    let files: Vec<_> = rustc.core.iter().map(|(name, digest)| file(name, digest)).collect();
    let mut component = object!({
        "type": "library",
        "bom-ref": format!("core of {}", rustc.name),
        "name": "core",
        "version": rustc.version,
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        "properties": [{ "name": "pause:compiler", "value": rustc.name }],
        "components": files,
    });
    if let Some(commit) = &rustc.commit {
        component["externalReferences"] = object!([{ "type": "vcs", "url": format!("{RUST}/tree/{commit}") }]);
    }
    component
}

fn file(name: &str, digest: &str) -> Value {
    object!({ "type": "file", "name": name, "hashes": [{ "alg": "SHA-256", "content": digest }] })
}
