//! `cargo xtask release`: everything that is published of a version, in `dist/release`, built from its tag.
//!
//! The same tag gives the same bytes: nothing here takes a time, a path or a name from the machine.

mod materials;
mod preflight;
pub mod provenance;
mod referrers;
pub mod sbom;

use anyhow::{Context, Result};
use materials::Materials;
use oci_spec::image::{Descriptor, ImageIndex};
pub use preflight::Source;
use serde::Serialize;
use std::collections::BTreeMap;
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::digest::sha256;
use xtask::image::{self, Contents, ContentsArguments};
use xtask::output::Staged;
use xtask::platform::PLATFORMS;
use xtask::seccomp::{self, Profile};
use xtask::{digests, say};

/// Build a release from the tag v<version> into dist/release: the image, an archive of each platform, the binaries,
/// SHA256SUMS, an SBOM and provenance
///
/// The work tree has to be the tagged commit, without changes, and CHANGELOG.md has to have the date of the version.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    contents: ContentsArguments,
    /// Identity of the builder, for the provenance
    #[arg(long, value_name = "URI", value_parser = provenance::parse_builder, default_value = provenance::RELEASER)]
    builder: String,
}

/// The version that is released.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// File name of the SBOM.
pub const SBOM: &str = "pause.cdx.json";

/// File name of the provenance.
pub const PROVENANCE: &str = "pause.intoto.json";

/// File name of the notice that has to accompany every copy of the program.
pub const NOTICE: &str = "LICENSE-syscalls";

/// File name of the digests of all other files.
pub const SUMS: &str = "SHA256SUMS";

/// Directory of the image, and the beginning of its files' paths.
const LAYOUT: &str = "pause.oci/";

/// Files by their paths.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Runs the command.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let mut staged = Staged::new(shell.current_dir().join("dist/release"))?;
    let contents = arguments.contents.contents()?;
    let (source, export, compilers) = preflight::run(shell)?;
    let shell = Shell::new()?;
    shell.change_dir(export.path());
    let binaries = build::build_by(&shell, &PLATFORMS.iter().collect::<Vec<_>>(), &compilers)?;
    check(&shell, &binaries)?;
    let (files, index) = files(&shell, &binaries, &contents, &source, &arguments.builder)?;

    stage(&files, &mut staged);
    staged.commit()?;
    say!("dist/release has {} files, and this image:", files.len());
    for reference in &contents.references {
        say!("  {reference}@{}", index.digest());
    }
    Ok(())
}

/// Fails if the usual image of these binaries is not the one that the tag was tested with.
fn check(shell: &Shell, binaries: &[Binary]) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (mut staged, usual) = (Staged::new(directory.path())?, Contents::usual());
    let packed = image::pack(binaries, &usual)?;
    let digest = packed.digest().to_owned();
    image::stage(&mut staged, binaries, packed, &usual, true)?;
    staged.commit()?;
    digests::check(&shell.current_dir(), directory.path(), binaries, &digest, false)
}

/// Makes the files of a release of these binaries, from the source in the shell's directory. Returns them with the
/// image's index.
pub fn files(
    shell: &Shell,
    binaries: &[Binary],
    contents: &Contents,
    source: &Source,
    builder: &str,
) -> Result<(Files, Descriptor)> {
    let packed = image::pack(binaries, contents)?;
    let mut layout: Files = packed.files().map(|(path, content)| (path.into(), content.into())).collect();
    let list = ImageIndex::from_reader(layout["index.json"].as_slice())?;
    let index = list.manifests().first().context("index.json lists the image")?;
    // Without a name.
    let index = Descriptor::new(index.media_type().clone(), index.size(), index.digest().clone());

    let mut files: Files = binaries.iter().map(|binary| (binary.file_name(), binary.content.clone())).collect();
    for (path, archive) in image::air_gap(binaries, contents)? {
        // People download single files, which have no directory.
        files.insert(path.rsplit('/').next().unwrap_or_default().into(), archive);
    }
    files.insert("pause.oci.tar".into(), packed.archive()?);
    files.insert(seccomp::FILE.into(), Profile::of_the_program().to_json()?);
    for path in shell.read_dir(".")? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("LICENSE-") {
            files.insert(name.into(), shell.read_binary_file(&path)?);
        }
    }
    let materials = Materials::gather(shell, binaries)?;
    files.insert(SBOM.into(), sbom::write(binaries, &materials, &index)?);
    let provenance = provenance::write(contents, builder, source, &materials, &index, &files)?;
    files.insert(PROVENANCE.into(), provenance);
    for (name, media_type) in [(SBOM, sbom::MEDIA_TYPE), (PROVENANCE, provenance::MEDIA_TYPE), (NOTICE, "text/plain")] {
        referrers::attach(&mut layout, &index, name, media_type, &files[name])?;
    }
    files.extend(layout.into_iter().map(|(path, content)| (format!("{LAYOUT}{path}"), content)));
    let sums: String = files.iter().map(|(name, content)| format!("{}  {name}\n", sha256(content))).collect();
    files.insert(SUMS.into(), sums.into());
    Ok((files, index))
}

/// Stages the files of a release.
pub fn stage(files: &Files, staged: &mut Staged) {
    let (layout, rest): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| name.starts_with(LAYOUT));
    staged.layout(LAYOUT, layout.iter().map(|(name, content)| (&name[LAYOUT.len()..], content.as_slice())));
    for (name, content) in rest {
        let is_program = name.starts_with("pause-") && !name.contains('.');
        staged.file(name, content.clone(), if is_program { 0o755 } else { 0o644 });
    }
}

/// JSON for readers. The keys are sorted: some maps have another order each time.
fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    Ok(text)
}
