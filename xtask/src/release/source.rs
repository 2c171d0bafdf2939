//! The source archive: the program with its crates, which distributions build without a network and `cargo xtask`.

use super::{NOTICE, VERSION};
use crate::golden::DIGESTS;
use crate::platform::{PLATFORMS, Platform};
use crate::table::Table;
use crate::{compiler, image, sources};
use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use tar::EntryType;
use tempfile::TempDir;
use xshell::{Shell, cmd};

/// Name of the archive and, without the extension, of its directory.
pub const ARCHIVE: &str = concat!("pause-", env!("CARGO_PKG_VERSION"), ".tar.gz");

/// The repository's files and directories in it. build.rs includes the last one.
#[rustfmt::skip]
const PARTS: [&str; 11] = [
    "CHANGELOG.md", "Cargo.lock", "LICENSE-APACHE", "LICENSE-MIT", NOTICE, "build.rs", "docs/pause.8", "linker.ld",
    "packaging", "src", "xtask/src/flags.rs",
];

pub fn archive(shell: &Shell) -> Result<Vec<u8>> {
    // Not in a directory that others can write to: cargo reads the configuration of parent directories.
    let directory = TempDir::with_prefix_in("source-", shell.current_dir().join("target"))?;
    let root = directory.path();
    let is_part = |file: &&PathBuf| PARTS.iter().any(|part| file.starts_with(part));
    for file in sources::list(&shell.current_dir())?.iter().filter(is_part) {
        shell.write_file(root.join(file), shell.read_binary_file(file)?)?;
    }
    fs::rename(root.join("packaging/Makefile"), root.join("Makefile"))?;
    shell.write_file(root.join("digests.mk"), digests(shell)?)?;
    shell.write_file(root.join("Cargo.toml"), manifest(&shell.read_file("Cargo.toml")?))?;
    // This removes all other crates from Cargo.lock.
    let options = ["--quiet", "--respect-source-config", "--manifest-path"];
    let vendor = cmd!(shell, "cargo vendor {options...} {root}/Cargo.toml {root}/vendor").quiet().ignore_stdout();
    vendor.run().context("can't copy the program's crates")?;
    let (lock, locked) = (shell.read_file("Cargo.lock")?, shell.read_file(root.join("Cargo.lock"))?);
    ensure!(locked.lines().all(|line| lock.contains(line)), "a config.toml replaces one of the program's crates");
    let config = shell.read_file(".cargo/config.toml")?;
    let (_, flags) = config.split_once("\n\n").context("config.toml has no flags after its alias")?;
    let settings = shell.read_file("packaging/config.toml")?;
    shell.write_file(root.join(".cargo/config.toml"), format!("{flags}{settings}"))?;

    let mut files = BTreeMap::new();
    for file in sources::list(root)? {
        files.insert(format!("pause-{VERSION}/{}", file.display()), fs::read(root.join(&file))?);
    }
    let entries = files.iter().map(|(path, content)| (EntryType::Regular, path.as_str(), 0o644, content.as_slice()));
    let mut archive = GzEncoder::new(Vec::new(), Compression::best());
    archive.write_all(&image::archive(entries)?)?;
    Ok(archive.finish()?)
}

/// Returns the program's part of the manifest, without what it takes from the workspace.
fn manifest(text: &str) -> String {
    const SECTIONS: [&str; 4] = ["[package]", "[[bin]]", "[dependencies]", "[profile.release]"];
    let is_ours = |paragraph: &&str| paragraph.lines().any(|line| SECTIONS.contains(&line));
    // The first line that defines the name is in the workspace's section.
    let resolve = |line| {
        let name = str::strip_suffix(line, ".workspace = true").map(|name| format!("{name} = "));
        name.and_then(|name| text.lines().find(|line| line.starts_with(&name))).unwrap_or(line)
    };
    let lines = text.split("\n\n").filter(is_ours).flat_map(|paragraph| paragraph.lines().chain([""]));
    let lines = ["[workspace]", ""].into_iter().chain(lines.map(resolve));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Returns the golden digests, and the compiler that gives them, as variables for make.
fn digests(shell: &Shell) -> Result<String> {
    let table = Table::read(&shell.current_dir().join(DIGESTS))?;
    let row = |platform: &Platform| Some((platform.target, table.find(&[platform.name])?[1].clone()));
    let digests: BTreeMap<_, _> = PLATFORMS.iter().filter_map(row).collect();
    let lines = digests.iter().map(|(target, digest)| format!("SHA256_{target} = {digest}\n"));
    Ok(format!("PINNED = {}\n{}", compiler::channel(shell)?, lines.collect::<String>()))
}
