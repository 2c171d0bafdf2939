//! What a new port meets.

use crate::Case;
use crate::place::{Place, original};
use anyhow::{Context, Result, ensure};
use std::fs;
use xtask::sizes::{self, Sizes};
use xtask::table::Table;

pub const CASES: &[Case] = &[
    ("--bless of one platform keeps its row's place, and the others", bless_keeps_the_place),
    ("a size that is not blessed fails, with both rows", changed_sizes_are_shown),
];

const FILE: &str = "tests/image/sizes.txt";

/// A golden file of its own, and sizes of linux/arm64 that are not those in it.
fn changed(place: &Place, name: &str) -> Result<(std::path::PathBuf, Table, [Sizes; 1])> {
    let folder = place.folder(name)?;
    fs::create_dir_all(folder.join("tests/image"))?;
    fs::copy(original().join(FILE), folder.join(FILE))?;
    let table = Table::read(&folder.join(FILE))?;
    let sizes = Sizes { platform: "linux/arm64", binary: 1, layer: 2, config: 3, manifest: 4 };
    Ok((folder, table, [sizes]))
}

fn bless_keeps_the_place(place: &Place) -> Result<()> {
    let (folder, mut table, sizes) = changed(place, "blessed")?;
    sizes::check(&folder, &sizes, true)?;
    let row = table.rows.iter_mut().find(|row| row[0] == "linux/arm64").context("a row of linux/arm64")?;
    *row = ["linux/arm64", "1", "2", "3", "4", "9"].map(String::from).to_vec();
    ensure!(Table::read(&folder.join(FILE))? == table, "{}", fs::read_to_string(folder.join(FILE))?);
    Ok(())
}

fn changed_sizes_are_shown(place: &Place) -> Result<()> {
    let (folder, table, sizes) = changed(place, "not blessed")?;
    let error = sizes::check(&folder, &sizes, false).err().context("it passes")?.to_string();
    let old = table.find(&["linux/arm64"]).context("a row of linux/arm64")?.join(" ");
    for part in [format!("- {old}\n"), "+ linux/arm64 1 2 3 4 9".into(), "--bless".into()] {
        ensure!(error.contains(&part), "no {part:?} in: {error}");
    }
    Ok(())
}
