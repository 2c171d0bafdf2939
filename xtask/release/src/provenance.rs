//! The provenance: what was made, from what, and how, as SLSA provenance v1 in an in-toto statement.

use crate::bill::RUST;
use crate::checkout::{self, Checkout};
use crate::materials::{Crate, Materials};
use crate::{VERSION, json};
use anyhow::{Result, bail};
use oci_spec::image::Descriptor;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use xtask::digest::sha256;
use xtask::image::Contents;

/// Its media type.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";

/// The builder, unless `--builder` names another one: whoever signs the release, on a machine of theirs.
pub const RELEASER: &str = "urn:pause:builder:releaser";

/// What the parameters mean: docs/release.md describes it.
const BUILD_TYPE: &str = "urn:pause:build:release:v1";

/// What the releaser chose.
pub struct Parameters<'a> {
    /// What the image is made of, beside the binaries.
    pub contents: &'a Contents,
    /// Who says so: the builder's URI.
    pub builder: &'a str,
}

/// What `--builder` accepts.
///
/// # Errors
/// Where it is no URI.
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

/// The provenance of these files, and of the image that has this index.
///
/// # Errors
/// Where it can't be written as JSON.
pub fn write(
    parameters: &Parameters,
    checkout: &Checkout,
    materials: &Materials,
    index: &Descriptor,
    files: &[(String, Vec<u8>)],
) -> Result<Vec<u8>> {
    let Contents { references, annotations, links, user } = parameters.contents;
    let image = references.iter().map(|name| json!({ "name": name, "digest": { "sha256": index.digest().digest() } }));
    // The folder is the image, which is named already.
    let files = files.iter().filter(|(name, _)| !name.contains('/'));
    let files = files.map(|(name, content)| json!({ "name": name, "digest": { "sha256": sha256(content) } }));
    let subjects: Vec<_> = image.chain(files).collect();

    let mut dependencies = vec![source(checkout)];
    dependencies.extend(compilers(materials));
    dependencies.extend(materials.used.iter().map(registered));
    let statement = json!({
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
            "runDetails": { "builder": { "id": parameters.builder } },
        },
    });
    json::sorted(&statement)
}

/// The sources, as a resource descriptor.
fn source(Checkout { commit, origin, .. }: &Checkout) -> Value {
    let mut descriptor = Map::from_iter([("digest".into(), json!({ "gitCommit": commit }))]);
    match origin {
        Some(origin) => descriptor.insert("uri".into(), format!("{origin}@refs/tags/{}", checkout::tag()).into()),
        None => descriptor.insert("name".into(), "pause".into()),
    };
    descriptor.into()
}

fn compilers(materials: &Materials) -> impl Iterator<Item = Value> {
    materials.compilers.iter().map(|rustc| {
        let platforms: Vec<_> = rustc.platforms.iter().map(|platform| platform.name).collect();
        let mut descriptor = json!({
            "name": rustc.name(),
            "uri": format!("git+{RUST}"),
            "annotations": { "platforms": platforms },
        });
        if let Some(commit) = &rustc.version.commit_hash {
            descriptor["digest"] = json!({ "gitCommit": commit });
        }
        descriptor
    })
}

/// A crate, as a resource descriptor.
fn registered(Crate { name, version, checksum, .. }: &Crate) -> Value {
    let mut descriptor = json!({ "uri": format!("pkg:cargo/{name}@{version}") });
    if let Some(checksum) = checksum {
        descriptor["digest"] = json!({ "sha256": checksum });
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
