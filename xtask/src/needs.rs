//! What a command needs and the machine lacks: asked for at once, before any work, and installed where that can
//! be done.

use crate::note;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// What a command needs. Nothing is asked before [`Needs::provide`].
pub struct Needs {
    /// The command line, as the user would type it.
    command: String,
    /// What takes root.
    root: Option<String>,
    /// What is missing, by the Debian package that brings it.
    packages: BTreeMap<String, Missing>,
}

struct Missing {
    /// The files that are looked for.
    files: Vec<String>,
    /// What they are needed for: it ends the sentence "needed to".
    why: String,
}

impl Needs {
    /// A list of needs of this command (`cargo xtask e2e`, say).
    pub fn of(command: impl Into<String>) -> Self {
        Self { command: command.into(), root: None, packages: BTreeMap::new() }
    }

    /// It works as root only. `why` ends the sentence "needs root, to".
    pub fn root(&mut self, why: &str) {
        if !is_root() {
            self.root.get_or_insert(why.into());
        }
    }

    /// It needs this file (an absolute path, or a program somewhere in `PATH`), which the Debian package brings.
    /// `why` ends the sentence "needed to".
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

    /// Installs what is missing, or says what to do, all of it in one line.
    ///
    /// # Errors
    /// Where something is missing that can't be installed here and now.
    pub fn provide(&self, shell: &Shell) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let Self { command, root, packages } = self;
        let names: Vec<_> = packages.keys().map(String::as_str).collect();
        let list = names.join(" ");
        let purposes = self.purposes();
        if let Some(why) = root {
            let packages = if packages.is_empty() { String::new() } else { format!(", and would install {list}") };
            // sudo's own PATH has no rustup.
            bail!(
                "`{command}` needs root, to {why}{packages}; \
                 run `sudo env PATH=\"$PATH\" HOME=\"$HOME\" {command}`"
            );
        }
        if !exists("apt-get") {
            bail!(
                "`{command}` needs programs that are not here; \
                 install what this system calls Debian's packages {list} ({purposes})"
            );
        }
        if !is_root() {
            bail!("`{command}` needs packages that are not here ({purposes}); run `sudo apt-get install --yes {list}`");
        }
        note!("Installing {list}: {purposes}");
        install(shell, &names).with_context(|| format!("can't install {list}, needed: {purposes}"))?;
        for (name, missing) in packages {
            if let Some(file) = missing.files.iter().find(|file| !exists(file)) {
                bail!("the package {name} is installed, but did not bring {file}, needed to {}", missing.why);
            }
        }
        Ok(())
    }

    /// What each package is needed for; several, where it is the same.
    fn purposes(&self) -> String {
        let mut purposes: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, Missing { why, .. }) in &self.packages {
            match purposes.iter_mut().find(|(purpose, _)| purpose == why) {
                Some((_, names)) => names.push(name),
                None => purposes.push((why, vec![name])),
            }
        }
        let purposes: Vec<_> =
            purposes.iter().map(|(why, names)| format!("{} to {why}", names.join(" and "))).collect();
        purposes.join(", ")
    }
}

/// Installs Debian packages.
fn install(shell: &Shell, packages: &[&str]) -> Result<()> {
    // Another installation may be under way, and its clean-up must not take the archives of this one.
    let archives = tempfile::tempdir()?;
    let cache = format!("Dir::Cache::archives={}", archives.path().display());
    let partial = archives.path().join("partial");
    std::fs::create_dir(&partial).with_context(|| format!("can't make {}", partial.display()))?;
    // The package lists of a new machine are old or not there at all.
    let path = std::env::join_paths(search_path())?;
    let update = cmd!(shell, "apt-get update --quiet -o DPkg::Lock::Timeout=300").env("PATH", &path);
    let updated = update.quiet().ignore_stdout().run();
    if let Err(error) = updated {
        note!("Going on with the package lists as they are: {error}");
    }
    let install = cmd!(
        shell,
        "apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 -o {cache} {packages...}"
    );
    let install = install.env("PATH", &path).env("DEBIAN_FRONTEND", "noninteractive");
    let output = install.quiet().ignore_status().ignore_stdout().output()?;
    // Its last line that begins so says most.
    let errors = String::from_utf8_lossy(&output.stderr);
    let reason = errors.lines().rev().find_map(|line| line.strip_prefix("E: "));
    ensure!(output.status.success(), "{}", reason.unwrap_or("apt-get does not say why"));
    Ok(())
}

/// Whether there is such a program in `PATH`, or such a file at an absolute path.
pub fn exists(file: &str) -> bool {
    find(file).is_some()
}

/// Where such a program is in `PATH`, or such a file at an absolute path.
pub fn find(file: &str) -> Option<PathBuf> {
    let name = format!("{file}{}", std::env::consts::EXE_SUFFIX);
    let files = match Path::new(file).is_absolute() {
        true => vec![file.into()],
        false => search_path().iter().map(|folder| folder.join(&name)).collect(),
    };
    files.into_iter().find(|file| file.exists())
}

/// Where programs are. Debian's users do not have root's folders in their `PATH`, nor has root in what `sudo env`
/// takes over from them; dpkg refuses to work then.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

/// Whether this process may do everything.
#[cfg(unix)]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether this process may do everything.
#[cfg(not(unix))]
pub fn is_root() -> bool {
    false
}
