//! Programs and rights that a command needs. If something is missing, it is installed or the command stops, before
//! any work.

use crate::{command, note};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// The needs of a command, which are checked by [`Needs::provide`].
pub struct Needs {
    /// The command line, as the user would type it.
    command: String,
    /// Why it needs root, unless it is run by root.
    root: Option<String>,
    /// Missing files, by the Debian package that has them.
    packages: BTreeMap<String, Missing>,
}

struct Missing {
    files: Vec<String>,
    /// Ends the sentence "needed to".
    why: String,
}

impl Needs {
    /// Returns an empty list for this command line (`cargo xtask e2e`).
    pub fn of(command: impl Into<String>) -> Self {
        Self { command: command.into(), root: None, packages: BTreeMap::new() }
    }

    /// Needs root. `why` ends the sentence "needs root to".
    pub fn root(&mut self, why: &str) {
        if !is_root() {
            self.root.get_or_insert(why.into());
        }
    }

    /// Needs a file of a Debian package: an absolute path, or a program in `PATH`. `why` ends the sentence "needed to".
    pub fn file(&mut self, file: &str, package: &str, why: &str) {
        if !exists(file) {
            let missing = || Missing { files: Vec::new(), why: why.into() };
            self.packages.entry(package.into()).or_insert_with(missing).files.push(file.into());
        }
    }

    /// Whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.root.is_none() && self.packages.is_empty()
    }

    /// Installs what is missing, or fails with the command to type.
    pub fn provide(&self, shell: &Shell) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let Self { command, root, packages } = self;
        let names: Vec<_> = packages.keys().map(String::as_str).collect();
        let list = names.join(" ");
        if let Some(why) = root {
            let count = match names.len() {
                0 => String::new(),
                1 => format!(", and the Debian package {list}"),
                count => format!(", and {count} more Debian packages"),
            };
            // sudo's own PATH has no rustup.
            bail!("this command needs root to {why}{count}; run\n  sudo env PATH=\"$PATH\" HOME=\"$HOME\" {command}");
        }
        if !exists("apt-get") {
            bail!(
                "`{command}` needs programs that this system may call otherwise than Debian, whose packages are\n  {list}"
            );
        }
        if !is_root() {
            let purposes = self.purposes();
            bail!("`{command}` needs {purposes}; run\n  sudo apt-get install --yes {list}");
        }
        note!("installing {list}");
        install(shell, &names).with_context(|| format!("can't install {}", self.purposes()))?;
        for (name, missing) in packages {
            if let Some(file) = missing.files.iter().find(|file| !exists(file)) {
                bail!("the package {name} is installed, but has no {file}, needed to {}", missing.why);
            }
        }
        Ok(())
    }

    /// Returns the packages with the purpose of each, or, if that is too long for a line, their number.
    fn purposes(&self) -> String {
        let mut purposes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, Missing { why, .. }) in &self.packages {
            purposes.entry(why).or_default().push(name);
        }
        let purposes: Vec<_> =
            purposes.iter().map(|(why, names)| format!("{} to {why}", names.join(" and "))).collect();
        let (long, count) = (purposes.join(", "), self.packages.len());
        if long.len() <= 80 { long } else { format!("{count} more Debian packages") }
    }
}

/// Installs Debian packages.
fn install(shell: &Shell, packages: &[&str]) -> Result<()> {
    // Another installation's clean-up must not remove the archives of this one.
    let archives = tempfile::tempdir()?;
    let cache = format!("Dir::Cache::archives={}", archives.path().display());
    let partial = archives.path().join("partial");
    std::fs::create_dir(&partial).with_context(|| format!("can't make {}", partial.display()))?;
    let path = std::env::join_paths(search_path())?;
    // The package lists of a new machine are old or missing.
    let update = cmd!(shell, "apt-get update --quiet -o DPkg::Lock::Timeout=300").env("PATH", &path);
    let updated = update.quiet().ignore_status().output()?;
    let install = cmd!(
        shell,
        "apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 -o {cache} {packages...}"
    );
    let install = install.env("PATH", &path).env("DEBIAN_FRONTEND", "noninteractive");
    let installed = install.quiet().ignore_status().output()?;
    if !installed.status.success() {
        let output = [updated.stdout, updated.stderr, installed.stdout, installed.stderr].concat();
        bail!("apt-get failed; its output is in {}", command::log(shell, "apt-get", &output));
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
    let files = match Path::new(file).is_absolute() {
        true => vec![file.into()],
        false => search_path().iter().map(|directory| directory.join(&name)).collect(),
    };
    files.into_iter().find(|file| file.exists())
}

/// Returns the directories of programs. On Debian, a user's `PATH` lacks the system's directories, which dpkg needs, and
/// `sudo env` passes it to root.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

/// Whether this process is root's.
#[cfg(unix)]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Elsewhere, there is no root.
#[cfg(not(unix))]
pub fn is_root() -> bool {
    false
}
