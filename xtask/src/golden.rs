//! Golden tables: results that must not change unnoticed. `--bless` rewrites one, and the change shows in a diff.

use crate::digest::sha256;
use crate::platform::PLATFORMS;
use crate::table::Table;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The table with the digest of each platform's program, relative to the repository.
pub const DIGESTS: &str = "tests/image/digests.txt";

/// Begins the last line of a table that was measured on the program: the program's identity follows.
const MEASURED_ON: &str = "program: ";

pub struct Golden {
    pub table: Table,
    /// Relative to the repository.
    file: String,
    repository: PathBuf,
    /// The command that rewrites it with `--bless`.
    command: String,
    /// The identity of the program that it was measured on, if it depends on that.
    program: Option<String>,
}

impl Golden {
    /// Reads a table. `command` rewrites it with `--bless`, for a message.
    pub fn read(repository: &Path, file: &str, command: impl Into<String>) -> Result<Self> {
        let path = repository.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let (rows, program) = match text.rsplit_once(MEASURED_ON) {
            Some((rows, program)) => (rows, Some(program.trim().into())),
            None => (text.as_str(), None),
        };
        let table = Table::parse(rows).with_context(|| format!("{file} is not a table"))?;
        Ok(Self { table, file: file.into(), repository: repository.into(), command: command.into(), program })
    }

    /// Compares the first `columns` cells of a row with the golden row whose first `key` cells are the same.
    pub fn check(&self, row: &[String], key: usize, columns: usize) -> Result<()> {
        let wanted = self.table.rows.iter().find(|wanted| wanted[..key] == row[..key]);
        let wanted = wanted.map_or("missing".into(), |wanted| wanted[..columns].join("  "));
        let now = row[..columns].join("  ");
        let Self { file, command, .. } = self;
        ensure!(now == wanted, "{file} differs; if that is intended, run `{command} --bless`\n- {wanted}\n+ {now}");
        Ok(())
    }

    /// Replaces or adds rows by their first `key` cells, and writes the table. `order` lists all; others are dropped.
    pub fn bless(mut self, rows: Vec<Vec<String>>, key: usize, order: &[Vec<String>]) -> Result<()> {
        let is_whole = rows.len() == order.len();
        let find = |rows: &[Vec<String>], wanted: &[String]| rows.iter().find(|row| row[..key] == *wanted).cloned();
        let merged = order.iter().filter_map(|wanted| find(&rows, wanted).or_else(|| find(&self.table.rows, wanted)));
        self.table.rows = merged.collect();
        let mut text = format!("{}\n", self.table);
        if self.program.is_some() {
            if !is_whole {
                self.check_program().context("only some of its rows are new")?;
            }
            text += &format!("{MEASURED_ON}{}\n", program(&self.repository)?);
        }
        crate::output::replace(&self.repository.join(&self.file), text.as_bytes())
    }

    /// Fails if the table was measured on another program than the golden one.
    pub fn check_program(&self) -> Result<()> {
        let Some(measured_on) = &self.program else { return Ok(()) };
        let program = program(&self.repository)?;
        let Self { file, command, .. } = self;
        ensure!(*measured_on == program, "{file} was measured on another program; run `{command} --bless`");
        Ok(())
    }
}

/// Identity of the program: the start of a digest of the golden digests of all platforms.
pub fn program(repository: &Path) -> Result<String> {
    let digests = Table::read(&repository.join(DIGESTS))?;
    let digest = |name: &str| digests.find(&[name]).with_context(|| format!("{DIGESTS} has no row {name}"));
    let digests = PLATFORMS.iter().map(|platform| Ok(digest(platform.name)?[1].as_str()));
    let mut identity = sha256(digests.collect::<Result<String>>()?.as_bytes());
    identity.truncate(16);
    Ok(identity)
}
