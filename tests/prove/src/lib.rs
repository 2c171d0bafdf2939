//! The program with symbols. It ships without, so it is linked a second time; both files must load the same bytes.

use anyhow::{Result, ensure};
use object::{Object, ObjectSymbol};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::compiler;
use xtask::platform::{PLATFORMS, Platform, Selection};

/// Size of the file header and of two program headers in bytes, with 32 and with 64 bits.
const HEADERS: [usize; 2] = [52 + 2 * 32, 64 + 2 * 56];

/// Maximum number of bytes between two symbols, which align the second.
const PADDING: usize = 15;

/// Names, and places in the file.
pub type Symbols = Vec<(String, Range<usize>)>;

/// Returns a platform for each program of the selected ones: some share a program.
pub fn distinct(selection: &Selection) -> Vec<&'static Platform> {
    let mut targets: BTreeSet<_> = selection.platforms().iter().map(|platform| platform.target).collect();
    PLATFORMS.iter().filter(|platform| targets.remove(platform.target)).collect()
}

/// Builds a platform's program, as it ships and with symbols.
pub fn build(shell: &Shell, platform: &'static Platform) -> Result<(Binary, PathBuf)> {
    let binary = build::build(shell, &[platform])?.remove(0);
    let linked = compiler::compile(shell, binary.compiler, platform.target, "pause", true)?;
    Ok((binary, linked))
}

/// Builds a platform's program as it ships. Also returns its functions.
pub fn functions(shell: &Shell, platform: &'static Platform) -> Result<(Binary, Symbols)> {
    let (binary, linked) = build(shell, platform)?;
    let mut symbols = symbols(&binary.content, &fs::read(linked)?)?;
    // A constant's name is in capitals.
    symbols.retain(|(name, _)| name.chars().any(char::is_lowercase));
    Ok((binary, symbols))
}

/// Symbols of the program, without paths in their names. Every byte after the headers must belong to one, or align one.
pub fn symbols(shipped: &[u8], linked: &[u8]) -> Result<Symbols> {
    let file = object::File::parse(linked)?;
    let mut end = HEADERS[usize::from(file.is_64())];
    // The file header differs: it points to the section table.
    ensure!(linked.get(end..shipped.len()) == shipped.get(end..), "linked with symbols, the program has other bytes");
    let mut symbols: Vec<_> = file.symbols().filter(|symbol| symbol.size() > 0).collect();
    symbols.sort_by_key(|symbol| symbol.address());
    let mut named = Vec::new();
    for symbol in symbols {
        let start = symbol.address() as usize;
        ensure!((end..=end + PADDING).contains(&start), "bytes {end:#x}..{start:#x} belong to no symbol");
        end = start + symbol.size() as usize;
        // The alternate form leaves out the hash.
        let name = format!("{:#}", rustc_demangle::demangle(symbol.name()?));
        named.push((name.rsplit("::").next().unwrap_or_default().to_owned(), start..end));
    }
    ensure!(end == shipped.len(), "bytes {end:#x}..{:#x} belong to no symbol", shipped.len());
    Ok(named)
}
