//! The golden sizes: a change of any is made on purpose, with `cargo xtask test --bless`, and shows in a diff.

use crate::build;
use anyhow::{Result, bail};
use std::fmt::{Display, Formatter};
use std::path::Path;

/// The golden file, relative to the repository.
const FILE: &str = "tests/image/sizes.txt";

/// How much a platform weighs, in bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Its OCI name.
    pub platform: String,
    /// The program.
    pub binary: u64,
    /// The compressed layer.
    pub layer: u64,
    /// The image's configuration.
    pub config: u64,
    /// The image's manifest.
    pub manifest: u64,
}

/// What stands above rows of [`Sizes`].
pub struct Heading;

impl Display for Heading {
    fn fmt(&self, formatter: &mut Formatter) -> std::fmt::Result {
        write!(formatter, "{:<16} {:>6} {:>6} {:>6} {:>8}", "platform", "binary", "layer", "config", "manifest")
    }
}

impl Display for Sizes {
    fn fmt(&self, formatter: &mut Formatter) -> std::fmt::Result {
        let Sizes { platform, binary, layer, config, manifest } = self;
        write!(formatter, "{platform:<16} {binary:>6} {layer:>6} {config:>6} {manifest:>8}")
    }
}

/// Compares sizes with the golden ones, or makes them the golden ones.
///
/// # Errors
/// Where a size differs.
pub fn check(repository: &Path, sizes: &[Sizes], bless: bool) -> Result<()> {
    let file = repository.join(FILE);
    let golden = std::fs::read_to_string(&file)?;
    let platform = |line: &str| line.split(' ').next().unwrap_or_default().to_string();
    let find = |name: &str| sizes.iter().find(|sizes| sizes.platform == name);
    if bless {
        // Those that were not built stay as they are.
        let others = golden.lines().skip(1).filter(|line| find(&platform(line)).is_none()).map(str::to_string);
        let rows: Vec<_> = sizes.iter().map(Sizes::to_string).chain(others).collect();
        return build::replace(&file, format!("{Heading}\n{}\n", rows.join("\n")).as_bytes(), 0o644);
    }
    for sizes in sizes {
        let row = sizes.to_string();
        match golden.lines().find(|line| platform(line) == sizes.platform) {
            Some(line) if line == row => {}
            line => bail!(
                "the sizes of {} have changed; if that is on purpose, run `cargo xtask test --bless`\n  \
                 {Heading}\n- {}\n+ {row}",
                sizes.platform,
                line.unwrap_or_default()
            ),
        }
    }
    Ok(())
}
