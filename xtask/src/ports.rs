//! What a port consists of: its file, its line in `src/arch/mod.rs`, and its row in the table of platforms.

use crate::platform::PLATFORMS;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use xshell::Shell;

/// Checks that every port has its file, its line and its row, and that none of these is left over.
///
/// # Errors
/// Where one is missing: which, and where.
pub fn check(shell: &Shell) -> Result<()> {
    let ports = parse(&shell.read_file("src/arch/mod.rs")?)?;
    let mut files = BTreeSet::new();
    for path in shell.read_dir("src/arch")? {
        files.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    files.remove("mod");
    let architectures = PLATFORMS.iter().map(|platform| platform.architecture).collect();
    compare(&ports, &files, &architectures)
}

/// The ports that `src/arch/mod.rs` lists: a module for each architecture.
fn parse(source: &str) -> Result<BTreeMap<String, String>> {
    let list = source.split_once("\nports! {").and_then(|(_, rest)| rest.split_once('}'));
    let (list, _) = list.context("src/arch/mod.rs lists the ports in `ports! { … }`")?;
    let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let port = |entry: &str| match entry.split_once(':') {
        // "x86_64": x86_64
        Some((architecture, module)) => Ok((architecture.trim().trim_matches('"').into(), module.trim().into())),
        None => bail!("src/arch/mod.rs lists a port as `{entry}`, not as `\"architecture\": module`"),
    };
    entries.map(port).collect()
}

fn compare(ports: &BTreeMap<String, String>, files: &BTreeSet<String>, architectures: &BTreeSet<&str>) -> Result<()> {
    for file in files {
        ensure!(ports.values().any(|module| module == file), "src/arch/{file}.rs has no line in src/arch/mod.rs");
    }
    for (architecture, module) in ports {
        ensure!(files.contains(module), "src/arch/mod.rs lists {module}, but there is no src/arch/{module}.rs");
        ensure!(
            architectures.contains(architecture.as_str()),
            "src/arch/mod.rs lists a port to {architecture}, but no platform in xtask/src/platform.rs is built from it"
        );
    }
    for architecture in architectures {
        ensure!(
            ports.contains_key(*architecture),
            "a platform in xtask/src/platform.rs needs a port to {architecture}: add it to src/arch/mod.rs"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &str, files: &[&str], architectures: &[&str]) -> String {
        let files = files.iter().map(|&file| file.into()).collect();
        let result = parse(source).and_then(|ports| compare(&ports, &files, &architectures.iter().copied().collect()));
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_missing_is_named() {
        let two = "\nports! {\n    \"arm\": arm,\n    \"x86\": x86,\n}\n";
        assert_eq!(check(two, &["arm", "x86"], &["arm", "x86"]), "");
        assert_eq!(check("\nports! { \"arm\": arm, \"x86\": x86 }\n", &["arm", "x86"], &["arm", "x86"]), "");
        assert_eq!(
            check(two, &["arm", "mips", "x86"], &["arm", "x86"]),
            "src/arch/mips.rs has no line in src/arch/mod.rs"
        );
        assert!(check(two, &["arm"], &["arm", "x86"]).contains("there is no src/arch/x86.rs"));
        assert!(check(two, &["arm", "x86"], &["arm"]).contains("no platform in xtask/src/platform.rs"));
        assert!(check(two, &["arm", "x86"], &["arm", "mips", "x86"]).contains("needs a port to mips"));
        assert!(check("\nports! {\n    arm\n}\n", &["arm"], &["arm"]).contains("lists a port as `arm`"));
    }
}
