//! Links into the repository lead to a file and a heading; links to files on GitHub name a revision.

use crate::page::Page;
use std::path::{Component, Path, PathBuf};

/// Returns the number of links, and the faults.
pub fn check(repository: &Path, pages: &[Page]) -> (usize, Vec<String>) {
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages {
        for link in page.links() {
            count += 1;
            let flaw = match link.split_once("://") {
                Some((scheme, rest)) => flaw_outside(scheme, rest),
                None => flaw_inside(repository, pages, page, &link),
            };
            faults.extend(flaw.map(|flaw| format!("{}: the link {link} {flaw}", page.name())));
        }
    }
    (count, faults)
}

fn flaw_inside(repository: &Path, pages: &[Page], page: &Page, link: &str) -> Option<&'static str> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => page.file.clone(),
        _ => normalize(&page.file.with_file_name("").join(path)),
    };
    if !repository.join(&target).exists() {
        return Some("leads to no file");
    }
    let target = pages.iter().find(|page| page.file == target);
    let has_anchor = |page: &Page| page.anchors().iter().any(|title| title == anchor);
    (!anchor.is_empty() && !target.is_some_and(has_anchor)).then_some("leads to no heading")
}

/// Resolves `..`.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn flaw_outside(scheme: &str, rest: &str) -> Option<&'static str> {
    if scheme != "https" {
        return Some("is not https");
    }
    // github.com/<owner>/<repository>/blob/<revision>/<path>
    let parts: Vec<_> = rest.split('/').collect();
    let ["github.com", _, _, "blob" | "tree", revision, ..] = parts[..] else { return None };
    let is_pinned = revision.chars().any(|char| char.is_ascii_digit());
    (!is_pinned).then_some("leads to a branch, which changes")
}
