//! Pages of hosts: each begins with where it is run, or which version its facts are from.

use crate::page::Page;

const RUN: &str = "*[Run here](README.md#run-here)";
const NOT_RUN: &str = "*Not run here. Facts from";

/// Returns the number of pages, and the faults.
pub fn check(pages: &[Page]) -> (usize, Vec<String>) {
    let pages = pages.iter().filter(|page| page.file.starts_with("docs/hosts") && !page.file.ends_with("README.md"));
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages {
        count += 1;
        let first = page.text.split("\n\n").nth(1).unwrap_or_default();
        if !first.starts_with(RUN) && !first.starts_with(NOT_RUN) {
            faults.push(format!("{}: begins with neither \"{RUN}\" nor \"{NOT_RUN} …\"", page.name()));
        }
    }
    (count, faults)
}
