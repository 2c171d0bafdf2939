//! The SBOM, in CycloneDX 1.5.

use crate::materials::Materials;
use crate::{VERSION, json};
use anyhow::{Context, Result, ensure};
use cyclonedx_bom::external_models::spdx::SpdxExpression;
use cyclonedx_bom::external_models::uri::{Purl, Uri};
use cyclonedx_bom::models::bom::SpecVersion;
use cyclonedx_bom::models::component::{Classification, Component, Components, Scope};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::external_reference::{ExternalReference, ExternalReferenceType, ExternalReferences};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::prelude::{Bom, Validate};
use oci_spec::image::Descriptor;
use serde_json::Value;
use xtask::build::Binary;
use xtask::digest::sha256;
use xtask::image::LICENSES;

/// Its media type.
pub const MEDIA_TYPE: &str = "application/vnd.cyclonedx+json";

/// The licence of Rust's compiler and of `core`.
const RUST_LICENSE: &str = "MIT OR Apache-2.0";

/// Where the sources of Rust are.
pub const RUST: &str = "https://github.com/rust-lang/rust";

/// Writes the SBOM of these binaries and of the image that has this index.
pub fn write(binaries: &[Binary], materials: &Materials, index: &Descriptor) -> Result<Vec<u8>> {
    let mut components = Vec::new();
    for linked in &materials.linked {
        let purl = Purl::new("cargo", &linked.name, &linked.version)?;
        let mut component = component(Classification::Library, &linked.name, &linked.version);
        component.purl = Some(purl);
        component.hashes = linked.checksum.as_deref().map(hashes);
        component.licenses = linked.license.as_deref().map(licenses).transpose()?;
        components.push(component);
    }
    for rustc in &materials.compilers {
        let version = &rustc.version;
        let mut library = component(Classification::Library, "core", version);
        library.bom_ref = Some(format!("core of {}", rustc.name()));
        let files = rustc.core.iter().map(|(name, digest)| file(name, digest)).collect::<Vec<_>>();
        library.components = (!files.is_empty()).then_some(Components(files));
        let mut compiler = component(Classification::Application, "rustc", version);
        compiler.bom_ref = Some(rustc.name());
        // It is not part of what runs.
        compiler.scope = Some(Scope::Excluded);
        for mut component in [library, compiler] {
            component.licenses = Some(licenses(RUST_LICENSE)?);
            component.properties = Some(properties(&[("compiler", &rustc.name())]));
            if let Some(commit) = &rustc.commit {
                let sources = Uri::new(&format!("{RUST}/tree/{commit}"));
                let sources = ExternalReference::new(ExternalReferenceType::Vcs, sources);
                component.external_references = Some(ExternalReferences(vec![sources]));
            }
            components.push(component);
        }
    }

    let mut program = component(Classification::Application, "pause", VERSION);
    program.licenses = Some(licenses(LICENSES)?);
    program.purl = Some(Purl::new("oci", "pause", index.digest().as_ref())?);
    let mut files = Vec::new();
    for binary in binaries {
        let compiler = materials.compilers.iter().find(|rustc| rustc.compiler == binary.compiler);
        let compiler = compiler.context("each binary has its compiler")?.name();
        let mut file = file(&binary.file_name(), &sha256(&binary.content));
        file.properties = Some(properties(&[("platform", binary.platform.name), ("compiler", &compiler)]));
        files.push(file);
    }
    program.components = Some(Components(files));

    let linked = components.iter().filter(|component| component.scope.is_none());
    let dependency = Dependency {
        dependency_ref: program.bom_ref.clone().context("it has one")?,
        dependencies: linked.filter_map(|component| component.bom_ref.clone()).collect(),
    };
    let sbom = Bom {
        version: 1,
        // It would be another one each time, as would a time.
        serial_number: None,
        metadata: Some(Metadata { component: Some(program), ..Metadata::default() }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(vec![dependency])),
        ..Bom::default()
    };
    let flaws = sbom.validate_version(SpecVersion::V1_5);
    ensure!(flaws.passed(), "the SBOM breaks CycloneDX's rules: {flaws:?}");
    let mut text = Vec::new();
    sbom.output_as_json_v1_5(&mut text)?;
    json(&serde_json::from_slice::<Value>(&text)?)
}

/// A component that others can refer to.
fn component(kind: Classification, name: &str, version: &str) -> Component {
    Component::new(kind, name, version, Some(format!("{name}@{version}")))
}

/// A file, known by its digest.
fn file(name: &str, digest: &str) -> Component {
    let mut file = Component::new(Classification::File, name, "", None);
    file.version = None;
    file.hashes = Some(hashes(digest));
    file
}

fn hashes(digest: &str) -> Hashes {
    Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(digest.into()) }])
}

/// A licence as a crate writes it: older ones have a slash between two.
fn licenses(expression: &str) -> Result<Licenses> {
    let expression = SpdxExpression::parse_lax(expression.into())?;
    Ok(Licenses(vec![LicenseChoice::Expression(expression)]))
}

fn properties(pairs: &[(&str, &str)]) -> Properties {
    Properties(pairs.iter().map(|(name, value)| Property::new(format!("pause:{name}"), value)).collect())
}
