//! The floor: the program's contract in x86-64 assembly, built as the program is.

use crate::build;
use crate::compiler;
use crate::needs::Needs;
use crate::output::Staged;
use anyhow::{Result, ensure};
use std::path::PathBuf;
use xshell::Shell;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Whether this machine runs the floor.
pub fn is_native() -> bool {
    cfg!(all(target_arch = "x86_64", target_os = "linux"))
}

/// Builds the floor. Returns its path.
pub fn build(shell: &Shell) -> Result<PathBuf> {
    ensure!(is_native(), "the floor is written for x86-64, which this machine is not");
    let mut needs = Needs::of("cargo xtask test --floor");
    let compiler = compiler::choose(shell, [TARGET], None, &mut needs)?[TARGET];
    needs.provide(shell)?;
    let linked = compiler::compile(shell, compiler, TARGET, "pause", "floor", &["--features", "floor"])?;
    let path = shell.current_dir().join("target/floor");
    let mut staged = Staged::new(&path)?;
    staged.file("floor", build::trim(&shell.read_binary_file(linked)?)?, 0o755);
    staged.commit()?;
    Ok(path.join("floor"))
}
