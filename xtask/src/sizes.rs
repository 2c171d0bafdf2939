//! The golden sizes of each platform's image.

use crate::platform::PLATFORMS;
use crate::table::Table;
use anyhow::{Result, bail};
use std::path::Path;

/// The golden file, relative to the repository.
const FILE: &str = "tests/image/sizes.txt";

/// Sizes of a platform's binary and image, in bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Its OCI name.
    pub platform: &'static str,
    pub binary: u64,
    /// Compressed.
    pub layer: u64,
    pub config: u64,
    pub manifest: u64,
}

impl Sizes {
    /// The size of a pull, without the index.
    pub fn pull(&self) -> u64 {
        self.layer + self.config + self.manifest
    }
}

/// A table of sizes.
pub fn table(sizes: &[Sizes]) -> Table {
    let mut table = Table::new(["platform", "binary", "layer", "config", "manifest", "pull"]);
    for sizes in sizes {
        let Sizes { platform, binary, layer, config, manifest } = sizes;
        let bytes = [binary, layer, config, manifest, &sizes.pull()].map(u64::to_string);
        table.push([platform.to_string()].into_iter().chain(bytes));
    }
    table
}

/// Compares sizes with the golden ones, or writes those.
pub fn check(repository: &Path, sizes: &[Sizes], bless: bool) -> Result<()> {
    let file = repository.join(FILE);
    let (mut golden, new) = (Table::read(&file)?, table(sizes));
    if bless {
        // Rows of platforms that were not built stay.
        let order: Vec<_> = PLATFORMS.iter().map(|platform| vec![platform.name.into()]).collect();
        golden.merge(new.rows, 1, &order);
        return golden.write(&file);
    }
    for row in &new.rows {
        let old = golden.find(&[&row[0]]);
        if old != Some(row) {
            let old = old.map(|row| row.join(" ")).unwrap_or_default();
            bail!(
                "the sizes of {} have changed; if that is on purpose, run `cargo xtask test --bless`\n  {}\n- {old}\n+ {}",
                row[0],
                new.headings.join(" "),
                row.join(" ")
            );
        }
    }
    Ok(())
}
