//! The golden sizes of a new port.

use crate::Case;
use crate::place::{Place, original};
use anyhow::{Context, Result, ensure};
use std::fs;
use xtask::sizes::{self, Sizes};
use xtask::table::Table;

pub const CASES: &[Case] =
    &[("a size that is not blessed fails with both rows, and --bless keeps the row's place and the others", bless)];

const FILE: &str = "tests/image/sizes.txt";

fn bless(place: &Place) -> Result<()> {
    let folder = place.folder("port")?;
    fs::create_dir_all(folder.join("tests/image"))?;
    fs::copy(original().join(FILE), folder.join(FILE))?;
    let mut table = Table::read(&folder.join(FILE))?;
    let row = table.rows.iter_mut().find(|row| row[0] == "linux/arm64").context("a row of linux/arm64")?;
    let sizes = [Sizes { platform: "linux/arm64", binary: 1, layer: 2, config: 3, manifest: 4 }];
    let error = sizes::check(&folder, &sizes, false).err().context("it passes")?.to_string();
    for part in [&format!("- {}\n", row.join(" ")), "+ linux/arm64 1 2 3 4 9", "--bless"] {
        ensure!(error.contains(part), "no {part:?} in: {error}");
    }
    *row = ["linux/arm64", "1", "2", "3", "4", "9"].map(String::from).to_vec();
    sizes::check(&folder, &sizes, true)?;
    ensure!(Table::read(&folder.join(FILE))? == table, "{}", fs::read_to_string(folder.join(FILE))?);
    Ok(())
}
