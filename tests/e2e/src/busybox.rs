//! The small container that shares a pod with pause, and makes the orphans.

use crate::archive;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;

/// The Debian package that has it.
pub const PACKAGE: &str = "busybox-static";

/// Its image.
pub const BUSYBOX: &str = "localhost/busybox:e2e";

/// How many orphans [`MAKE_ORPHANS`] makes.
pub const ORPHANS: usize = 50;

/// What makes them, as arguments of the small container: each has a parent that ends at once. They live
/// until they are killed. The last word says how many.
pub const MAKE_ORPHANS: [&str; 5] =
    ["/bin/busybox", "sh", "-c", "for orphan in $(seq $0); do (sleep 3600 >/dev/null 2>&1 &); done", "50"];

/// Packs it: busybox, which sleeps unless it is told otherwise, and is not asked twice to stop. Returns the archive.
///
/// # Errors
/// Where it can't be written.
pub fn pack() -> Result<&'static str> {
    let archive = "/tmp/busybox.tar";
    let config = json!({ "Cmd": ["/bin/busybox", "sleep", "3600"], "Env": ["PATH=/bin"], "StopSignal": "SIGKILL" });
    let program = program()?;
    archive::write(Path::new(archive), BUSYBOX, &config, &[("bin/busybox", program), ("bin/sleep", program)])?;
    Ok(archive)
}

/// Where it is on this machine.
///
/// # Errors
/// Where it is not.
pub fn program() -> Result<&'static Path> {
    let program = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists());
    program.context("busybox is not where Debian puts it")
}
