//! What git knows of the sources: which commit they are, whether they are that and nothing else, and whence.

use crate::VERSION;
use anyhow::{Context, Result, ensure};
use xshell::Shell;
use xtask::sources;

/// The sources, as git sees them.
#[derive(Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The commit.
    pub commit: String,
    /// The tags of that commit.
    pub tags: Vec<String>,
    /// The commit of the version's tag, where there is one.
    pub tagged: Option<String>,
    /// What differs from the commit: paths, those that git does not know yet among them.
    pub changes: Vec<String>,
    /// Where the sources come from, as a URI that means the same everywhere.
    pub origin: Option<String>,
}

/// The tag that the version has to have.
pub fn tag() -> String {
    format!("v{VERSION}")
}

impl Checkout {
    /// Asks git.
    ///
    /// # Errors
    /// Where there is no git, nothing for it, or it refuses: its own reason.
    pub fn read(shell: &Shell) -> Result<Self> {
        // Else git would speak of a repository that has this one somewhere below.
        ensure!(shell.path_exists(".git"), "this is no git repository");
        // Whatever the user has configured.
        let changes = git(shell, &["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"])?;
        // Two letters and a blank, then the path.
        let changes = changes.split_terminator('\0').filter_map(|line| line.get(3..)).map(String::from);
        let tagged = format!("refs/tags/{}^{{commit}}", tag());
        Ok(Self {
            changes: changes.collect(),
            commit: git(shell, &["rev-parse", "--verify", "HEAD^{commit}"])?,
            tags: git(shell, &["tag", "--points-at", "HEAD"])?.lines().map(String::from).collect(),
            tagged: git(shell, &["rev-parse", "--verify", "--quiet", &tagged]).ok(),
            // As it is configured for this repository, not as this machine reaches it.
            origin: git(shell, &["config", "--local", "--get", "remote.origin.url"]).ok().as_deref().and_then(uri),
        })
    }
}

/// What git says, without the newline at its end.
fn git(shell: &Shell, arguments: &[&str]) -> Result<String> {
    // It is only asked: nothing of its own is to change meanwhile.
    let arguments = [&["--no-optional-locks"], arguments].concat();
    let text = sources::git(&shell.current_dir(), &arguments).context("git refuses")?;
    Ok(text.trim_end_matches('\n').into())
}

/// A remote's URL as a URI, without what is secret; none for a path of this machine.
fn uri(url: &str) -> Option<String> {
    if let Some((scheme, rest)) = url.split_once("://") {
        let (authority, path) = rest.split_once('/')?;
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        // Before a host stand a name and a password, or, with HTTP, a password alone.
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
    use super::uri;

    #[test]
    fn an_origin_says_nothing_of_the_machine_and_gives_no_secret_away() {
        let says = |url| uri(url).unwrap_or_default();
        assert_eq!(says("https://example.org/a/pause.git"), "git+https://example.org/a/pause.git");
        assert_eq!(says("https://token@example.org/a/pause"), "git+https://example.org/a/pause");
        assert_eq!(says("https://me:secret@example.org:8443/a"), "git+https://example.org:8443/a");
        assert_eq!(says("ssh://git@example.org:2222/a/pause.git"), "git+ssh://git@example.org:2222/a/pause.git");
        assert_eq!(says("git@example.org:a/pause.git"), "git+ssh://git@example.org/a/pause.git");
        for local in ["/home/me/pause", "../pause", "file:///home/me/pause", r"C:\pause", "./a:b"] {
            assert_eq!(uri(local), None, "{local}");
        }
    }
}
