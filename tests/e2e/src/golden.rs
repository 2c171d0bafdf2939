//! The golden tables of hosts and readers: the versions that took the image, release by release, and how many checks
//! there were.

use crate::host::Host;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use xshell::Shell;
use xtask::command::Misuse;
use xtask::table::Table;

/// Columns that aren't releases; the first one is another.
const CHECKS: &str = "checks";
const STAND_INS: &str = "stand-ins";

/// Stands where a host was not run, or nothing was measured.
pub const NONE: &str = "–";

/// A host that was run: what the table says of it.
pub struct Row {
    /// The host.
    pub host: &'static Host,
    /// Its version.
    pub version: String,
    /// How many checks it has.
    pub checks: usize,
    /// How many stand-ins were caught, of how many.
    pub stand_ins: String,
}

/// The table, as it is seen from one release.
pub struct Golden {
    /// Relative to the repository.
    file: &'static str,
    path: PathBuf,
    table: Table,
    /// The release's name, where it has a column.
    release: Option<String>,
}

impl Golden {
    /// Reads the table.
    ///
    /// # Errors
    /// Where it can't be read, or is to be blessed and has no column for the release.
    pub fn read(shell: &Shell, file: &'static str, release: &str, bless: bool) -> Result<Self> {
        let path = shell.current_dir().join(file);
        let table = Table::read(&path)?;
        for name in [CHECKS, STAND_INS] {
            column(&table, name).with_context(|| format!("{file} has no column {name}"))?;
        }
        let known = column(&table, release).map(|_| release.to_owned());
        if bless && known.is_none() {
            bail!(Misuse(format!("{file} has no column for {release}; there are {}", table.headings.join(", "))));
        }
        Ok(Self { file, path, table, release: known })
    }

    /// What differs from the table: what must not, and what may.
    pub fn compare(&self, rows: &[Row]) -> (Vec<String>, Vec<String>) {
        let (mut wrong, mut notes, file) = (Vec::new(), Vec::new(), self.file);
        for Row { host: Host { title, .. }, version, checks, .. } in rows {
            let checks = checks.to_string();
            match self.cell(title, CHECKS) {
                Some(golden) if golden == checks => {}
                golden => wrong.push(format!(
                    "{title}: {checks} checks, and {} in {file}; if that is on purpose, run this again with --bless",
                    golden.unwrap_or("none")
                )),
            }
            let golden = self.release.as_deref().and_then(|release| self.cell(title, release));
            if let Some(golden) = golden.filter(|golden| golden != version) {
                notes.push(format!("{title}: this is {version}, and {file} has {golden}; --bless writes it"));
            }
        }
        (wrong, notes)
    }

    /// Writes what was seen: the release's column and how many checks there are, for the hosts that were run.
    ///
    /// # Errors
    /// Where the table can't be written.
    pub fn bless(mut self, rows: &[Row], hosts: impl Iterator<Item = &'static Host>) -> Result<()> {
        let cell = |row: &Row, heading: &String| match heading.as_str() {
            heading if heading == self.table.headings[0] => row.host.title.into(),
            CHECKS => row.checks.to_string(),
            STAND_INS => row.stand_ins.clone(),
            heading if Some(heading) == self.release.as_deref() => row.version.clone(),
            heading => self.cell(row.host.title, heading).unwrap_or(NONE).into(),
        };
        let rows = rows.iter().map(|row| self.table.headings.iter().map(|heading| cell(row, heading)).collect());
        let rows = rows.collect();
        let order: Vec<_> = hosts.map(|host| vec![host.title.into()]).collect();
        self.table.merge(rows, 1, &order);
        self.table.write(&self.path)
    }

    /// What the table says of a host.
    fn cell(&self, title: &str, heading: &str) -> Option<&str> {
        let row = self.table.find(&[title])?;
        Some(&row[column(&self.table, heading)?])
    }
}

fn column(table: &Table, heading: &str) -> Option<usize> {
    table.headings.iter().position(|other| other == heading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::HOSTS;

    /// A table with one host, seen from its one release, beside a run of that host.
    fn compare(version: &str, checks: usize) -> (Vec<String>, Vec<String>) {
        let mut table = Table::new(["host", "trixie", CHECKS, STAND_INS]);
        table.push([HOSTS[0].title, "1.21", "10", "2 of 2"]);
        let golden = Golden { file: "hosts.txt", path: PathBuf::new(), table, release: Some("trixie".into()) };
        golden.compare(&[Row { host: &HOSTS[0], version: version.into(), checks, stand_ins: "2 of 2".into() }])
    }

    #[test]
    fn fewer_checks_are_wrong_and_a_new_version_is_news() {
        assert_eq!(compare("1.21", 10), (vec![], vec![]));
        let (wrong, news) = compare("1.21", 9);
        assert!(wrong[0].contains("9 checks, and 10 in hosts.txt") && news.is_empty(), "{wrong:?}");
        let (wrong, news) = compare("1.22", 10);
        assert!(wrong.is_empty() && news[0].contains("has 1.21"), "{news:?}");
    }
}
