//! Tables as text: a line of headings and a line per row. Two blanks or more separate cells, which may contain one.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::{fmt, fs};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub headings: Vec<String>,
    /// A cell per column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<Heading: Into<String>>(headings: impl IntoIterator<Item = Heading>) -> Self {
        Self { headings: headings.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    pub fn push<Cell: ToString>(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a table", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(|line| {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.map(String::from).collect::<Vec<_>>()
        });
        let headings = lines.next().context("it is empty")?;
        let rows: Vec<_> = lines.collect();
        for row in &rows {
            ensure!(row.len() == headings.len(), "{} cells in a row: {}", row.len(), row.join("  "));
        }
        Ok(Self { headings, rows })
    }

    pub fn select(&self, names: &[&str]) -> Result<Self> {
        let column = |name: &&str| {
            let column = self.headings.iter().position(|heading| heading == name);
            column.with_context(|| format!("there is no column {name}"))
        };
        let columns = names.iter().map(column).collect::<Result<Vec<_>>>()?;
        let pick = |row: &Vec<String>| columns.iter().map(|&column| row[column].clone()).collect();
        Ok(Self { headings: pick(&self.headings), rows: self.rows.iter().map(pick).collect() })
    }

    /// Returns the row that starts with these cells.
    pub fn find(&self, key: &[&str]) -> Option<&[String]> {
        self.rows.iter().map(Vec::as_slice).find(|row| row.iter().zip(key).all(|(cell, key)| cell == key))
    }

    /// Formats the table as Markdown, with numbers to the right.
    pub fn to_markdown(&self) -> String {
        let is_number = |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit() || first == '–');
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mark = |column| if self.rows.iter().all(|row| is_number(&row[column])) { "---:" } else { "---" };
        let marks: Vec<_> = (0..self.headings.len()).map(mark).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}|{}|\n{rows}", line(&self.headings), marks.join("|"))
    }
}

impl fmt::Display for Table {
    /// Aligns the columns. The last line has no line break.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let lines: Vec<_> = std::iter::once(&self.headings).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<_> = (0..self.headings.len()).map(width).collect();
        let pad = |line: &&Vec<String>| {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        formatter.write_str(&lines.iter().map(pad).collect::<Vec<_>>().join("\n"))
    }
}
