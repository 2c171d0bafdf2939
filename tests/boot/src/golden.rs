//! The golden table of boots: what each kernel has shown, and is to show again.

use crate::boots::{self, Boot};
use crate::kernels::KERNELS;
use crate::machine::Transcript;
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use xtask::platform::PLATFORMS;
use xtask::table::Table;

/// The golden file, relative to the repository.
const FILE: &str = "tests/boot/boots.txt";

/// What its columns are called.
pub const HEADINGS: [&str; 5] = ["platform", "kernel", "release", "pages", "rows"];

/// How many columns, from the left, say which boot a row is about.
const KEY: usize = 2;

/// A row of the table.
pub type GoldenRow = [String; HEADINGS.len()];

/// What a boot has shown, as a row.
pub fn row(boot: &Boot, transcript: &Transcript) -> GoldenRow {
    let Transcript { release, page_size, passed, .. } = transcript;
    let pages = format!("{} KiB", page_size / 1024);
    [boot.platform.name.into(), boot.kernel.name.into(), release.clone(), pages, passed.to_string()]
}

/// The golden table.
pub struct Golden {
    file: PathBuf,
    table: Table,
}

impl Golden {
    /// Reads it.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn read(repository: &Path) -> Result<Self> {
        let file = repository.join(FILE);
        Ok(Self { table: Table::read_with(&file, &HEADINGS)?, file })
    }

    /// Compares what a boot has shown with what it is to show. Releases may differ: Debian mends its kernels.
    ///
    /// # Errors
    /// Where the page size or the number of rows differs.
    pub fn check(&self, row: &GoldenRow) -> Result<()> {
        let [platform, kernel, _, pages, rows] = row;
        let wanted = match self.table.find(&[platform, kernel]) {
            Some([_, _, _, wanted_pages, wanted_rows]) => format!("{wanted_pages} and {wanted_rows}"),
            _ => "nothing".into(),
        };
        ensure!(
            wanted == format!("{pages} and {rows}"),
            "pages and rows were {pages} and {rows}, and {FILE} has {wanted}; \
             if that is on purpose, run `cargo xtask boot --bless`"
        );
        Ok(())
    }

    /// Makes these rows golden. Those of other boots stay as they are.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn bless(mut self, rows: &[GoldenRow]) -> Result<()> {
        let key = |boot: Boot| vec![boot.platform.name.into(), boot.kernel.name.into()];
        let order: Vec<_> = boots::of(KERNELS, &PLATFORMS.iter().collect::<Vec<_>>()).into_iter().map(key).collect();
        self.table.merge(rows.iter().map(|row| row.to_vec()).collect(), KEY, &order);
        self.table.write(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_may_differ_and_nothing_else() {
        let row = |cells: [&str; HEADINGS.len()]| cells.map(String::from);
        let mut table = Table::new(HEADINGS);
        table.push(row(["linux/arm64", "arm64-7", "7.1", "4 KiB", "23"]));
        let golden = Golden { file: PathBuf::new(), table };
        assert!(golden.check(&row(["linux/arm64", "arm64-7", "7.2", "4 KiB", "23"])).is_ok());
        assert!(golden.check(&row(["linux/arm64", "arm64-7", "7.1", "16 KiB", "23"])).is_err());
        assert!(golden.check(&row(["linux/arm64", "arm64-7", "7.1", "4 KiB", "22"])).is_err());
        assert!(golden.check(&row(["linux/arm64", "arm64-8", "7.1", "4 KiB", "23"])).is_err());
    }
}
