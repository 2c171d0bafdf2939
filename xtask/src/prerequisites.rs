//! Programs and permissions that a command needs. What is missing is installed, or stops the command before any work.

use crate::{messages, status};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::PathBuf;
use xshell::{Shell, cmd};

/// The missing prerequisites of a command, which [`Prerequisites::ensure_installed`] installs.
pub struct Prerequisites {
    /// The command line, as the user would type it.
    command: String,
    /// Why it needs root, unless root runs it.
    root: Option<String>,
    /// Missing Debian packages: why, and the missing files.
    packages: BTreeMap<String, (String, Vec<String>)>,
}

impl Prerequisites {
    /// Returns an empty list for this command line (`cargo xtask hosts`).
    pub fn of(command: impl Into<String>) -> Self {
        Self { command: command.into(), root: None, packages: BTreeMap::new() }
    }

    /// Requires root. `why` ends the sentence "needs root to".
    pub fn root(&mut self, why: &str) {
        if !is_root() {
            self.root.get_or_insert(why.into());
        }
    }

    /// Requires a file of a Debian package: an absolute path, or a program in `PATH`. `why` ends the sentence "needed to".
    pub fn file(&mut self, file: &str, package: &str, why: &str) {
        if !exists(file) {
            self.packages.entry(package.into()).or_insert((why.into(), Vec::new())).1.push(file.into());
        }
    }

    /// Installs the missing packages, or fails with the command to type.
    pub fn ensure_installed(&self, shell: &Shell) -> Result<()> {
        let Self { command, root, packages } = self;
        if root.is_none() && packages.is_empty() {
            return Ok(());
        }
        let list = packages.keys().map(String::as_str).collect::<Vec<_>>().join(" ");
        if let Some(why) = root {
            let more = if packages.is_empty() { String::new() } else { format!(", and {}", self.purposes()) };
            // sudo's own PATH lacks rustup.
            bail!("this command needs root to {why}{more}; run\n  sudo env PATH=\"$PATH\" HOME=\"$HOME\" {command}");
        }
        if !exists("apt-get") {
            bail!("`{command}` needs programs that have other names outside of Debian, whose packages are\n  {list}");
        }
        ensure!(is_root(), "`{command}` needs {}; run\n  sudo apt-get install --yes {list}", self.purposes());
        status!("installing {list}");
        install(shell, &list).with_context(|| format!("can't install {}", self.purposes()))?;
        for (name, (why, files)) in packages {
            if let Some(file) = files.iter().find(|file| !exists(file)) {
                bail!("the package {name} is installed, but has no {file}, needed to {why}");
            }
        }
        Ok(())
    }

    /// Lists the packages with the purpose of each or, if that is too long for a line, returns their number.
    fn purposes(&self) -> String {
        let mut purposes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        self.packages.iter().for_each(|(name, (why, _))| purposes.entry(why).or_default().push(name));
        let purposes = purposes.iter().map(|(why, names)| format!("{} to {why}", names.join(" and ")));
        let purposes = purposes.collect::<Vec<_>>().join(", ");
        if purposes.len() <= 80 { purposes } else { format!("{} more Debian packages", self.packages.len()) }
    }
}

fn install(shell: &Shell, packages: &str) -> Result<()> {
    // Other installations clean up the shared directory of archives.
    let archives = tempfile::tempdir()?;
    std::fs::create_dir(archives.path().join("partial"))?;
    let cache = format!("Dir::Cache::archives={}", archives.path().display());
    let path = std::env::join_paths(search_path())?;
    let run = |command: &str, arguments: &[&str]| {
        let command = cmd!(shell, "apt-get {command} --quiet -o DPkg::Lock::Timeout=300 {arguments...}");
        let command = command.env("PATH", &path).env("DEBIAN_FRONTEND", "noninteractive");
        command.quiet().ignore_status().output()
    };
    // The package lists of a new machine are old or missing.
    let updated = run("update", &[])?;
    let options = ["--yes", "--no-install-recommends", "-o", &cache];
    let installed = run("install", &options.into_iter().chain(packages.split(' ')).collect::<Vec<_>>())?;
    if !installed.status.success() {
        let output = [updated.stdout, updated.stderr, installed.stdout, installed.stderr].concat();
        bail!("apt-get failed; its output is in {}", messages::log(shell, "apt-get", &output));
    }
    Ok(())
}

/// Whether there is a program of that name in `PATH`, or a file at that absolute path.
pub fn exists(file: &str) -> bool {
    find(file).is_some()
}

/// Finds a program in `PATH`, or a file at an absolute path.
pub fn find(file: &str) -> Option<PathBuf> {
    let name = format!("{file}{}", std::env::consts::EXE_SUFFIX);
    // An absolute path replaces the directory.
    search_path().iter().map(|directory| directory.join(&name)).find(|file| file.exists())
}

/// Returns the directories of programs. On Debian, a user's `PATH` lacks the system's directories, which dpkg needs, and
/// `sudo env` passes it to root.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

pub fn is_root() -> bool {
    #[cfg(unix)]
    return nix::unistd::geteuid().is_root();
    #[cfg(not(unix))]
    false
}
