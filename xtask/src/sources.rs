//! The sources: the repository's files, including those that git would add.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Entries of a checkout that aren't sources, if there is no git repository.
const NO_SOURCES: [&str; 3] = [".git", "dist", "target"];

/// Lists the files, relative to the repository: those that git knows or would add. Without a git repository, all.
pub fn list(repository: &Path) -> Result<Vec<PathBuf>> {
    if !repository.join(".git").exists() {
        let mut files = Vec::new();
        walk(repository, Path::new(""), &mut files).with_context(|| format!("can't list {}", repository.display()))?;
        return Ok(files);
    }
    let list = git(repository, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let list = list.context("git does not list the sources")?;
    // git knows a removed file until that is committed.
    Ok(list.split_terminator('\0').map(PathBuf::from).filter(|file| repository.join(file).exists()).collect())
}

fn walk(repository: &Path, directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(repository.join(directory))? {
        let entry = entry?;
        let path = directory.join(entry.file_name());
        if NO_SOURCES.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(repository, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the output of git in a repository, even if the environment names another one.
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
        // git indents a command to type.
        let advice = messages.lines().find_map(|line| line.strip_prefix('\t'));
        bail!("{reason}{}", advice.map(|command| format!("; run `{command}`")).unwrap_or_default());
    }
    String::from_utf8(git.stdout).context("git's output is not UTF-8")
}

/// Copies the sources as they are now. Doesn't touch a copy that is the same, so that cargo doesn't compile it again.
pub fn copy(repository: &Path, to: &Path) -> Result<()> {
    for file in list(repository)? {
        let (source, target) = (repository.join(&file), to.join(&file));
        if fs::read(&target).ok().is_none_or(|old| fs::read(&source).ok() != Some(old)) {
            fs::create_dir_all(target.parent().context("a file in a directory")?)?;
            fs::copy(&source, &target)
                .with_context(|| format!("can't copy {} to {}", source.display(), to.display()))?;
        }
    }
    Ok(())
}
