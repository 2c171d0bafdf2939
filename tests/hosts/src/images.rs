//! The images that the hosts run: pause's own, the negative controls, and small ones of other programs.

use anyhow::{Context, Result};
use mutation::Mutant;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::build::{self, Binary};
use xtask::compiler::Compiler;
use xtask::image::{self, Contents};
use xtask::output::{self, Staged};
use xtask::platform::{self, PLATFORMS};
use xtask::release::{self, GitState, RELEASER};

/// The image's name on every host.
pub const REFERENCE: &str = concat!("localhost/pause:", env!("CARGO_PKG_VERSION"));

/// The directory of the image. No negative control has this name.
pub const IMAGE: &str = "pause";

/// The path at which OpenShift looks for the program.
pub const LINK: &str = "usr/bin/pod";

// Next to an image's archive:

/// This machine's program.
pub const PROGRAM: &str = "program";
/// The image as a directory.
pub const LAYOUT: &str = "pause.oci";
/// The directory of a release.
pub const RELEASED: &str = "released";
/// The directory of the one-platform archives in which the program has the path [`LINK`], too.
pub const LINKED: &str = "linked";

/// The negative control of readers: this program in an image that many can't read.
pub static BARE: Mutant = Mutant { name: "bare image" };

/// Makes the image for all platforms, and a release of it if a host reads that. Returns its archive.
pub fn image(shell: &Shell, is_released: bool) -> Result<PathBuf> {
    pack(shell, IMAGE, &build::build(shell, &PLATFORMS.iter().collect::<Vec<_>>())?, is_released)
}

/// Makes a negative control for this machine. Returns its archive.
pub fn control(shell: &Shell, mutant: &Mutant, is_released: bool) -> Result<PathBuf> {
    let native = platform::native()?;
    if mutant.name != BARE.name {
        let content = shell.read_binary_file(mutation::build(shell, mutant)?)?;
        let binary = Binary { platform: native, content, compiler: Compiler::Active };
        return pack(shell, &mutant.file_name(), &[binary], is_released);
    }
    let (path, program) = (directory(shell, &mutant.file_name()), build::build(shell, &[native])?.remove(0).content);
    shell.remove_path(&path)?;
    output::provide(&path, |path| {
        shell.write_file(path.join(PROGRAM), program)?;
        let _bare = shell.push_env("BARE", "");
        let config = r#"{"Entrypoint":["/pause"],"User":"65535:65535"}"#;
        let archive = small(shell, path, REFERENCE, config, &path.join(PROGRAM), &["pause"])?;
        for copy in [image::air_gap_archive(native), "pause.oci.tar".into()] {
            shell.write_file(path.join(copy), shell.read_binary_file(&archive)?)?;
        }
        Ok(std::fs::rename(path.join("layout"), path.join(LAYOUT))?)
    })?;
    Ok(path.join("pause.oci.tar"))
}

/// Makes a small image in a directory, with a program at each of these paths. Returns its archive.
pub fn small(
    shell: &Shell,
    directory: &Path,
    reference: &str,
    config: &str,
    program: &Path,
    paths: &[&str],
) -> Result<PathBuf> {
    let (script, platform) = (include_str!("image.sh"), platform::native()?.name);
    let arguments = [directory.as_os_str(), platform.as_ref(), reference.as_ref(), config.as_ref(), program.as_ref()];
    cmd!(shell, "sh -c {script} image.sh {arguments...} {paths...}").quiet().run()?;
    Ok(directory.join("image.tar"))
}

fn directory(shell: &Shell, name: &str) -> PathBuf {
    shell.current_dir().join("target/hosts").join(name)
}

/// Packs an image, an archive of each platform for air-gapped nodes, and maybe a release.
fn pack(shell: &Shell, name: &str, binaries: &[Binary], is_released: bool) -> Result<PathBuf> {
    let (path, contents) = (directory(shell, name), Contents::named(REFERENCE));
    let mut staged = Staged::new(&path)?;
    image::pack(binaries, &contents)?.stage(&mut staged);
    let native = binaries.iter().find(|binary| binary.platform.is_local()).context("this machine's program")?;
    staged.file(PROGRAM, native.content.clone(), 0o644);
    staged.commit()?;

    if is_released {
        let mut staged = Staged::new(path.join(RELEASED))?;
        let source = GitState::of(&shell.current_dir())?;
        let arguments = release::Arguments { contents: contents.clone(), builder: RELEASER.into() };
        release::stage(&release::files(shell, binaries, &arguments, &source, "2030-12-31")?.0, &mut staged);
        staged.commit()?;
    }

    let mut staged = Staged::new(path.join(LINKED))?;
    image::pack(binaries, &Contents { links: vec![LINK.into()], ..contents })?.stage(&mut staged);
    staged.commit()?;
    Ok(path.join("pause.oci.tar"))
}
