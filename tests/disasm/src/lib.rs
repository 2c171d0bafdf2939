//! The program with symbols: it ships without, so it is linked a second time. Both files must load the same bytes.

use anyhow::{Result, ensure};
use object::{Object, ObjectSymbol};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::compiler;
use xtask::platform::Platform;

/// Size of the file header and of two program headers in bytes, with 32 and with 64 bits.
const HEADERS: [usize; 2] = [52 + 2 * 32, 64 + 2 * 56];

/// Most bytes between two symbols, which align the second.
const PADDING: usize = 15;

/// Names, and places in the file.
pub type Symbols = Vec<(String, Range<usize>)>;

/// Builds a platform's program, as it ships and with symbols.
pub fn build(shell: &Shell, platform: &'static Platform) -> Result<(Binary, PathBuf)> {
    let binary = build::build(shell, &[platform])?.remove(0);
    let _variable = shell.push_env("PAUSE_SYMBOLS", "1");
    let unstripped = ["--config", "profile.release.strip=false"];
    let linked = compiler::compile(shell, binary.compiler, platform.target, "pause", "pause", &unstripped)?;
    Ok((binary, linked))
}

/// Builds a platform's program as it ships. Returns its bytes and its functions.
pub fn functions(shell: &Shell, platform: &'static Platform) -> Result<(Vec<u8>, Symbols)> {
    let (binary, linked) = build(shell, platform)?;
    let symbols = symbols(&binary.content, &fs::read(linked)?)?;
    // A constant's name is in capitals.
    let is_function = |(name, _): &(String, _)| name.chars().any(char::is_lowercase);
    Ok((binary.content, symbols.into_iter().filter(is_function).collect()))
}

/// Symbols of the program, without paths in their names. Every byte behind the headers must belong to one,
/// or align one.
pub fn symbols(shipped: &[u8], linked: &[u8]) -> Result<Symbols> {
    let file = object::File::parse(linked)?;
    let mut end = HEADERS[usize::from(file.is_64())];
    // The file header differs: it says where the section table is.
    ensure!(linked.get(end..shipped.len()) == shipped.get(end..), "linked with symbols, the program has other bytes");
    let mut symbols: Vec<_> = file.symbols().filter(|symbol| symbol.size() > 0).collect();
    symbols.sort_by_key(|symbol| symbol.address());
    let mut named = Vec::new();
    for symbol in symbols {
        let start = symbol.address() as usize;
        ensure!((end..=end + PADDING).contains(&start), "bytes {end:#x}..{start:#x} belong to no symbol");
        end = start + symbol.size() as usize;
        let name = without_hashes(&format!("{:#}", rustc_demangle::demangle(symbol.name()?)));
        named.push((name.rsplit("::").next().unwrap_or_default().to_owned(), start..end));
    }
    ensure!(end == shipped.len(), "bytes {end:#x}..{:#x} belong to no symbol", shipped.len());
    Ok(named)
}

/// Removes the hashes from Rust's symbols: `pause::main::h0123456789abcdef` becomes `pause::main`.
pub fn without_hashes(text: &str) -> String {
    let mut parts = text.split("::h");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_at_checked(16) {
            Some((hash, rest)) if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => text += rest,
            _ => text += &format!("::h{part}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_removed() {
        assert_eq!(without_hashes("<a::main::h0123456789abcdef>: b::h0123456789abcdef"), "<a::main>: b");
        assert_eq!(without_hashes("core::hint::x"), "core::hint::x");
    }
}
