//! Golden tables: what was measured and is to stay so, as text in the repository. A change is made on purpose,
//! with `--bless`, and shows in a diff.
//!
//! A table is a line of headings and a line per row. Two blanks or more separate columns, so that a cell may hold
//! single ones.

use crate::output;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::fs;
use std::path::Path;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What the columns are called.
    pub headings: Vec<String>,
    /// A cell per column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new<Heading: Into<String>>(headings: impl IntoIterator<Item = Heading>) -> Self {
        Self { headings: headings.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push<Cell: ToString>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Where the file can't be read or a row has not a cell per column.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no table", path.display()))
    }

    /// Reads a table that has these columns.
    ///
    /// # Errors
    /// Where the file can't be read, has other columns, or a row has not a cell per column.
    pub fn read_with(path: &Path, headings: &[&str]) -> Result<Self> {
        let table = Self::read(path)?;
        ensure!(table.headings == headings, "{} has other columns than {}", path.display(), headings.join(", "));
        Ok(table)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(|line| {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.map(String::from).collect::<Vec<_>>()
        });
        let headings = lines.next().context("it is empty")?;
        let rows: Vec<_> = lines.collect();
        let odd = rows.iter().find(|row| row.len() != headings.len());
        ensure!(
            odd.is_none(),
            "a row has not a cell per column: {}",
            odd.map(|row| row.join("  ")).unwrap_or_default()
        );
        Ok(Self { headings, rows })
    }

    /// Writes it.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        output::replace(path, format!("{self}\n").as_bytes())
    }

    /// The columns of these names, in this order.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn select(&self, names: &[&str]) -> Result<Self> {
        let column = |name: &&str| {
            self.headings
                .iter()
                .position(|heading| heading == name)
                .with_context(|| format!("there is no column {name}"))
        };
        let columns = names.iter().map(column).collect::<Result<Vec<_>>>()?;
        let pick = |row: &Vec<String>| columns.iter().map(|&column| row[column].clone()).collect();
        Ok(Self { headings: pick(&self.headings), rows: self.rows.iter().map(pick).collect() })
    }

    /// The row whose first cells are these.
    pub fn find(&self, key: &[&str]) -> Option<&[String]> {
        self.rows.iter().map(Vec::as_slice).find(|row| is_key(row, key))
    }

    /// Puts rows in the place of those with the same first `key` cells, or adds them. The rows' own order is that of
    /// `order`, which lists all that may be there by their first cells; what it does not list goes.
    pub fn merge(&mut self, rows: Vec<Vec<String>>, key: usize, order: &[Vec<String>]) {
        let find = |rows: &[Vec<String>], wanted: &[String]| rows.iter().find(|row| row[..key] == *wanted).cloned();
        let merged = order.iter().filter_map(|wanted| find(&rows, wanted).or_else(|| find(&self.rows, wanted)));
        self.rows = merged.collect();
    }

    /// As Markdown, with numbers to the right.
    pub fn to_markdown(&self) -> String {
        let is_number = |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit() || first == '–');
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let marks = (0..self.headings.len()).map(|column| match self.rows.iter().all(|row| is_number(&row[column])) {
            true => "---:",
            false => "---",
        });
        let marks = format!("|{}|\n", marks.collect::<Vec<_>>().join("|"));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&self.headings) + &marks + &rows
    }
}

fn is_key(row: &[String], key: &[&str]) -> bool {
    row.iter().zip(key).all(|(cell, key)| cell == key)
}

impl fmt::Display for Table {
    /// Columns under one another, without a line break at the end.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let lines: Vec<_> = std::iter::once(&self.headings).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<_> = (0..self.headings.len()).map(width).collect();
        let mut separator = "";
        for line in lines {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            write!(formatter, "{separator}{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            separator = "\n";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let mut table = Table::new(["platform", "size of it"]);
        table.push(["linux/amd64", "649"]);
        table.push(["linux/arm64", "1,810"]);
        assert_eq!(Table::parse(&table.to_string()).unwrap(), table);
        assert_eq!(table.find(&["linux/arm64"]).unwrap()[1], "1,810");
        assert!(Table::parse("one  two\n1\n").is_err());
        assert_eq!(
            table.select(&["size of it"]).unwrap().to_markdown(),
            "| size of it |\n|---:|\n| 649 |\n| 1,810 |\n"
        );
    }

    #[test]
    fn a_merge_keeps_the_order() {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        let mut table =
            Table { headings: row(["name", "size"]), rows: vec![row(["a", "1"]), row(["gone", "2"]), row(["c", "3"])] };
        table.merge(vec![row(["c", "4"]), row(["b", "5"])], 1, &["a", "b", "c"].map(|name| vec![name.into()]));
        assert_eq!(table.rows, [row(["a", "1"]), row(["b", "5"]), row(["c", "4"])]);
    }
}
