//! The SBOM, in CycloneDX 1.6: what cargo lists for the program, `core`, and the binaries. The VEX document: known
//! vulnerabilities that a scanner may report for the image, and that don't affect it.

use super::provenance::{RUST, Rustc};
use super::{VERSION, crates, json};
use crate::build::Binary;
use crate::digest::sha256;
use crate::image::LICENSES;
use anyhow::{Context, Result};
use serde_json::{Value, json as object};
use std::collections::BTreeMap;
use xshell::Shell;

pub const TYPE: &str = "application/vnd.cyclonedx+json";
pub const VEX_TYPE: &str = "application/vnd.openvex+json";

/// Writes the SBOM of these binaries and of the image whose index has this digest.
pub fn write(shell: &Shell, binaries: &[Binary], compilers: &[Rustc], index: &str, time: &str) -> Result<Vec<u8>> {
    let mut all = BTreeMap::new();
    for binary in binaries {
        all.extend(crates::list(shell, "pause", binary.platform.target, "normal")?);
    }
    let components: Vec<_> = all.into_values().chain(compilers.iter().map(core)).collect();
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
    json(object!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": time,
            "tools": { "components": [{ "type": "application", "name": "cargo xtask release", "version": VERSION }] },
            "component": {
                "type": "application",
                "bom-ref": program,
                "name": "pause",
                "version": VERSION,
                "licenses": [{ "expression": LICENSES }],
                "purl": purl(index),
                "components": files,
            },
        },
        "components": components,
        "dependencies": [{ "ref": program, "dependsOn": names }],
    }))
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

/// Writes the VEX document about the image whose index has this digest.
pub fn write_vex(index: &str, time: &str) -> Result<Vec<u8>> {
    let mut vex: Value = serde_json::from_str(include_str!("pause.openvex.json"))?;
    let product =
        object!({ "@id": purl(index), "hashes": { "sha-256": index }, "identifiers": { "purl": purl(index) } });
    for statement in vex["statements"].as_array_mut().context("a list of statements")? {
        statement["products"] = object!([product]);
    }
    vex["@id"] = format!("https://openvex.dev/docs/pause/{VERSION}/{index}").into();
    vex["timestamp"] = time.into();
    json(vex)
}

/// The package URL of the image whose index has this digest.
fn purl(index: &str) -> String {
    format!("pkg:oci/pause@sha256%3A{index}")
}
