//! Cases of functions without a command of their own.

use crate::{Case, Skip, original};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::tempdir;
use xtask::golden::Golden;
use xtask::sources;
use xtask::table::Table;

pub const CASES: &[Case] = &[
    ("the sources are the files that git tracks or would add", || {
        let (directory, copy) = (tempdir()?, tempdir()?);
        let path = directory.path();
        fs::create_dir(path.join("src"))?;
        for name in ["known ü", "src/removed", "src/new", "dist"] {
            fs::write(path.join(name), name)?;
        }
        fs::write(path.join(".gitignore"), "dist\n")?;
        git(path, &["init", "--quiet"])?;
        git(path, &["add", "known ü", "src/removed", ".gitignore"])?;
        fs::remove_file(path.join("src/removed"))?;
        sources::copy(path, copy.path())?;
        for directory in [path, copy.path()] {
            let listed = BTreeSet::from_iter(sources::list(directory)?);
            ensure!(listed == [".gitignore", "known ü", "src/new"].map(PathBuf::from).into(), "{listed:?}");
        }
        Ok(())
    }),
    ("another size fails with both rows, and --bless keeps the row's place and the other rows", || {
        const FILE: &str = "tests/image/sizes.txt";
        let directory = tempdir()?;
        let file = directory.path().join(FILE);
        fs::create_dir_all(file.parent().context("a directory")?)?;
        fs::copy(original().join(FILE), &file)?;
        let mut table = Table::read(&file)?;
        let order: Vec<_> = table.rows.iter().map(|row| row[..1].to_vec()).collect();
        let row = table.rows.iter_mut().find(|row| row[0] == "linux/arm64").context("a row of linux/arm64")?;
        let new = ["linux/arm64", "1", "2", "3", "4", "9"].map(String::from).to_vec();
        let golden = || Golden::read(directory.path(), FILE, "cargo xtask test");
        let error = golden()?.check(&new, 1, 6).err().context("it passes")?.to_string();
        for part in [&format!("- {}\n", row.join("  ")), "+ linux/arm64  1  2  3  4  9", "--bless"] {
            ensure!(error.contains(part), "no {part:?} in: {error}");
        }
        row.clone_from(&new);
        golden()?.bless(vec![new], 1, &order)?;
        ensure!(Table::read(&file)? == table, "{}", fs::read_to_string(&file)?);
        Ok(())
    }),
];

fn git(directory: &Path, words: &[&str]) -> Result<()> {
    let git = Command::new("git").current_dir(directory).args(words).output();
    let works = git.is_ok_and(|output| output.status.success());
    ensure!(works, Skip(format!("`git {}` does not work here", words.join(" "))));
    Ok(())
}
