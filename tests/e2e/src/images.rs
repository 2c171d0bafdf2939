//! The images that the hosts run: pause's own, and stand-ins that are wrong on purpose and like it in all else.

use crate::archive::{self, BARE};
use anyhow::{Context, Result};
use mutants::Mutant;
use release::Source;
use release::provenance::RELEASER;
use std::path::{Path, PathBuf};
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::compiler::Compiler;
use xtask::image::{self, Contents};
use xtask::output::Staged;
use xtask::platform::{self, PLATFORMS};

/// What the image is called on every host.
pub const REFERENCE: &str = concat!("localhost/pause:", env!("CARGO_PKG_VERSION"));

/// The folder of the image itself, which no stand-in's is called.
pub const IMAGE: &str = "pause";

/// The path at which OpenShift looks for the program.
pub const LINK: &str = "usr/bin/pod";

/// The file of this machine's program.
pub const PROGRAM: &str = "program";

/// The directory of the one-platform archives in which the program has that path, too.
pub const LINKED: &str = "linked";

/// Where, beside the image's archive, it is as a folder: alone, and as it is released, with bill and provenance.
pub const LAYOUT: &str = "pause.oci";
/// See [`LAYOUT`].
pub const RELEASED: &str = "released";

/// Makes the image itself, of all platforms. Returns its archive.
///
/// # Errors
/// Where it can't be built or written.
pub fn image(shell: &Shell) -> Result<PathBuf> {
    let binaries = build::build(shell, &PLATFORMS.iter().collect::<Vec<_>>())?;
    pack(shell, IMAGE, &binaries)
}

/// Makes the image of a mutant for this machine. Returns its archive.
///
/// # Errors
/// Where it can't be built or written.
pub fn stand_in(shell: &Shell, mutant: &Mutant) -> Result<PathBuf> {
    if mutant.name == BARE.name {
        return bare(shell);
    }
    let content = shell.read_binary_file(mutants::build(shell, mutant)?)?;
    let binary = Binary { platform: platform::native()?, content, compiler: Compiler::Active };
    pack(shell, &mutant.file_name(), &[binary])
}

/// Makes the bare image. Returns its archive.
fn bare(shell: &Shell) -> Result<PathBuf> {
    let native = platform::native()?;
    let (archive, files) = archive::bare(REFERENCE, &build::build(shell, &[native])?[0].content)?;
    let path = shell.current_dir().join("target/e2e").join(BARE.file_name());
    let mut staged = Staged::new(&path)?;
    staged.layout(LAYOUT, files.iter().map(|(path, content)| (path.as_str(), content.as_slice())));
    staged.file(image::air_gap_archive(native), archive.clone(), 0o644);
    staged.file("pause.oci.tar", archive, 0o644);
    staged.commit()?;
    Ok(path.join("pause.oci.tar"))
}

/// Packs the image of these binaries, an archive of each for air-gapped nodes, and the image with what a release says
/// about it. Returns the image's archive.
fn pack(shell: &Shell, name: &str, binaries: &[Binary]) -> Result<PathBuf> {
    let path = shell.current_dir().join("target/e2e").join(name);
    let mut staged = Staged::new(&path)?;
    image::pack(binaries, &Contents::named(REFERENCE))?.stage(&mut staged)?;
    image::stage_each(&mut staged, binaries, &Contents::named(REFERENCE))?;
    let native = binaries.iter().find(|binary| binary.platform.is_local()).context("this machine's program")?;
    staged.file(PROGRAM, native.content.clone(), 0o644);
    staged.commit()?;
    let mut staged = Staged::new(path.join(LINKED))?;
    let linked = Contents { links: vec![LINK.into()], ..Contents::named(REFERENCE) };
    image::stage_each(&mut staged, binaries, &linked)?;
    staged.commit()?;
    write_released(shell, &path.join(RELEASED), binaries)?;
    Ok(path.join("pause.oci.tar"))
}

/// Writes a release of these sources, tagged or not.
fn write_released(shell: &Shell, path: &Path, binaries: &[Binary]) -> Result<()> {
    let source = Source::of(&shell.current_dir())?;
    let (files, _) = release::files(shell, binaries, &Contents::named(REFERENCE), &source, RELEASER)?;
    let mut staged = Staged::new(path)?;
    release::stage(&files, &mut staged);
    staged.commit()
}
