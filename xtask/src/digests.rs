//! The golden digests: of each platform's program, of the index of all platforms, and of the archives.

use crate::build::Binary;
use crate::digest::sha256;
use crate::image::air_gap_archive;
use crate::platform::{PLATFORMS, Platform};
use crate::seccomp;
use crate::table::Table;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

/// The golden file, relative to the repository.
const FILE: &str = "tests/image/digests.txt";

/// The name of the index's row.
const INDEX: &str = "index";

/// Returns `yes` or `no` for each program: whether its digest is the golden one.
pub fn are_golden(repository: &Path, binaries: &[Binary]) -> Result<Vec<&'static str>> {
    let golden = Table::read(&repository.join(FILE))?;
    let row = |binary: &Binary| [binary.platform.name.to_owned(), sha256(&binary.content)];
    let is_golden = |binary| golden.rows.iter().any(|golden| **golden == row(binary));
    Ok(binaries.iter().map(|binary| if is_golden(binary) { "yes" } else { "no" }).collect())
}

/// Compares digests with the golden ones, or writes those. `image` is the directory of the artefacts. Without all
/// platforms, the index and the archive of all are not compared.
pub fn check(repository: &Path, image: &Path, binaries: &[Binary], index: &str, bless: bool) -> Result<()> {
    let file = repository.join(FILE);
    let mut golden = Table::read(&file)?;
    let mut new = Table::new(["what", "sha256"]);
    for binary in binaries {
        new.push([binary.platform.name, &sha256(&binary.content)]);
    }
    if binaries.len() == PLATFORMS.len() {
        new.push([INDEX, index]);
    }
    for file in files(&binaries.iter().map(|binary| binary.platform).collect::<Vec<_>>()) {
        let content = fs::read(image.join(&file)).with_context(|| format!("can't read {file}"))?;
        new.push([file, sha256(&content)]);
    }
    if bless {
        // Rows of platforms that were not built stay.
        let platforms = PLATFORMS.iter().map(|platform| platform.name.into()).chain([INDEX.into()]);
        let names = platforms.chain(files(&PLATFORMS.iter().collect::<Vec<_>>()));
        golden.merge(new.rows, 1, &names.map(|name| vec![name]).collect::<Vec<_>>());
        return golden.write(&file);
    }
    for row in &new.rows {
        let compiler = binaries.iter().find(|binary| binary.platform.name == row[0]).map(|binary| binary.compiler);
        let by = compiler.map(|compiler| format!(" (toolchain: {compiler})")).unwrap_or_default();
        ensure!(
            golden.find(&[&row[0]]) == Some(row),
            "{}{by} has other bytes than {FILE} says: sha256 {}; if that is on purpose, run `cargo xtask test --bless`",
            row[0],
            row[1]
        );
    }
    Ok(())
}

/// The artefacts of these platforms besides the programs and the image's directory.
fn files(platforms: &[&Platform]) -> Vec<String> {
    let whole = (platforms.len() == PLATFORMS.len()).then(|| "pause.oci.tar".into());
    let single = platforms.iter().map(|platform| air_gap_archive(platform));
    single.chain(whole).chain([seccomp::FILE.into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::Compiler;

    #[test]
    fn another_byte_is_noticed() {
        let repository = tempfile::tempdir().unwrap();
        let write = |file: &str, content: &str| {
            let path = repository.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write(FILE, "what  sha256\n");
        files(&PLATFORMS.iter().collect::<Vec<_>>()).iter().for_each(|file| write(file, "old"));
        let binary =
            |platform, content: &[u8]| Binary { platform, content: content.into(), compiler: Compiler::Debian };
        let all = |content| PLATFORMS.iter().map(|platform| binary(platform, content)).collect::<Vec<_>>();
        let check = |binaries: &[Binary], index, bless| {
            check(repository.path(), repository.path(), binaries, index, bless).map_err(|error| error.to_string())
        };
        check(&all(b"old"), "1", true).unwrap();
        check(&all(b"old"), "1", false).unwrap();
        assert!(check(&all(b"old"), "2", false).unwrap_err().starts_with("index has other bytes"));
        for file in files(&PLATFORMS.iter().collect::<Vec<_>>()) {
            write(&file, "new");
            assert!(check(&all(b"old"), "1", false).unwrap_err().starts_with(&format!("{file} has other bytes")));
            write(&file, "old");
        }
        let one = [binary(&PLATFORMS[0], b"new")];
        assert!(check(&one, "2", false).unwrap_err().starts_with("linux/amd64 (toolchain: Debian's) has"));
        // The index of one platform is not compared.
        check(&one, "2", true).unwrap();
        check(&one, "3", false).unwrap();
        assert!(check(&all(b"old"), "1", false).unwrap_err().starts_with("linux/amd64"));
    }
}
