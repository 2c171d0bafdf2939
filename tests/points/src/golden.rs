//! The golden table: what was tried of each platform's program, and is to be tried again.

use anyhow::{Result, ensure};
use points::Tally;
use std::path::{Path, PathBuf};
use xtask::platform::PLATFORMS;
use xtask::table::Table;

/// The golden file, relative to the repository.
const FILE: &str = "tests/points/points.txt";

/// What its columns are called.
pub const HEADINGS: [&str; 7] = ["platform", "how", "points", "pairs", "runs", "left out", "violations"];

/// Columns of those that do not depend on the depth.
const SINGLES: usize = 3;

/// What stands where nothing was tried.
const NOTHING: &str = "–";

/// A row of the table.
pub type Row = [String; HEADINGS.len()];

/// What was tried of a platform's program, as a row.
pub fn row(platform: &str, how: &str, tally: &Tally) -> Row {
    let Tally { points, pairs, runs, left_out, violations } = tally;
    let number = |number: &usize| if *number == 0 { NOTHING.into() } else { number.to_string() };
    let (pairs, left_out) = (number(pairs), number(left_out));
    [platform.into(), how.into(), points.to_string(), pairs, runs.to_string(), left_out, violations.len().to_string()]
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

    /// Compares what was tried, all of it or only single points, with what is to be tried.
    ///
    /// # Errors
    /// Where that differs.
    pub fn check(&self, row: &Row, is_all: bool) -> Result<()> {
        let columns = if is_all { HEADINGS.len() } else { SINGLES };
        let wanted = self.table.find(&[&row[0]]).map(|wanted| wanted[..columns].join(" "));
        let wanted = wanted.unwrap_or("nothing".into());
        let tried = row[..columns].join(" ");
        ensure!(
            tried == wanted,
            "what was tried is {tried}, and {FILE} has {wanted}; if that is on purpose, run `cargo xtask points --bless`"
        );
        Ok(())
    }

    /// Makes these rows golden. Those of other platforms stay as they are.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn bless(mut self, rows: &[Row]) -> Result<()> {
        let order: Vec<_> = PLATFORMS.iter().map(|platform| vec![platform.name.into()]).collect();
        self.table.merge(rows.iter().map(|row| row.to_vec()).collect(), 1, &order);
        self.table.write(&self.file)
    }
}
