//! Debian packages of any suite and architecture, unpacked and never installed.

use crate::needs::Needs;
use anyhow::{Context, Result, bail, ensure};
use std::cell::{Cell, OnceCell};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use xshell::{Cmd, Shell, cmd};

/// What Debian's archive is signed with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The parser of `--release`.
///
/// # Errors
/// Where it can't be one.
pub fn parse_release(name: &str) -> Result<String> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    ensure!(is_name, "a release of Debian has a name like trixie or sid");
    Ok(name.into())
}

/// Adds what it takes to fetch and unpack packages of that kind ("kernels").
pub fn add_needs(needs: &mut Needs, kind: &str) {
    needs.file("dpkg-deb", "dpkg", &format!("unpack {kind}"));
    for program in ["apt-get", "apt-cache", "apt-config"] {
        needs.file(program, "apt", &format!("fetch {kind}"));
    }
    needs.file(KEYRING, "debian-archive-keyring", "check what comes from Debian's archive");
}

/// What Debian calls this machine's architecture.
///
/// # Errors
/// Where this machine is none of Debian's.
pub fn architecture(shell: &Shell) -> Result<String> {
    output(cmd!(shell, "dpkg --print-architecture")).map(|name| name.trim().to_owned())
}

/// The mirror of Debian's archive that this machine gets its own packages from.
pub struct Mirror<'a> {
    shell: &'a Shell,
    /// Its address, as soon as it was asked for.
    address: OnceCell<String>,
    /// Whether it has failed before. Whoever waits for it waits once.
    has_failed: Cell<bool>,
}

impl<'a> Mirror<'a> {
    /// The mirror. It is looked for when it is needed.
    pub fn new(shell: &'a Shell) -> Self {
        Self { shell, address: OnceCell::new(), has_failed: Cell::new(false) }
    }

    /// Fetches the package lists of a suite, as one architecture sees it. What belongs to it lies in `folder`.
    ///
    /// # Errors
    /// Where there is no such mirror, it can't be reached, or its lists are not what its release file says.
    pub fn suite(&self, name: &str, architecture: &str, folder: &Path) -> Result<Suite<'a>> {
        let opened = Suite::open(self, name, architecture, folder);
        if opened.is_err() {
            self.has_failed.set(true);
        }
        opened
    }

    /// Returns the mirror's address.
    pub fn address(&self) -> Result<&str> {
        if let Some(address) = self.address.get() {
            return Ok(address);
        }
        let found = self.find()?;
        Ok(self.address.get_or_init(|| found))
    }

    fn find(&self) -> Result<String> {
        let read = || -> Result<Option<String>> {
            let targets = output(cmd!(self.shell, "apt-get indextargets --format $(LABEL)|$(CREATED_BY)|$(REPO_URI)"))?;
            Ok(targets.lines().find_map(|line| line.strip_prefix("Debian|Packages|").map(str::to_owned)))
        };
        if let Some(address) = read()? {
            return Ok(address);
        }
        // A new machine has not heard from its mirror yet.
        let updated = output(cmd!(self.shell, "apt-get update --error-on=any -o DPkg::Lock::Timeout=300"));
        match (read()?, updated) {
            (Some(address), _) => Ok(address),
            (None, Err(reason)) => Err(reason),
            (None, Ok(_)) => bail!("apt knows no mirror of Debian's archive here"),
        }
    }
}

/// A suite of Debian's archive, as one architecture sees it. The machine's own apt knows nothing of it.
pub struct Suite<'a> {
    shell: &'a Shell,
    name: String,
    folder: TempDir,
}

impl<'a> Suite<'a> {
    fn open(mirror: &Mirror<'a>, name: &str, architecture: &str, folder: &Path) -> Result<Self> {
        let shell = mirror.shell;
        let folder = TempDir::new_in(folder)?;
        let root = folder.path().to_str().context("the repository's path is not UTF-8")?;
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.path().join(name))?;
        }
        fs::write(folder.path().join("status"), "")?;
        let source = format!("deb [signed-by={KEYRING}] {} {name} main\n", mirror.address()?);
        fs::write(folder.path().join("sources.list"), source)?;
        // How to reach the mirror (through a proxy, say) is the machine's; all the rest is not.
        let machine = output(cmd!(shell, "apt-config dump"))?;
        let reach = machine.lines().filter(|line| line.starts_with("Acquire::") && !line.contains("IndexTargets"));
        let mut own = vec![
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
        if mirror.has_failed.get() {
            own.push("Acquire::Retries \"0\";".into());
        }
        let lines: Vec<_> = reach.chain(own.iter().map(String::as_str)).collect();
        fs::write(folder.path().join("configuration"), lines.join("\n") + "\n")?;

        let suite = Self { shell, name: format!("{name} for {architecture}"), folder };
        // Without the option, a mirror that can't be reached is no error.
        output(suite.own(cmd!(shell, "apt-get update --error-on=any")))?;
        Ok(suite)
    }

    /// The package and what it depends on, directly and indirectly, as far as their names begin so.
    ///
    /// # Errors
    /// Where there is no such package.
    pub fn dependencies(&self, package: &str, prefixes: &[&str]) -> Result<Vec<String>> {
        let listed = output(self.own(cmd!(self.shell, "apt-cache depends --recurse --important {package}")));
        let list = listed.with_context(|| format!("{} has no package {package}", self.name))?;
        // Packages stand at the beginning of a line, and what they depend on is indented.
        let wanted = |name: &&str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let packages: Vec<_> = list.lines().filter(wanted).map(str::to_owned).collect();
        ensure!(!packages.is_empty(), "{} has no package {package}", self.name);
        Ok(packages)
    }

    /// Downloads packages. Returns their files, which go with this.
    ///
    /// # Errors
    /// Where one can't be fetched.
    pub fn download(&self, packages: &[String]) -> Result<Vec<PathBuf>> {
        let downloads = self.folder.path().join("downloads");
        fs::create_dir_all(&downloads)?;
        let _there = self.shell.push_dir(&downloads);
        output(self.own(cmd!(self.shell, "apt-get download {packages...}")))?;
        let files = fs::read_dir(&downloads)?.map(|file| Ok(file?.path()));
        files.collect()
    }

    /// Unpacks the package, and what it depends on as far as its name begins so, into a folder.
    ///
    /// # Errors
    /// Where one can't be fetched or unpacked.
    pub fn unpack(&self, package: &str, prefix: &str, folder: &Path) -> Result<()> {
        for file in self.download(&self.dependencies(package, &[prefix])?)? {
            output(cmd!(self.shell, "dpkg-deb --extract {file} {folder}"))?;
        }
        Ok(())
    }

    /// A command that sees this suite and nothing else.
    fn own<'b>(&self, command: Cmd<'b>) -> Cmd<'b> {
        command.env("APT_CONFIG", self.folder.path().join("configuration"))
    }
}

/// Runs a command of apt's without a word. Returns what it prints.
fn output(command: Cmd) -> Result<String> {
    let output = command.quiet().ignore_status().output()?;
    ensure!(output.status.success(), "{}", reason(&String::from_utf8_lossy(&output.stderr)));
    Ok(String::from_utf8(output.stdout)?)
}

/// Why a command of apt's has failed. Its first error says most; those behind it are what followed from that.
fn reason(messages: &str) -> &str {
    let error = messages.lines().find_map(|line| line.strip_prefix("E: "));
    let error = error.unwrap_or("apt does not say why");
    // Failed to fetch http://…  Temporary failure resolving …
    // The address differs from suite to suite where the reason is the same.
    error.strip_prefix("Failed to fetch ").and_then(|error| error.split_once("  ")).map_or(error, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_is_the_first_error_without_an_address() {
        let rest = "E: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        let unreachable =
            "E: Failed to fetch http://mirror/dists/sid/InRelease  Temporary failure resolving 'mirror'\n";
        assert_eq!(reason(&format!("W: odd\n{unreachable}{rest}")), "Temporary failure resolving 'mirror'");
        let missing = "E: Failed to fetch http://mirror/a.deb  404  Not Found [IP: 192.0.2.1 80]\n";
        assert_eq!(reason(missing), "404  Not Found [IP: 192.0.2.1 80]");
        assert_eq!(reason("E: No packages found\n"), "No packages found");
        assert_eq!(reason("killed\n"), "apt does not say why");
    }
}
