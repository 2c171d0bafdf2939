//! The golden digests: of each platform's program, and of the index of the usual image of all.

use crate::build::Binary;
use crate::digest::sha256;
use crate::platform::PLATFORMS;
use crate::table::Table;
use anyhow::{Result, ensure};
use std::path::Path;

/// The golden file, relative to the repository.
const FILE: &str = "tests/image/digests.txt";

/// What the row of the index is called.
const INDEX: &str = "index";

/// Compares digests with the golden ones, or makes them the golden ones. Of an image that has not all platforms, the
/// index is another one.
///
/// # Errors
/// Where one differs.
pub fn check(repository: &Path, binaries: &[Binary], index: &str, bless: bool) -> Result<()> {
    let file = repository.join(FILE);
    let mut golden = Table::read(&file)?;
    let mut new = Table::new(["what", "sha256"]);
    for binary in binaries {
        new.push([binary.platform.name, &sha256(&binary.content)]);
    }
    if binaries.len() == PLATFORMS.len() {
        new.push([INDEX, index]);
    }
    if bless {
        // Those that were not built stay as they are.
        let names = PLATFORMS.iter().map(|platform| platform.name).chain([INDEX]);
        golden.merge(new.rows, 1, &names.map(|name| vec![name.into()]).collect::<Vec<_>>());
        return golden.write(&file);
    }
    for row in &new.rows {
        let compiler = binaries.iter().find(|binary| binary.platform.name == row[0]).map(|binary| binary.compiler);
        let by = compiler.map(|compiler| format!(", built by {compiler} compiler,")).unwrap_or_default();
        ensure!(
            golden.find(&[&row[0]]) == Some(row),
            "{}{by} has other bytes than {FILE} says: sha256 {}; if that is on purpose, run `cargo xtask test --bless`",
            row[0],
            row[1]
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::Compiler;

    #[test]
    fn another_byte_is_noticed() {
        let repository = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(repository.path().join("tests/image")).unwrap();
        std::fs::write(repository.path().join(FILE), "what  sha256\n").unwrap();
        let binary =
            |platform, content: &[u8]| Binary { platform, content: content.into(), compiler: Compiler::Debian };
        let all = |content| PLATFORMS.iter().map(|platform| binary(platform, content)).collect::<Vec<_>>();
        let check = |binaries: &[Binary], index, bless| {
            check(repository.path(), binaries, index, bless).map_err(|error| error.to_string())
        };
        check(&all(b"old"), "1", true).unwrap();
        check(&all(b"old"), "1", false).unwrap();
        assert!(check(&all(b"old"), "2", false).unwrap_err().starts_with("index has other bytes"));
        let one = [binary(&PLATFORMS[0], b"new")];
        assert!(check(&one, "2", false).unwrap_err().starts_with("linux/amd64, built by Debian's compiler, has"));
        // Of one platform, the index says nothing.
        check(&one, "2", true).unwrap();
        check(&one, "3", false).unwrap();
        assert!(check(&all(b"old"), "1", false).unwrap_err().starts_with("linux/amd64"));
    }
}
