//! The state of the git repository: its commit, tag, origin and changes.

use crate::sources;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;

/// The tag of this version.
pub const TAG: &str = concat!("v", env!("CARGO_PKG_VERSION"));

pub struct GitState {
    pub commit: String,
    /// The URI of `origin`, if that is HTTPS.
    pub origin: Option<String>,
}

impl GitState {
    pub fn of(repository: &Path) -> Result<Self> {
        // git would find a repository in a parent directory.
        ensure!(repository.join(".git").exists(), "not a git repository");
        // The URL configured here, without the rewrites that this machine may need to reach it.
        let origin = git(repository, &["config", "--local", "--get", "remote.origin.url"]).ok();
        let commit = git(repository, &["rev-parse", "--verify", "HEAD^{commit}"])?;
        Ok(Self { commit, origin: origin.as_deref().and_then(uri) })
    }

    /// Fails if the work tree differs from the commit, which `export` contains. This command was built from the former.
    pub fn check_work_tree(&self, repository: &Path, export: &Path) -> Result<()> {
        // Each line is two letters and a blank, then the path, whatever the user's configuration.
        let changes = git(repository, &["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"])?;
        let changes: Vec<_> = changes.split_terminator('\0').filter_map(|line| line.get(3..)).collect();
        if let [first, rest @ ..] = &changes[..] {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            bail!("the work tree has changes that are not committed, in {first}{more}");
        }
        let files = git(repository, &["ls-tree", "-r", "-z", "--name-only", &self.commit])?;
        for file in files.split_terminator('\0') {
            let is_same =
                fs::read(repository.join(file)).is_ok_and(|ours| fs::read(export.join(file)).ok() == Some(ours));
            ensure!(is_same, "{file} differs from the commit, but git lists no change");
        }
        Ok(())
    }

    pub fn check_tag(&self, repository: &Path) -> Result<()> {
        let commit = format!("refs/tags/{TAG}^{{commit}}");
        let tagged = git(repository, &["rev-parse", "--verify", "--quiet", &commit]).ok();
        let others = git(repository, &["tag", "--points-at", "HEAD"])?;
        let is_version = |tag: &&str| tag.strip_prefix('v').is_some_and(|rest| rest.starts_with(char::is_numeric));
        match (tagged, others.lines().find(is_version)) {
            (Some(tagged), _) if tagged == self.commit => Ok(()),
            (Some(_), _) => bail!("the tag {TAG} belongs to another commit; run `git switch --detach {TAG}`"),
            (None, Some(other)) => bail!("the commit's tag is {other}, which is another version"),
            (None, None) => bail!("the tag {TAG} does not exist"),
        }
    }
}

/// Returns the output of git, without the newline at its end. Changes nothing in the repository.
pub fn git(repository: &Path, arguments: &[&str]) -> Result<String> {
    let arguments = [&["--no-optional-locks", "--no-replace-objects"], arguments].concat();
    let text = sources::git(repository, &arguments).context("git refuses")?;
    Ok(text.trim_end_matches('\n').into())
}

/// Returns the URI of an origin that is public, without secrets: with HTTP, the user may be a token.
fn uri(url: &str) -> Option<String> {
    let (authority, path) = url.strip_prefix("https://")?.split_once('/')?;
    Some(format!("git+https://{}/{path}", authority.rsplit('@').next()?))
}
