//! `cargo xtask release`: the files of a release, built from its tag into `dist/release`.
//!
//! The same tag gives the same bytes: no file depends on the time, a path or the machine's name.

mod crates;
mod git_state;
mod preflight;
mod provenance;
mod sbom;
pub mod source;

use crate::build::{self, Binary};
use crate::digest::sha256;
use crate::image::{self, Contents, Descriptor, LAYOUT, MANIFEST, Packed};
pub use crate::image::{NOTICE, VERSION};
use crate::outln;
use crate::output::Staged;
use crate::platform::PLATFORMS;
use anyhow::{Context, Result};
pub use git_state::GitState;
pub use provenance::RELEASER;
use provenance::Rustc;
use serde_json::{Value, json as object};
use std::collections::BTreeMap;
use xshell::Shell;

/// Build a release from the tag v<version> into dist/release: the image, an archive of each platform, the binaries,
/// a source archive, SHA256SUMS, an SBOM, provenance and a VEX document
///
/// The work tree has to be the tagged commit, without changes, and CHANGELOG.md has to have the date of the version.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub contents: Contents,
    /// Identity of the builder, for the provenance
    #[arg(long, value_name = "URI", value_parser = provenance::parse_builder, default_value = RELEASER)]
    pub builder: String,
}

pub const SBOM: &str = "pause.cdx.json";
pub const PROVENANCE: &str = "pause.intoto.json";
pub const VEX: &str = "pause.openvex.json";
pub const SUMS: &str = "SHA256SUMS";

pub type Files = BTreeMap<String, Vec<u8>>;

pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let mut staged = Staged::new(shell.current_dir().join("dist/release"))?;
    let arguments = Arguments { contents: arguments.contents.checked()?, builder: arguments.builder.clone() };
    let (state, export, compilers, date) = preflight::run(shell)?;
    let shell = Shell::new()?;
    shell.change_dir(export.path());
    let binaries = build::build_by(&shell, &PLATFORMS.iter().collect::<Vec<_>>(), &compilers)?;
    // Without options, they give the golden image.
    let usual = image::pack(&binaries, &Contents::usual())?;
    image::golden::check(&shell.current_dir(), &binaries, &usual, false)?;
    let (files, digest) = files(&shell, &binaries, &arguments, &state, &date)?;

    stage(&files, &mut staged);
    staged.commit()?;
    outln!("dist/release has {} files, and this image:", files.len());
    arguments.contents.references().iter().for_each(|reference| outln!("  {reference}@sha256:{digest}"));
    Ok(())
}

/// Makes a release's files, of this date, from these binaries and the shell's directory. Also returns the index's digest.
pub fn files(
    shell: &Shell,
    binaries: &[Binary],
    arguments: &Arguments,
    state: &GitState,
    date: &str,
) -> Result<(Files, String)> {
    let Packed { layout: packed, artefacts } = image::pack(binaries, &arguments.contents)?;
    // People download single files, so there are no directories.
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let artefacts = artefacts.into_iter().filter(|(path, _)| !path.starts_with(LAYOUT));
    let mut files: Files = artefacts.map(|(path, content)| (name(&path), content)).collect();
    for name in ["LICENSE-APACHE", "LICENSE-MIT", NOTICE] {
        files.insert(name.into(), shell.read_binary_file(name)?);
    }
    files.insert(source::ARCHIVE.into(), source::archive(shell)?);
    let compilers = Rustc::all(shell, binaries)?;
    let (index, time) = (&packed.root.digest, format!("{date}T00:00:00Z"));
    files.insert(SBOM.into(), sbom::write(shell, binaries, &compilers, index, &time)?);
    files.insert(VEX.into(), sbom::write_vex(index, &time)?);
    let provenance = provenance::write(shell, &compilers, arguments, state, index, &files)?;
    files.insert(PROVENANCE.into(), provenance);

    let mut layout = packed.files;
    let attached = [(SBOM, sbom::TYPE), (PROVENANCE, provenance::TYPE), (VEX, sbom::VEX_TYPE), (NOTICE, "text/plain")];
    for (name, media_type) in attached {
        attach(&mut layout, &packed.root, name, media_type, &files[name])?;
    }
    files.extend(layout.into_iter().map(|(path, content)| (format!("{LAYOUT}{path}"), content)));
    let sums: String = files.iter().map(|(name, content)| format!("{}  {name}\n", sha256(content))).collect();
    files.insert(SUMS.into(), sums.into());
    Ok((files, packed.root.digest))
}

/// Adds a file to an image's layout, as an OCI 1.1 referrer to its index.
///
/// `index.json` lists it with its type and without a name, so a host that pulls the image doesn't fetch it. The archive
/// doesn't contain it, because skopeo and podman take an archive with several images only by name.
fn attach(layout: &mut Files, index: &Descriptor, name: &str, media_type: &'static str, content: &[u8]) -> Result<()> {
    const LIST: &str = "index.json";
    let mut add_blob = |media_type, content: &[u8]| {
        let descriptor = Descriptor::of(media_type, content);
        layout.insert(descriptor.path(), content.into());
        descriptor.to_json()
    };
    let mut file = add_blob(media_type, content);
    // `oras pull` gives the file this name.
    file["annotations"] = object!({ "org.opencontainers.image.title": name });
    let manifest = json(object!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": media_type,
        "config": add_blob("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [file],
        "subject": index.to_json(),
    }))?;
    let mut descriptor = add_blob(MANIFEST, &manifest);
    descriptor["artifactType"] = media_type.into();
    let mut list: Value = serde_json::from_slice(&layout[LIST])?;
    list["manifests"].as_array_mut().context("index.json has a list of manifests")?.push(descriptor);
    layout.insert(LIST.into(), json(list)?);
    Ok(())
}

pub fn stage(files: &Files, staged: &mut Staged) {
    for (name, content) in files {
        let is_program = name.starts_with("pause-") && !name.contains('.');
        staged.file(name, content.clone(), if is_program { 0o755 } else { 0o644 });
    }
}

/// Indented JSON with sorted keys.
fn json(mut value: Value) -> Result<Vec<u8>> {
    value.sort_all_objects();
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    Ok(text)
}
