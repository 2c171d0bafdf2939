//! Pages of hosts: each begins with where it is run, or which version its facts are from. `cargo xtask e2e` reads the blocks
//! of the ones that are run.

use crate::page::Page;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use xtask::sources;

const RUN: &str = "*[Run here](README.md#run-here)";
const NOT_RUN: &str = "*Not run here. Facts from";

/// Returns the number of pages, and the faults.
pub fn check(repository: &Path, pages: &[Page]) -> Result<(usize, Vec<String>)> {
    let mut e2e = String::new();
    for file in sources::list(repository)?.iter().filter(|file| file.starts_with("tests/e2e/src")) {
        e2e += &fs::read_to_string(repository.join(file)).with_context(|| format!("can't read {}", file.display()))?;
    }
    let pages = pages.iter().filter(|page| page.file.starts_with("docs/hosts") && !page.file.ends_with("README.md"));
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages {
        count += 1;
        let name = page.file.file_stem().context("a file without a name")?.display().to_string();
        let first = page.text.split("\n\n").nth(1).unwrap_or_default();
        let is_read = [format!(", \"{name}\")"), format!("page: \"{name}\"")].iter().any(|use_| e2e.contains(use_));
        if first.starts_with(RUN) && page.text.contains("\n```sh\n") && !is_read {
            faults.push(format!("{}: says that it is run, but `cargo xtask e2e` doesn't read it", page.name()));
        } else if !first.starts_with(RUN) && !first.starts_with(NOT_RUN) {
            faults.push(format!("{}: begins with neither \"{RUN}\" nor \"{NOT_RUN} …\"", page.name()));
        }
    }
    Ok((count, faults))
}
