//! Builds the image again from a copy of the sources at another path.

use crate::fact_of_image;
use crate::layout::Layout;
use anyhow::{Result, ensure};
use libtest_mimic::{Completion, Trial};
use std::fs;
use std::path::Path;
use std::process::Command;
use xtask::sources;

/// What would make the copy's build write into this one's folder, or build with other flags.
const FOREIGN: [&str; 4] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"];

/// The most that the build may take, in seconds: many times what it takes on two old cores.
const BOUND: &str = "1800";

pub fn trials(image: Option<&Path>) -> Vec<Trial> {
    let sentence = "a copy of the sources at another path gives the same bytes";
    vec![fact_of_image(image, "pause.oci.tar", sentence, |archive| {
        let copy = tempfile::tempdir()?;
        // A path that a user may have.
        let sources = copy.path().join("a b ü");
        sources::copy(repository()?, &sources)?;
        let rebuilt = rebuild(&sources, &Layout::read(archive)?)?;
        ensure!(rebuilt == fs::read(archive)?, "the archives differ");
        Ok(Completion::Completed)
    })]
}

/// The checkout that is tested: cargo runs a test in the folder of its package.
fn repository() -> Result<&'static Path> {
    let repository = Path::new(".");
    ensure!(repository.join("linker.ld").exists(), "the tests do not run in the repository's folder");
    Ok(repository)
}

/// Builds the image for the same platforms, with the same names, and returns the archive.
fn rebuild(sources: &Path, layout: &Layout) -> Result<Vec<u8>> {
    let mut command = Command::new("timeout");
    command.current_dir(sources).args([BOUND, "cargo", "xtask", "image"]);
    for image in layout.images()? {
        command.args(["--platform", &image.platform()?]);
    }
    for name in layout.names()? {
        command.args(["--name", &name]);
    }
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(fs::read(sources.join("dist/pause.oci.tar"))?)
}
