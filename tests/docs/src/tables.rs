//! Generated tables, between marks in a page.
//!
//! `<!-- table: FILE -->` and `<!-- end -->` enclose a golden table. `; columns: A, B` and `; rows: C | D` after the
//! file select columns by heading and rows by first cell. `<!-- counts -->` encloses the numbers of tests,
//! `<!-- commands -->` all commands, and `<!-- system calls -->` those of the contract.

use crate::commands::{self, Command};
use anyhow::{Context, Result, bail};
use contract::{SYSTEM_CALLS, SystemCalls};
use std::collections::BTreeSet;
use std::path::Path;
use xtask::golden::Golden;
use xtask::platform::PLATFORMS;
use xtask::table::Table;
use xtask::test::{Order, Program};

pub const END: &str = "<!-- end -->";

pub fn fill(repository: &Path, commands: &[Command], text: &str) -> Result<String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (mark, after) = after.split_once(" -->\n").context("a mark doesn't end with its line")?;
        let table = match mark.split_once("table: ") {
            Some(("", selection)) => golden(repository, selection)?,
            _ if mark == "counts" => counts(repository)?,
            _ if mark == "commands" => commands::table(commands),
            _ if mark == "system calls" => system_calls(),
            _ => bail!("unknown mark <!-- {mark} -->"),
        };
        let (_, after) = after.split_once(END).with_context(|| format!("<!-- {mark} --> has no {END}"))?;
        filled += &format!("{before}<!-- {mark} -->\n{}{END}", table.to_markdown());
        rest = after;
    }
    Ok(filled + rest)
}

fn golden(repository: &Path, selection: &str) -> Result<Table> {
    let mut parts = selection.split("; ");
    let mut table = Golden::read(repository, parts.next().unwrap_or_default(), "")?.table;
    for part in parts {
        match part.split_once(": ") {
            Some(("columns", names)) => table = table.select(&names.split(", ").collect::<Vec<_>>())?,
            Some(("rows", names)) => {
                let find = |name| table.find(&[name]).with_context(|| format!("no row {name}")).map(<[_]>::to_vec);
                table.rows = names.split(" | ").map(find).collect::<Result<_>>()?;
            }
            _ => bail!("expected columns or rows, not {part}"),
        }
    }
    Ok(table)
}

fn system_calls() -> Table {
    let mut table = Table::new(["architecture", "the program's", "the kernel's"]);
    for SystemCalls { architecture, own, by_kernel } in &SYSTEM_CALLS {
        table.push([architecture.to_string(), own.join(", "), by_kernel.join(", ")]);
    }
    table
}

fn counts(repository: &Path) -> Result<Table> {
    let sum = |selection| -> Result<usize> {
        golden(repository, selection)?.rows.concat().iter().map(|cell| Ok(cell.parse::<usize>()?)).sum()
    };
    let programs = PLATFORMS.iter().map(|platform| Program::new(platform.name, "pause".into())).collect();
    let order = Order { programs, shipped: true, image: Some("image".into()), ..Order::default() };
    let image_cases: BTreeSet<_> = image::trials(&order).iter().map(|trial| trial.name().to_owned()).collect();
    let mutants = sum("tests/mutation/mutation.txt; columns: mutants")?;
    let mut table = Table::new(["tests", "number", "command"]);
    for (tests, number, command) in [
        ("conformance cases, on each platform", conformance::CASES.len(), "test"),
        ("image cases", image_cases.len(), "test"),
        ("cases on real kernels", sum("tests/kernels/kernels.txt; columns: cases")?, "kernels"),
        ("checks on container hosts", sum("tests/hosts/hosts.txt; columns: checks")?, "hosts"),
        ("runs with injected signals", sum("tests/inject/signals.txt; columns: runs")?, "inject"),
        ("questions that the proof decides", sum("tests/prove/prove.txt; columns: checks")?, "prove"),
        ("seeded faults", mutation::seeded_faults()?.len(), "mutation"),
        ("mutants of source and machine code", mutants, "mutation --systematic"),
    ] {
        table.push([tests, &number.to_string(), &format!("`cargo xtask {command}`")]);
    }
    Ok(table)
}
