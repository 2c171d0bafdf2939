//! The provenance, as SLSA provenance v1 in an in-toto statement.

use crate::materials::{Crate, Materials};
use crate::preflight::{Source, tag};
use crate::sbom::RUST;
use crate::{Files, VERSION, json};
use anyhow::{Result, bail};
use oci_spec::image::Descriptor;
use serde_json::{Map, Value, json as object};
use std::collections::BTreeMap;
use xtask::digest::sha256;
use xtask::image::Contents;

/// Its media type.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";

/// The default builder: the person who signs the release, on a machine of theirs.
pub const RELEASER: &str = "urn:pause:builder:releaser";

/// docs/release.md describes its parameters.
const BUILD_TYPE: &str = "urn:pause:build:release:v1";

/// Parses `--builder`.
pub fn parse_builder(text: &str) -> Result<String> {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char))
    };
    match text.split_once(':') {
        Some((scheme, rest))
            if is_scheme(scheme) && !rest.is_empty() && text.chars().all(|char| char.is_ascii_graphic()) =>
        {
            Ok(text.into())
        }
        _ => bail!("a builder is a URI, like https://ci.example/builder/v1"),
    }
}

/// Writes the provenance of these files and of the image that has this index.
pub fn write(
    contents: &Contents,
    builder: &str,
    source: &Source,
    materials: &Materials,
    index: &Descriptor,
    files: &Files,
) -> Result<Vec<u8>> {
    let Contents { references, annotations, links, user } = contents;
    let image =
        references.iter().map(|name| object!({ "name": name, "digest": { "sha256": index.digest().digest() } }));
    let files = files.iter().map(|(name, content)| object!({ "name": name, "digest": { "sha256": sha256(content) } }));
    let subjects: Vec<_> = image.chain(files).collect();

    let mut dependencies = vec![described(source)];
    dependencies.extend(compilers(materials));
    dependencies.extend(materials.used.iter().map(registered));
    let statement = object!({
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
    });
    json(&statement)
}

/// The source as a resource descriptor.
fn described(Source { commit, origin }: &Source) -> Value {
    let mut descriptor = Map::from_iter([("digest".into(), object!({ "gitCommit": commit }))]);
    match origin {
        Some(origin) => descriptor.insert("uri".into(), format!("{origin}@refs/tags/{}", tag()).into()),
        None => descriptor.insert("name".into(), "pause".into()),
    };
    descriptor.into()
}

/// The compilers as resource descriptors.
fn compilers(materials: &Materials) -> impl Iterator<Item = Value> {
    materials.compilers.iter().map(|rustc| {
        let platforms: Vec<_> = rustc.platforms.iter().map(|platform| platform.name).collect();
        let mut descriptor = object!({
            "name": rustc.name(),
            "uri": format!("git+{RUST}"),
            "annotations": { "platforms": platforms, "packages": rustc.packages },
        });
        if let Some(commit) = &rustc.commit {
            descriptor["digest"] = object!({ "gitCommit": commit });
        }
        descriptor
    })
}

/// A crate, as a resource descriptor.
fn registered(Crate { name, version, checksum, .. }: &Crate) -> Value {
    let mut descriptor = object!({ "uri": format!("pkg:cargo/{name}@{version}") });
    if let Some(checksum) = checksum {
        descriptor["digest"] = object!({ "sha256": checksum });
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_is_a_uri() {
        for good in [RELEASER, "https://ci.example/builder/v1", "mailto:me@example.org"] {
            assert!(parse_builder(good).is_ok(), "{good}");
        }
        for bad in ["", "me", "https:", "1a:b", "https://a b", ":x"] {
            assert!(parse_builder(bad).is_err(), "{bad}");
        }
    }
}
