//! The parts of a port: its file, its line in `src/arch/mod.rs`, and its row in the table of platforms.

use crate::platform::{PLATFORMS, Platform};
use anyhow::{Result, ensure};
use xshell::Shell;

/// Fails if one of them is missing.
pub fn check(shell: &Shell) -> Result<()> {
    let list = shell.read_file("src/arch/mod.rs")?;
    // "x86_64": x86_64,
    let ports = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix(',')?.split_once("\": "));
    let ports: Vec<_> = ports.collect();
    for Platform { name, architecture, .. } in PLATFORMS {
        let is_listed = ports.iter().any(|(listed, _)| listed == architecture);
        ensure!(is_listed, "{name} needs a port to {architecture}, which src/arch/mod.rs does not list");
    }
    for (architecture, module) in &ports {
        let has_file = shell.path_exists(format!("src/arch/{module}.rs"));
        ensure!(has_file, "src/arch/mod.rs lists {module}, but there is no src/arch/{module}.rs");
        ensure!(
            PLATFORMS.iter().any(|platform| platform.architecture == *architecture),
            "src/arch/mod.rs lists a port to {architecture}, but no platform in xtask/src/platform.rs is built from it"
        );
    }
    for path in shell.read_dir("src/arch")? {
        let file = path.file_stem().unwrap_or_default();
        let is_listed = file == "mod" || ports.iter().any(|(_, module)| file == *module);
        ensure!(is_listed, "src/arch/{}.rs has no line in src/arch/mod.rs", file.display());
    }
    Ok(())
}
