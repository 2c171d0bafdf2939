//! Generated tables, between marks in a page.
//!
//! `<!-- table: FILE -->` and `<!-- end -->` enclose a golden table. `; columns: A, B` and `; rows: C | D` after the file
//! select some, by headings and by first cells. `<!-- counts -->` encloses the numbers of tests, `<!-- commands -->` all
//! commands and options, `<!-- system calls -->` the contract's.

use crate::commands::{self, Command};
use crate::counts;
use anyhow::{Context, Result, bail};
use contract::{SYSTEM_CALLS, SystemCalls};
use std::path::Path;
use xtask::table::Table;

const END: &str = "<!-- end -->";

/// Returns the text with up-to-date tables, and their number.
pub fn fill(repository: &Path, commands: &[Command], text: &str) -> Result<(String, usize)> {
    let (mut filled, mut rest, mut count) = (String::new(), text, 0);
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (mark, after) = after.split_once(" -->\n").context("a mark doesn't end with its line")?;
        let table = match mark.split_once("table: ") {
            Some(("", choice)) => golden(repository, choice)?,
            _ if mark == "counts" => counts::table(repository)?,
            _ if mark == "commands" => commands::table(commands),
            _ if mark == "system calls" => system_calls(),
            _ => bail!("unknown mark <!-- {mark} -->"),
        };
        let (_, after) = after.split_once(END).with_context(|| format!("<!-- {mark} --> has no {END}"))?;
        filled += &format!("{before}<!-- {mark} -->\n{}{END}", table.to_markdown());
        rest = after;
        count += 1;
    }
    Ok((filled + rest, count))
}

fn system_calls() -> Table {
    let mut table = Table::new(["architecture", "its own", "the kernel's"]);
    for SystemCalls { architecture, own, by_kernel } in &SYSTEM_CALLS {
        table.push([architecture.to_string(), own.join(", "), by_kernel.join(", ")]);
    }
    table
}

/// A golden table, or a part of it.
fn golden(repository: &Path, choice: &str) -> Result<Table> {
    let mut parts = choice.split("; ");
    let mut table = Table::read(&repository.join(parts.next().context("a file")?))?;
    for part in parts {
        match part.split_once(": ") {
            Some(("columns", names)) => table = table.select(&names.split(", ").collect::<Vec<_>>())?,
            Some(("rows", names)) => {
                let find = |name| {
                    let row = table.find(&[name]).with_context(|| format!("no row {name}"))?;
                    Ok(row.to_vec())
                };
                table.rows = names.split(" | ").map(find).collect::<Result<_>>()?;
            }
            _ => bail!("expected columns or rows, not {part}"),
        }
    }
    Ok(table)
}
