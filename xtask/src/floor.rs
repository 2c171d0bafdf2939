//! The floor: the program's contract in x86-64 assembly, built as the program is.

use crate::build;
use anyhow::{Result, ensure};
use std::path::PathBuf;
use xshell::{Shell, cmd};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Whether this machine runs the floor.
pub fn is_native() -> bool {
    cfg!(all(target_arch = "x86_64", target_os = "linux"))
}

/// Builds the floor. Returns where it is.
///
/// # Errors
/// Where it can't be built, or this machine is of another architecture.
pub fn build(shell: &Shell) -> Result<PathBuf> {
    ensure!(is_native(), "the floor is written for x86-64, which this machine is not");
    cmd!(
        shell,
        "cargo build --quiet --release --package pause --bin floor --features floor --target {TARGET} --target-dir target/floor"
    )
    .env_remove("RUSTFLAGS")
    .env_remove("CARGO_ENCODED_RUSTFLAGS")
    .run()?;
    let folder = shell.current_dir().join("target/floor");
    let program = build::trim(&std::fs::read(folder.join(TARGET).join("release/floor"))?)?;
    let path = folder.join("floor");
    build::replace(&path, &program, 0o755)?;
    Ok(path)
}
