//! The sources: the files that make up the repository, those that git does not know yet among them.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What lies in a checkout and is no source, where there is no git to ask.
const NO_SOURCES: [&str; 3] = [".git", "dist", "target"];

/// The files, relative to the repository, as git lists them: what it knows, and what it would know if it were
/// added. Without a git repository, all files.
///
/// # Errors
/// Where git refuses, with its own reason.
pub fn list(repository: &Path) -> Result<Vec<PathBuf>> {
    if !repository.join(".git").exists() {
        let mut files = Vec::new();
        walk(repository, Path::new(""), &mut files)?;
        return Ok(files);
    }
    let git = Command::new("git")
        .current_dir(repository)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("can't start git, which lists the sources")?;
    let reason = String::from_utf8_lossy(&git.stderr);
    let reason = reason.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
    ensure!(git.status.success(), "git does not list the sources: {reason}");
    let list = String::from_utf8(git.stdout).context("a file's name is not UTF-8")?;
    // A file that was removed is known until that is committed.
    Ok(list.split_terminator('\0').map(PathBuf::from).filter(|file| repository.join(file).exists()).collect())
}

fn walk(repository: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(repository.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if !NO_SOURCES.iter().any(|name| entry.file_name() == *name) {
                walk(repository, &path, files)?;
            }
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Copies the sources, as they are now.
///
/// # Errors
/// Where one can't be listed or copied.
pub fn copy(repository: &Path, to: &Path) -> Result<()> {
    for file in list(repository)? {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().context("a file in a folder")?)?;
        fs::copy(repository.join(&file), &target).with_context(|| format!("can't copy {}", file.display()))?;
    }
    Ok(())
}
