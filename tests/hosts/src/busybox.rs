//! The container that shares a pod with pause, and makes the orphans.

use crate::images;
use anyhow::{Context, Result};
use std::path::Path;
use xshell::Shell;

pub const PACKAGE: &str = "busybox-static";
pub const BUSYBOX: &str = "localhost/busybox:e2e";

/// Number of orphans that [`MAKE_ORPHANS`] makes.
pub const ORPHANS: usize = 50;

/// A command of the container. The orphans' parents end at once; they live until they are killed. Last is their number.
pub const MAKE_ORPHANS: [&str; 5] =
    ["/bin/busybox", "sh", "-c", "for orphan in $(seq $0); do (sleep 3600 >/dev/null 2>&1 &); done", "50"];

/// Packs its image: by default it sleeps, and stops at once. Returns the archive.
pub fn pack(shell: &Shell) -> Result<&'static str> {
    let config = r#"{"Cmd":["/bin/busybox","sleep","3600"],"Env":["PATH=/bin"],"StopSignal":"SIGKILL"}"#;
    images::small(shell, Path::new("/tmp/image"), BUSYBOX, config, program()?, &["bin/busybox", "bin/sleep"])?;
    Ok("/tmp/image/image.tar")
}

pub fn program() -> Result<&'static Path> {
    let program = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.exists());
    program.context("busybox is not in the place of Debian's package")
}
