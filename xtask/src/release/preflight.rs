//! Checks before any work: the repository is at a release, and every platform can be built.

use super::VERSION;
use super::git_state::{GitState, git};
use crate::compiler::{self, Compilers};
use crate::platform::PLATFORMS;
use crate::prerequisites::Prerequisites;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::Path;
use tempfile::TempDir;
use xshell::Shell;

/// Returns the state, an export of the commit, each target's compiler, and the version's date; or all complaints.
pub fn run(shell: &Shell) -> Result<(GitState, TempDir, Compilers, String)> {
    let repository = shell.current_dir();
    let mut complaints = Vec::new();
    let exported = GitState::of(&repository).and_then(|state| Ok((export(&repository, &state.commit)?, state)));
    let exported = accept(exported, &mut complaints);
    if let Some((export, state)) = &exported {
        accept(state.check_work_tree(&repository, export.path()), &mut complaints);
        accept(state.check_tag(&repository), &mut complaints);
    }
    let date = accept(date(shell), &mut complaints);
    let mut prerequisites = Prerequisites::of("cargo xtask release");
    let compilers = compiler::choose(shell, PLATFORMS.iter().map(|platform| platform.target), None, &mut prerequisites);
    let compilers = accept(compilers.context("a platform can't be built"), &mut complaints);
    let (Some((export, state)), Some(compilers), Some(date), true) = (exported, compilers, date, complaints.is_empty())
    else {
        bail!("can't release {VERSION}:\n  {}", complaints.join("\n  "));
    };
    prerequisites.ensure_installed(shell)?;
    Ok((state, export, compilers, date))
}

fn accept<T>(result: Result<T>, complaints: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| complaints.push(format!("{error:#}"))).ok()
}

/// Writes the files of a commit to a new directory, which shares the repository's target directory.
fn export(repository: &Path, commit: &str) -> Result<TempDir> {
    // Not in a directory that others can write to: cargo reads the configuration of parent directories.
    let target = repository.join("target");
    fs::create_dir_all(&target)?;
    let directory = TempDir::with_prefix_in("release-", &target)?;
    let archive = directory.path().join("archive.tar");
    let output = format!("--output={}", archive.display());
    // The user's configuration must not change the files.
    let settings = ["-c", "core.attributesFile=", "-c", "core.autocrlf=false", "-c", "core.eol=lf"];
    git(repository, &[&settings[..], &["archive", "--format=tar", &output, commit]].concat())?;
    tar::Archive::new(File::open(&archive)?).unpack(directory.path())?;
    fs::remove_file(archive)?;
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, directory.path().join("target"))?;
    Ok(directory)
}

/// Returns the date of the changelog's section about this version.
fn date(shell: &Shell) -> Result<String> {
    let changelog = shell.read_file("CHANGELOG.md")?;
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    let date = headings.find_map(|heading| {
        let (version, date) = heading.split_once(" - ").unwrap_or((heading, ""));
        (version.trim().trim_matches(['[', ']']) == VERSION).then(|| date.trim())
    });
    let date = date.with_context(|| format!("CHANGELOG.md has no section about {VERSION}"))?;
    let is_date =
        date.split('-').map(str::len).eq([4, 2, 2]) && date.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    ensure!(is_date, "CHANGELOG.md has no date for {VERSION} (`## {VERSION} - 2030-12-31`)");
    Ok(date.into())
}
