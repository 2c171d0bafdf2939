//! Crates from registries, as components of an SBOM.

use anyhow::{Context, Result};
use serde_json::{Value, json as object};
use std::collections::BTreeMap;
use xshell::{Shell, cmd};

/// Returns the crates that a package has for a target, by their package URLs. `edges` are the kinds of its dependencies.
pub fn list(shell: &Shell, package: &str, target: &str, edges: &str) -> Result<BTreeMap<String, Value>> {
    let tree = cmd!(shell, "cargo tree --quiet --locked --package {package} --target {target} --no-dedupe");
    let tree = tree.args(["--edges", edges, "--prefix", "none", "--format", "{p}\t{l}\t{r}"]).quiet().read()?;
    let lock = shell.read_file("Cargo.lock")?;
    let mut crates = BTreeMap::new();
    for line in tree.lines() {
        let [package, license, repository] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        let mut words = package.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
        let version = version.trim_start_matches('v');
        let entry = lock.split_once(&format!("name = \"{name}\"\nversion = \"{version}\"\n"));
        let (_, entry) = entry.with_context(|| format!("Cargo.lock has no {name} {version}"))?;
        let mut entry = entry.lines().take_while(|line| !line.is_empty());
        // This repository's own have none.
        let Some(digest) = entry.find_map(|line| line.strip_prefix("checksum = ")) else { continue };
        let purl = format!("pkg:cargo/{name}@{version}");
        let component = object!({
            "type": "library",
            "bom-ref": purl,
            "name": name,
            "version": version,
            "scope": "required",
            "hashes": [{ "alg": "SHA-256", "content": digest.trim_matches('"') }],
            "licenses": [{ "expression": license }],
            "purl": purl,
            "externalReferences": [{ "type": "vcs", "url": repository }],
        });
        crates.insert(purl, component);
    }
    Ok(crates)
}
