//! Builds the image again from a copy of the sources at another path.

use crate::case;
use crate::layout::{Layout, NO_IMAGE, folder};
use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Trial};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What would make the copy's build write into this one's folder, or build with other flags.
const FOREIGN: [&str; 4] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"];

/// The most that the build may take, in seconds: many times what it takes on two old cores.
const BOUND: &str = "1800";

pub fn trials() -> Vec<Trial> {
    vec![case("pause.oci.tar", "a copy of the sources at another path gives the same bytes", || {
        let Some(folder) = folder() else { return Ok(Completion::ignored_with(NO_IMAGE)) };
        let copy = tempfile::tempdir()?;
        if !copy_sources(copy.path())? {
            return Ok(Completion::ignored_with("the sources are not in a git repository, which would list them"));
        }
        let archive = folder.join("pause.oci.tar");
        let rebuilt = rebuild(copy.path(), &Layout::read(&archive)?)?;
        ensure!(rebuilt == fs::read(archive)?, "the archives differ");
        Ok(Completion::Completed)
    })]
}

/// Copies the files that git knows, as they are now. Returns whether git knows any.
fn copy_sources(to: &Path) -> Result<bool> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(list) = Command::new("git").current_dir(from).args(["ls-files", "-z"]).output() else { return Ok(false) };
    let files = String::from_utf8(list.stdout)?;
    for file in files.split_terminator('\0').filter(|file| from.join(file).exists()) {
        let target = to.join(file);
        fs::create_dir_all(target.parent().context("a file in a folder")?)?;
        fs::copy(from.join(file), target).with_context(|| format!("can't copy {file}"))?;
    }
    Ok(!files.is_empty())
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
