//! The images that the hosts run: pause's own, and stand-ins that are wrong on purpose and like it in all else.

use anyhow::Result;
use mutants::Mutant;
use std::path::PathBuf;
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::compiler::Compiler;
use xtask::image::{self, Contents};
use xtask::output::Folder;
use xtask::platform::{self, PLATFORMS};

/// What the image is called on every host.
pub const REFERENCE: &str = concat!("localhost/pause:", env!("CARGO_PKG_VERSION"));

/// Where OpenShift looks for the program. In the archives for air-gapped nodes it is there too.
pub const LINK: &str = "usr/bin/pod";

/// Makes the image itself, of all platforms. Returns its archive.
///
/// # Errors
/// Where it can't be built or written.
pub fn image(shell: &Shell) -> Result<PathBuf> {
    let binaries = build::build(shell, &PLATFORMS.iter().collect::<Vec<_>>())?;
    pack(shell, "pause", &binaries)
}

/// Makes the image of a mutant for this machine. Returns its archive.
///
/// # Errors
/// Where it can't be built or written.
pub fn stand_in(shell: &Shell, mutant: &Mutant) -> Result<PathBuf> {
    let content = shell.read_binary_file(mutants::build(shell, mutant)?)?;
    let binary = Binary { platform: platform::native()?, content, compiler: Compiler::Rustup };
    pack(shell, &mutant.file_name(), &[binary])
}

/// Packs the image of these binaries, and an archive of each for air-gapped nodes. Returns the image's archive.
fn pack(shell: &Shell, name: &str, binaries: &[Binary]) -> Result<PathBuf> {
    let path = shell.current_dir().join("target/e2e").join(name);
    let folder = Folder::begin(&path)?;
    image::pack(binaries, &Contents::named(REFERENCE))?.write(&folder)?;
    let linked = Contents { links: vec![LINK.into()], ..Contents::named(REFERENCE) };
    image::write_each(&folder, binaries, &linked)?;
    folder.finish(&[])?;
    Ok(path.join("pause.oci.tar"))
}
