//! Checks before any work: whether the source is that of a release, and whether every platform can be built.

use crate::VERSION;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use tempfile::TempDir;
use xshell::Shell;
use xtask::compiler::{self, Compiler};
use xtask::needs::Needs;
use xtask::platform::PLATFORMS;
use xtask::{ports, sources};

/// The source of a release.
pub struct Source {
    /// The commit.
    pub commit: String,
    /// The URI of git's `origin`, if it means the same everywhere.
    pub origin: Option<String>,
}

impl Source {
    /// Reads the commit and the origin of a repository.
    pub fn of(repository: &Path) -> Result<Self> {
        // git would find a repository that has this directory somewhere below.
        ensure!(repository.join(".git").exists(), "not a git repository");
        Ok(Self {
            commit: git(repository, &["rev-parse", "--verify", "HEAD^{commit}"])?,
            // As it is configured for this repository, not as this machine reaches it.
            origin: git(repository, &["config", "--local", "--get", "remote.origin.url"]).ok().as_deref().and_then(uri),
        })
    }
}

/// The tag that the version has to have.
pub fn tag() -> String {
    format!("v{VERSION}")
}

/// Checks everything. Returns the source, an export of its commit, and the compiler for each target.
pub fn run(shell: &Shell) -> Result<(Source, TempDir, BTreeMap<&'static str, Compiler>)> {
    let repository = shell.current_dir();
    let mut complaints = Vec::new();
    let mut complain = |result: Result<()>| complaints.extend(result.err().map(|error| format!("{error:#}")));
    let exported = Source::of(&repository).and_then(|source| {
        let export = export(&repository, &source.commit)?;
        Ok((source, export))
    });
    if let Ok((source, export)) = &exported {
        complain(check_work_tree(&repository, &source.commit, export.path()));
        complain(check_tag(&repository, &source.commit));
    }
    let exported = exported.map_err(|error| complain(Err(error)));
    complain(shell.read_file("CHANGELOG.md").map_err(Into::into).and_then(|text| check_changelog(&text)));
    complain(ports::check(shell).context("a platform is missing"));
    let mut needs = Needs::of("cargo xtask release");
    let compilers = compiler::choose(shell, PLATFORMS.iter().map(|platform| platform.target), None, &mut needs);
    let compilers = compilers.map_err(|error| complain(Err(error.context("a platform can't be built"))));
    match (exported, compilers) {
        (Ok((source, export)), Ok(compilers)) if complaints.is_empty() => {
            needs.provide(shell)?;
            Ok((source, export, compilers))
        }
        _ => bail!("can't release {VERSION}:\n  {}", complaints.join("\n  ")),
    }
}

/// Writes the files of a commit to a new directory, which shares what is built with the repository.
fn export(repository: &Path, commit: &str) -> Result<TempDir> {
    // Not in a directory that others can write to: cargo reads the configuration of parent directories.
    let target = repository.join("target");
    fs::create_dir_all(&target)?;
    let directory = TempDir::with_prefix_in("release-", &target)?;
    let archive = directory.path().join("archive.tar");
    let output = format!("--output={}", archive.display());
    git(
        repository,
        &[
            "-c",
            "core.attributesFile=",
            "-c",
            "core.autocrlf=false",
            "-c",
            "core.eol=lf",
            "archive",
            "--format=tar",
            &output,
            commit,
        ],
    )?;
    tar::Archive::new(File::open(&archive)?).unpack(directory.path())?;
    fs::remove_file(archive)?;
    #[cfg(unix)]
    std::os::unix::fs::symlink(target, directory.path().join("target"))?;
    Ok(directory)
}

/// Fails if the work tree is not the commit. This command was built from it.
fn check_work_tree(repository: &Path, commit: &str, export: &Path) -> Result<()> {
    // Whatever the user has configured. Each line is two letters and a blank, then the path.
    let changes = git(repository, &["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"])?;
    let changes: Vec<_> = changes.split_terminator('\0').filter_map(|line| line.get(3..)).collect();
    if let Some((first, rest)) = changes.split_first() {
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        bail!("the work tree has changes that are not committed, in {first}{more}");
    }
    for file in git(repository, &["ls-tree", "-r", "-z", "--name-only", commit])?.split_terminator('\0') {
        let is_same = fs::read(repository.join(file)).is_ok_and(|ours| fs::read(export.join(file)).ok() == Some(ours));
        ensure!(is_same, "{file} is not that of the commit, but git lists no change");
    }
    Ok(())
}

fn check_tag(repository: &Path, commit: &str) -> Result<()> {
    let tag = tag();
    let tagged = git(repository, &["rev-parse", "--verify", "--quiet", &format!("refs/tags/{tag}^{{commit}}")]).ok();
    let others = git(repository, &["tag", "--points-at", "HEAD"])?;
    let mut others = others.lines();
    let other = others.find(|tag| tag.strip_prefix('v').is_some_and(|rest| rest.starts_with(char::is_numeric)));
    match (tagged, other) {
        (Some(tagged), _) if tagged == commit => Ok(()),
        (Some(_), _) => bail!("the tag {tag} is another commit's; run `git switch --detach {tag}`"),
        (None, Some(other)) => bail!("the commit's tag is {other}, which is another version"),
        (None, None) => bail!("there is no tag {tag}"),
    }
}

/// Fails if the changelog has no section about the version, or no date for it.
fn check_changelog(changelog: &str) -> Result<()> {
    let mut headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    let date = headings.find_map(|heading| {
        let (version, date) = heading.split_once(" - ").unwrap_or((heading, ""));
        (version.trim().trim_matches(['[', ']']) == VERSION).then(|| date.trim())
    });
    let date = date.with_context(|| format!("CHANGELOG.md has no section about {VERSION}"))?;
    let numbers: Vec<_> = date.split('-').collect();
    let is_date = numbers.iter().map(|number| number.len()).eq([4, 2, 2])
        && date.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit());
    ensure!(is_date, "CHANGELOG.md has no date for {VERSION} (`## {VERSION} - 2030-12-31`)");
    Ok(())
}

/// Returns the output of git, without the newline at its end. It changes nothing in the repository.
fn git(repository: &Path, arguments: &[&str]) -> Result<String> {
    let arguments = [&["--no-optional-locks", "--no-replace-objects"], arguments].concat();
    let text = sources::git(repository, &arguments).context("git refuses")?;
    Ok(text.trim_end_matches('\n').into())
}

/// Turns the URL of a remote into a URI, without a password; `None` for a path of this machine.
fn uri(url: &str) -> Option<String> {
    if let Some((scheme, rest)) = url.split_once("://") {
        let (authority, path) = rest.split_once('/')?;
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        // With HTTP, the user may be a token.
        let user = user.split(':').next().filter(|name| scheme == "ssh" && !name.is_empty());
        let user = user.map(|name| format!("{name}@")).unwrap_or_default();
        return ["https", "http", "ssh", "git"]
            .contains(&scheme)
            .then(|| format!("git+{scheme}://{user}{host}/{path}"));
    }
    // git@example.org:pause.git; but a single letter is a drive.
    let (host, path) = url.split_once(':').filter(|(host, _)| host.len() > 1 && !host.contains('/'))?;
    Some(format!("git+ssh://{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_its_section_and_its_day() {
        let complaint = |heading: &str| {
            let checked = check_changelog(&format!("# Changelog\n\n## {heading}\n\n### Added\n"));
            checked.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(complaint(&format!("{VERSION} - 2030-12-31")), "");
        assert_eq!(complaint(&format!("[{VERSION}] - 2030-12-31")), "");
        for unreleased in ["unreleased", "Unreleased", "soon", "2030-12", ""] {
            assert!(complaint(&format!("{VERSION} - {unreleased}")).contains("has no date"));
        }
        assert!(complaint(VERSION).contains("has no date"));
        assert!(complaint(&format!("{VERSION}1 - 2030-12-31")).contains("has no section"));
        assert!(complaint("[Unreleased]").contains("has no section"));
    }

    #[test]
    fn an_origin_names_no_machine_and_no_secret() {
        let uri = |url| uri(url).unwrap_or_default();
        assert_eq!(uri("https://example.org/a/pause.git"), "git+https://example.org/a/pause.git");
        assert_eq!(uri("https://token@example.org/a/pause"), "git+https://example.org/a/pause");
        assert_eq!(uri("https://me:secret@example.org:8443/a"), "git+https://example.org:8443/a");
        assert_eq!(uri("ssh://git@example.org:2222/a/pause.git"), "git+ssh://git@example.org:2222/a/pause.git");
        assert_eq!(uri("git@example.org:a/pause.git"), "git+ssh://git@example.org/a/pause.git");
        for local in ["/home/me/pause", "../pause", "file:///home/me/pause", r"C:\pause", "./a:b"] {
            assert_eq!(uri(local), "", "{local}");
        }
    }
}
