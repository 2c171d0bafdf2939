//! The README's table of tests: numbers of each kind, counted in the code and in the golden files.

use anyhow::{Context, Result};
use behaviour::CASES;
use mutants::MUTANTS;
use std::collections::BTreeSet;
use std::path::Path;
use xtask::platform::PLATFORMS;
use xtask::table::Table;
use xtask::test::{Order, Program};

pub fn table(repository: &Path) -> Result<Table> {
    let golden = |file: &str| Table::read(&repository.join(file));
    let (boots, hosts) = (golden("tests/boot/boots.txt")?, golden("tests/e2e/hosts.txt")?);
    let (survivors, costs) = (golden("tests/survivors/survivors.txt")?, golden("tests/bench/costs.txt")?);
    // What `cargo xtask e2e` runs there by itself: Debian has no youki.
    let mut on_bookworm = hosts.clone();
    on_bookworm.rows.retain(|row| row[1] != "–" && row[0] != "youki");
    let explained = sum(&survivors, "explained")?;
    let built = sum(&survivors, "caught")? + explained;
    let (points, answers) = (golden("tests/points/points.txt")?, golden("tests/answers/answers.txt")?);
    let (platforms, cases) = (PLATFORMS.len(), CASES.len());
    let kernels: BTreeSet<_> = boots.select(&["kernel"])?.rows.concat().into_iter().collect();
    let rows = [
        ("cases of the contract", format!("{cases}, on {platforms} platforms"), "test"),
        ("checks of the binaries and the image", facts().to_string(), "test"),
        (
            "checks on real kernels",
            format!("{}, in {} boots of {} kernels", sum(&boots, "rows")?, boots.rows.len(), kernels.len()),
            "boot",
        ),
        (
            "checks on container hosts",
            format!(
                "{} on Debian 12; {} with youki, newer releases and a cluster",
                sum(&on_bookworm, "checks")?,
                sum(&hosts, "checks")?
            ),
            "e2e",
        ),
        (
            "runs with signals at every instruction",
            format!("{}, on {} platforms", sum(&points, "runs")?, points.rows.len()),
            "points",
        ),
        (
            "runs with injected results of system calls",
            format!(
                "{}, reaching {} of {} instructions",
                sum(&answers, "runs")?,
                sum(&answers, "reached")?,
                sum(&answers, "instructions")?
            ),
            "answers",
        ),
        ("seeded faults, all caught", MUTANTS.len().to_string(), "mutants"),
        (
            "mutants of source and machine code that build, all caught or explained",
            format!("{built}, {explained} of them explained"),
            "survivors",
        ),
        ("measurements, next to other programs", costs.rows.len().to_string(), "bench"),
    ];
    let mut table = Table::new(["tests", "number", "command"]);
    for (tests, number, command) in rows {
        table.push([tests.into(), number, format!("`cargo xtask {command}`")]);
    }
    Ok(table)
}

/// Sum of a column.
fn sum(table: &Table, column: &str) -> Result<usize> {
    let cells = table.select(&[column])?.rows.concat();
    cells.iter().map(|cell| cell.parse::<usize>().with_context(|| format!("not a number: {cell}"))).sum()
}

/// The number of different sentences about binaries and images.
fn facts() -> usize {
    let program = Program::new(PLATFORMS[0].name, "pause".into());
    let order = Order { programs: vec![program], shipped: true, image: Some("image".into()), ..Order::default() };
    let trials = image_facts::trials(&order);
    trials.iter().map(|trial| trial.name()).collect::<BTreeSet<_>>().len()
}
