//! What has to be so before a release is made: all of it is asked at once, before any work.

use crate::VERSION;
use crate::checkout::{self, Checkout};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use xshell::Shell;
use xtask::compiler::{self, Compiler};
use xtask::needs::Needs;
use xtask::platform::PLATFORMS;
use xtask::ports;

/// Checks everything. Returns what the release is made from, and which compiler builds for which target.
///
/// # Errors
/// Where the sources are not those of a release: every reason, in one line.
pub fn pass(shell: &Shell) -> Result<(Checkout, BTreeMap<&'static str, Compiler>)> {
    let mut complaints = Vec::new();
    let checkout = match Checkout::read(shell) {
        Ok(checkout) => {
            complaints.extend(complaint_of_tree(&checkout));
            complaints.extend(complaint_of_tag(&checkout));
            Some(checkout)
        }
        Err(error) => {
            complaints.push(format!("{error:#}"));
            None
        }
    };
    match shell.read_file("CHANGELOG.md") {
        Ok(changelog) => complaints.extend(complaint_of_changelog(&changelog)),
        Err(_) => complaints.push("there is no CHANGELOG.md".into()),
    }
    complaints.extend(ports::check(shell).err().map(|error| format!("a platform is missing: {error:#}")));
    let mut needs = Needs::of("cargo xtask release");
    let compilers = compiler::choose(shell, PLATFORMS.iter().map(|platform| platform.target), None, &mut needs);
    complaints.extend(compilers.as_ref().err().map(|error| format!("a platform can't be built: {error:#}")));
    if !complaints.is_empty() {
        bail!("there can be no release {VERSION}: {}", complaints.join("; "));
    }
    // What can be installed is, once nothing else stands against it.
    needs.provide(shell)?;
    Ok((checkout.context("it was read")?, compilers?))
}

/// What is wrong with what differs from the commit.
fn complaint_of_tree(checkout: &Checkout) -> Option<String> {
    let (first, rest) = checkout.changes.split_first()?;
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    Some(format!("the tree has changes that are not committed, in {first}{more}"))
}

/// What is wrong with the commit's tag.
fn complaint_of_tag(Checkout { commit, tags, tagged, .. }: &Checkout) -> Option<String> {
    let tag = checkout::tag();
    let other = tags.iter().find(|tag| tag.strip_prefix('v').is_some_and(|rest| rest.starts_with(char::is_numeric)));
    match (tagged, other) {
        (Some(tagged), _) if tagged == commit => None,
        (Some(_), _) => Some(format!("the tag {tag} is another commit's; `git switch --detach {tag}` goes there")),
        (None, Some(other)) => Some(format!("the commit's tag is {other}, which is another version")),
        (None, None) => Some(format!("there is no tag {tag}")),
    }
}

/// What is wrong with what the changelog says of the version.
fn complaint_of_changelog(changelog: &str) -> Option<String> {
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    let date = headings.find_map(|heading| {
        let (version, date) = heading.split_once(" - ").unwrap_or((heading, ""));
        (version.trim().trim_matches(['[', ']']) == VERSION).then(|| date.trim())
    });
    match date {
        None => Some(format!("CHANGELOG.md has no section about {VERSION}")),
        Some(date) if is_date(date) => None,
        Some(_) => Some(format!("CHANGELOG.md does not say when {VERSION} was released (`## {VERSION} - 2030-12-31`)")),
    }
}

/// Whether this is a day as Keep a Changelog writes it.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([4, 2, 2])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_its_section_and_its_day() {
        let complaint = |heading: &str| complaint_of_changelog(&format!("# Changelog\n\n## {heading}\n\n### Added\n"));
        assert_eq!(complaint(&format!("{VERSION} - 2030-12-31")), None);
        assert_eq!(complaint(&format!("[{VERSION}] - 2030-12-31")), None);
        for unreleased in ["unreleased", "Unreleased", "soon", "2030-12", ""] {
            assert!(complaint(&format!("{VERSION} - {unreleased}")).unwrap().contains("does not say when"));
        }
        assert!(complaint(VERSION).unwrap().contains("does not say when"));
        assert!(complaint(&format!("{VERSION}1 - 2030-12-31")).unwrap().contains("has no section"));
        assert!(complaint("[Unreleased]").unwrap().contains("has no section"));
    }
}
