//! `cargo xtask release`: all that is published of a version, in `dist/release`, made from its tag.
//!
//! The same tag gives the same bytes: nothing here takes a time, a path or a name from the machine.

pub mod bill;
pub mod checkout;
pub mod checks;
pub mod json;
pub mod materials;
pub mod provenance;
pub mod referrers;

use anyhow::{Context, Result, ensure};
use materials::Materials;
use provenance::Parameters;
use std::fs;
use std::path::Path;
use xshell::Shell;
use xtask::digest::sha256;
use xtask::image::{self, ContentsArguments};
use xtask::output::Staged;
use xtask::platform::PLATFORMS;
use xtask::{build, say};

/// Make a release of the tag v<version> into dist/release: the image, an archive for each platform, the binaries,
/// SHA256SUMS, a bill of materials, and provenance
///
/// All platforms, and all or nothing. The checkout has to be of the tag, without a change, and CHANGELOG.md has to
/// say when the version was released.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    contents: ContentsArguments,
    /// Who says that the release was built so: the builder's identity in the provenance
    #[arg(long, value_name = "URI", value_parser = provenance::parse_builder, default_value = provenance::RELEASER)]
    builder: String,
}

/// The version that this makes a release of.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The bill of materials, in the folder of the release.
pub const BILL: &str = "pause.cdx.json";

/// The provenance, in the folder of the release.
pub const PROVENANCE: &str = "pause.intoto.json";

/// The digests of all other files, in the folder of the release.
pub const SUMS: &str = "SHA256SUMS";

/// The image as a folder, in the folder of the release.
const LAYOUT: &str = "pause.oci";

/// Runs the command.
///
/// # Errors
/// Where the sources are not those of a release, or something can't be built or written.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let (checkout, compilers) = checks::pass(shell)?;
    let mut release = Staged::new(shell.current_dir().join("dist/release"))?;
    let temporary = tempfile::tempdir()?;
    let new = temporary.path();
    let contents = arguments.contents.contents()?;
    let binaries = build::build_by(shell, &PLATFORMS.iter().collect::<Vec<_>>(), &compilers)?;
    let packed = image::pack(&binaries, &contents)?;
    let materials = Materials::gather(shell, &binaries)?;
    ensure!(checkout::Checkout::read(shell)? == checkout, "the sources changed while they were built");

    let mut staged = Staged::new(new)?;
    image::stage(&mut staged, &binaries, packed, &contents, true)?;
    staged.commit()?;
    flatten(new)?;
    copy_licenses(shell, new)?;
    let layout = new.join(LAYOUT);
    let index = referrers::index(&layout)?;

    let bill = bill::write(&binaries, &materials, &index)?;
    fs::write(new.join(BILL), &bill)?;
    let parameters = Parameters { contents: &contents, builder: &arguments.builder };
    let provenance = provenance::write(&parameters, &checkout, &materials, &index, &files(new)?)?;
    fs::write(new.join(PROVENANCE), &provenance)?;
    let attached = [(BILL, bill::MEDIA_TYPE, bill), (PROVENANCE, provenance::MEDIA_TYPE, provenance)];
    referrers::attach(&layout, &index, &attached)?;

    let files = files(new)?;
    let sums: String = files.iter().map(|(name, content)| format!("{}  {name}\n", sha256(content))).collect();
    let prefix = format!("{LAYOUT}/");
    let released = || files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
    release.layout(LAYOUT, released().filter_map(|(name, content)| Some((name.strip_prefix(&prefix)?, content))));
    for (name, content) in released().filter(|(name, _)| !name.starts_with(&prefix)) {
        let is_program = binaries.iter().any(|binary| binary.file_name() == name);
        release.file(name, content, if is_program { 0o755 } else { 0o644 });
    }
    release.file(SUMS, sums, 0o644);
    release.commit()?;

    say!("In dist/release, {} files beside {SUMS}, and:", files.len());
    for reference in &contents.references {
        say!("  {reference}@{}", index.digest());
    }
    Ok(())
}

/// Moves files out of folders that only sort them. What one downloads of a release, one downloads file by file, and
/// the digests should speak of the names that the files then have. The image is a folder by its nature.
fn flatten(release: &Path) -> Result<()> {
    for folder in fs::read_dir(release)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() || folder.file_name() == LAYOUT {
            continue;
        }
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            let target = release.join(file.file_name());
            ensure!(!target.exists(), "two files of the release are called {:?}", file.file_name());
            fs::rename(file.path(), target)?;
        }
        fs::remove_dir(folder.path())?;
    }
    Ok(())
}

/// Copies the licences. That of one crate has to come with every copy of the program.
fn copy_licenses(shell: &Shell, release: &Path) -> Result<()> {
    for path in shell.read_dir(".")? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("LICENSE-") {
            fs::copy(&path, release.join(&*name))?;
        }
    }
    Ok(())
}

/// All files of a folder and what they hold, in the order of their names: paths from there, with slashes.
///
/// # Errors
/// Where one can't be read.
pub fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("a file's name is not UTF-8")?;
            match entry.file_type()?.is_dir() {
                true => collect(&entry.path(), &format!("{prefix}{name}/"), files)?,
                false => files.push((format!("{prefix}{name}"), fs::read(entry.path())?)),
            }
        }
        Ok(())
    }
    let mut all = Vec::new();
    collect(folder, "", &mut all)?;
    all.sort();
    Ok(all)
}
