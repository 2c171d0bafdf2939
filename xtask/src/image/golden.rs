//! The golden sizes and digests of the programs, the image and the archives.

use super::layout::Image;
use super::{ARCHIVE, Packed, air_gap_archive, seccomp};
use crate::build::Binary;
use crate::digest::sha256;
use crate::golden::{DIGESTS, Golden};
use crate::platform::PLATFORMS;
use crate::table::Table;
use anyhow::{Context, Result};
use std::path::Path;

const SIZES: &str = "tests/image/sizes.txt";

/// The row of the index's digest.
const INDEX: &str = "index";

/// Returns `yes` or `no` for each program: whether it has the golden digest.
pub fn are_golden(repository: &Path, binaries: &[Binary]) -> Result<Vec<&'static str>> {
    let golden = Table::read(&repository.join(DIGESTS))?;
    let is_golden = |binary: &Binary| golden.find(&[binary.platform.name, &sha256(&binary.content)]).is_some();
    Ok(binaries.iter().map(|binary| if is_golden(binary) { "yes" } else { "no" }).collect())
}

pub fn sizes(images: &[Image]) -> Table {
    let mut table = Table::new(["platform", "binary", "layer", "config", "manifest", "pull"]);
    for image in images {
        let bytes = [image.binary, image.layer.size, image.config.size, image.manifest.size, image.pull()];
        table.push([image.platform.into()].into_iter().chain(bytes.map(|size| size.to_string())));
    }
    table
}

/// Compares sizes and digests with the golden ones, or writes those. The index and its archive need all platforms.
pub fn check(repository: &Path, binaries: &[Binary], packed: &Packed, bless: bool) -> Result<()> {
    let platforms: Vec<_> = PLATFORMS.iter().map(|platform| platform.name.to_owned()).collect();
    let archives = PLATFORMS.iter().map(air_gap_archive).chain([ARCHIVE.into(), seccomp::FILE.into()]);
    let all: Vec<_> = platforms.iter().cloned().chain([INDEX.into()]).chain(archives).collect();
    let of_platform = |name: &str| binaries.iter().find(|binary| binary.platform.name == name);
    let digest = |name: &str| match name {
        INDEX | ARCHIVE if binaries.len() < PLATFORMS.len() => None,
        INDEX => Some(packed.layout.root.digest.clone()),
        _ => of_platform(name).map(|binary| &binary.content).or(packed.artefacts.get(name)).map(|bytes| sha256(bytes)),
    };
    let digests = all.iter().filter_map(|name| Some(vec![name.clone(), digest(name)?])).collect();
    let compare = |file, rows: Vec<Vec<String>>, order: Vec<String>| -> Result<()> {
        let golden = Golden::read(repository, file, "cargo xtask test")?;
        if bless {
            return golden.bless(rows, 1, &order.into_iter().map(|name| vec![name]).collect::<Vec<_>>());
        }
        rows.iter().try_for_each(|row| {
            let by = of_platform(&row[0]).map(|binary| format!(" by toolchain {}", binary.compiler));
            let changed = || format!("{}{} has changed", row[0], by.unwrap_or_default());
            golden.check(row, 1, row.len()).with_context(changed)
        })
    };
    let same_sizes = compare(SIZES, sizes(&packed.layout.images).rows, platforms);
    same_sizes.and(compare(DIGESTS, digests, all))
}
