//! Debian packages of any suite and architecture, unpacked and never installed.

use crate::install;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use xshell::{Shell, cmd};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A suite of Debian's archive, seen with the eyes of one architecture. apt's own state knows nothing of it.
pub struct Archive<'a> {
    shell: &'a Shell,
    folder: TempDir,
}

impl<'a> Archive<'a> {
    /// Fetches the package lists of a suite from the machine's own mirror.
    ///
    /// # Errors
    /// Where there is no such mirror, or it can't be reached.
    pub fn open(shell: &'a Shell, suite: &str, architecture: &str) -> Result<Self> {
        install::ensure(shell, KEYRING, &["debian-archive-keyring"], "check what comes from Debian's archive")?;
        let folder = tempfile::tempdir()?;
        let root = folder.path().display().to_string();
        for name in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(folder.path().join(name))?;
        }
        std::fs::write(folder.path().join("status"), "")?;
        let source = format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror(shell)?);
        std::fs::write(folder.path().join("sources.list"), source)?;
        // How to reach the mirror (through a proxy, say) is the machine's; all the rest is not.
        let machine = cmd!(shell, "apt-config dump").quiet().read()?;
        let reach = machine.lines().filter(|line| line.starts_with("Acquire::") && !line.contains("IndexTargets"));
        let own = [
            format!("Dir::State \"{root}\";"),
            format!("Dir::State::status \"{root}/status\";"),
            format!("Dir::Cache \"{root}/cache\";"),
            format!("Dir::Etc \"{root}\";"),
            "Dir::Etc::parts \"/dev/null\";".into(),
            "Dir::Etc::sourceparts \"/dev/null\";".into(),
            "Dir::Etc::preferencesparts \"/dev/null\";".into(),
            "APT::Sandbox::User \"\";".into(), // who could not write here
            format!("APT::Architecture \"{architecture}\";"),
            format!("APT::Architectures \"{architecture}\";"),
        ];
        let lines: Vec<_> = reach.chain(own.iter().map(String::as_str)).collect();
        std::fs::write(folder.path().join("configuration"), lines.join("\n") + "\n")?;

        let archive = Self { shell, folder };
        cmd!(shell, "apt-get update --quiet").env("APT_CONFIG", archive.configuration()).ignore_stdout().run()?;
        Ok(archive)
    }

    /// The package and what it depends on, directly and indirectly, as far as their names begin so.
    ///
    /// # Errors
    /// Where there is no such package.
    pub fn dependencies(&self, package: &str, prefixes: &[&str]) -> Result<Vec<String>> {
        let output = cmd!(self.shell, "apt-cache depends --recurse --important {package}")
            .env("APT_CONFIG", self.configuration())
            .read()?;
        // Packages stand at the beginning of a line, and what they depend on is indented.
        let wanted = |name: &&str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let packages: Vec<_> = output.lines().filter(wanted).map(str::to_owned).collect();
        ensure!(!packages.is_empty(), "Debian has no package {package} there");
        Ok(packages)
    }

    /// Downloads packages and unpacks them into a folder.
    ///
    /// # Errors
    /// Where one can't be fetched.
    pub fn unpack(&self, packages: &[String], folder: &Path) -> Result<()> {
        let downloads = tempfile::tempdir()?;
        let _there = self.shell.push_dir(downloads.path());
        cmd!(self.shell, "apt-get download --quiet {packages...}")
            .env("APT_CONFIG", self.configuration())
            .ignore_stdout()
            .run()?;
        for file in std::fs::read_dir(downloads.path())? {
            let file = file?.path();
            cmd!(self.shell, "dpkg-deb --extract {file} {folder}").run()?;
        }
        Ok(())
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("configuration")
    }
}

/// Where this machine gets Debian's packages from.
fn mirror(shell: &Shell) -> Result<String> {
    let read = || cmd!(shell, "apt-get indextargets --format $(LABEL)|$(CREATED_BY)|$(REPO_URI)").quiet().read();
    let find =
        |targets: &str| targets.lines().find_map(|line| line.strip_prefix("Debian|Packages|").map(str::to_owned));
    if let Some(mirror) = find(&read()?) {
        return Ok(mirror);
    }
    // A new machine has not heard from its mirror yet.
    cmd!(shell, "apt-get update --quiet -o DPkg::Lock::Timeout=300").ignore_stdout().run()?;
    find(&read()?).context("the kernels are Debian's, and this machine's apt knows no mirror of Debian's archive")
}
