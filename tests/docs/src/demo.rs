//! The demonstration, `docs/demo.md`: each shell block prints the block below it.

use crate::page::Page;
use anyhow::{Context, Result, ensure};
use std::fs;
use xshell::{Shell, cmd};
use xtask::{build, platform};

/// The platform whose program the page names.
const PLATFORM: &str = "linux/amd64";

/// Runs the page's blocks. Returns a sentence if this machine can't.
pub fn check(shell: &Shell, page: &Page) -> Result<Option<String>> {
    let native = platform::native()?;
    if native.name != PLATFORM {
        return Ok(Some(format!("{} is not run: it is for {PLATFORM}", page.name())));
    }
    let program = build::program(shell, native)?;
    let directory = tempfile::tempdir()?;
    let bin = directory.path().join("dist/bin");
    fs::create_dir_all(&bin)?;
    fs::copy(&program, bin.join(program.file_name().context("a file")?))?;

    let shell = Shell::new()?;
    shell.change_dir(directory.path());
    let mut printed = String::new();
    for (language, text) in page.blocks() {
        if language == "sh" {
            ensure!(printed.is_empty(), "{} doesn't show that a block prints {printed:?}", page.name());
            let script = format!("exec 2>&1\n{text}");
            printed = cmd!(shell, "sh -ec {script}").quiet().read().with_context(|| page.name())?;
        } else {
            ensure!(printed == text.trim_end(), "{} shows {text:?}, but a block prints {printed:?}", page.name());
            printed.clear();
        }
    }
    ensure!(printed.is_empty(), "{} doesn't show what a block prints: {printed:?}", page.name());
    Ok(None)
}
