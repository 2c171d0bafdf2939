//! The sources: the files that make up the repository, those that git does not know yet among them.

use anyhow::{Context, Result, bail};
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
    let list = git(repository, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = list.context("git does not list the sources")?;
    // A file that was removed is known until that is committed.
    Ok(list.split_terminator('\0').map(PathBuf::from).filter(|file| repository.join(file).exists()).collect())
}

/// Returns the output of git in a repository, whatever other one the environment names.
pub fn git(repository: &Path, arguments: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    let is_kept =
        |name: &str| ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"].contains(&name) || name.starts_with("GIT_TEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("GIT_") && !is_kept(name)) {
            git.env_remove(name);
        }
    }
    let git = git.current_dir(repository).args(arguments).output().context("can't start git")?;
    if !git.status.success() {
        let messages = String::from_utf8_lossy(&git.stderr);
        let reason = messages.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
        // git sets off a command to type.
        let advice = messages.lines().find_map(|line| line.strip_prefix('\t'));
        let advice = advice.map(|command| format!("; run `{command}`")).unwrap_or_default();
        bail!("{reason}{advice}");
    }
    String::from_utf8(git.stdout).context("what git says is not UTF-8")
}

fn walk(repository: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let path = repository.join(folder);
    for entry in fs::read_dir(&path).with_context(|| format!("can't read {}", path.display()))? {
        let entry = entry.with_context(|| format!("can't read {}", path.display()))?;
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
        let folder = target.parent().context("a file in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let source = repository.join(&file);
        fs::copy(&source, &target).with_context(|| format!("can't copy {} to {}", source.display(), to.display()))?;
    }
    Ok(())
}
