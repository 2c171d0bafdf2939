//! Debian packages of any suite and architecture, unpacked without installing them.

use crate::prerequisites::Prerequisites;
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use xshell::{Cmd, Shell, cmd};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Parses the value of `--debian`.
pub fn parse_release(name: &str) -> Result<String> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    ensure!(is_name, "a release of Debian has a name like trixie or sid");
    Ok(name.into())
}

/// Adds the programs that fetch and unpack packages of this kind ("kernels").
pub fn add_needs(prerequisites: &mut Prerequisites, kind: &str) {
    prerequisites.file("dpkg-deb", "dpkg", &format!("unpack {kind}"));
    for program in ["apt-get", "apt-cache", "apt-config"] {
        prerequisites.file(program, "apt", &format!("fetch {kind}"));
    }
    prerequisites.file(KEYRING, "debian-archive-keyring", "check what comes from Debian's archive");
}

/// Returns Debian's name of this machine's architecture.
pub fn architecture(shell: &Shell) -> Result<String> {
    output(cmd!(shell, "dpkg --print-architecture")).map(|name| name.trim().to_owned())
}

/// Finds the address of the mirror of Debian's archive from which this machine gets its packages.
pub fn mirror(shell: &Shell) -> Result<String> {
    let read = || -> Result<Option<String>> {
        let targets = output(cmd!(shell, "apt-get indextargets --format $(LABEL)|$(CREATED_BY)|$(REPO_URI)"))?;
        Ok(targets.lines().find_map(|line| line.strip_prefix("Debian|Packages|").map(str::to_owned)))
    };
    if let Some(address) = read()? {
        return Ok(address);
    }
    // A new machine has no package lists yet.
    let updated = output(cmd!(shell, "apt-get update --error-on=any -o DPkg::Lock::Timeout=300"));
    read()?.ok_or_else(|| updated.err().unwrap_or(anyhow!("apt has no mirror of Debian's archive here")))
}

/// A suite of Debian's archive for one architecture, apart from the machine's own apt.
pub struct Suite<'a> {
    shell: &'a Shell,
    directory: TempDir,
}

impl<'a> Suite<'a> {
    /// Fetches the package lists into a new directory in `parent`. `can_retry` is false if the mirror has failed before.
    pub fn open(shell: &'a Shell, name: &str, architecture: &str, parent: &Path, can_retry: bool) -> Result<Self> {
        let directory = TempDir::new_in(parent)?;
        let root = directory.path().to_str().context("the repository's path is not UTF-8")?;
        let write = |file: &str, content: &str| shell.write_file(directory.path().join(file), content);
        shell.create_dir(directory.path().join("lists/partial"))?;
        shell.create_dir(directory.path().join("cache/archives/partial"))?;
        write("status", "")?;
        write("sources.list", &format!("deb [signed-by={KEYRING}] {} {name} main\n", mirror(shell)?))?;
        // The way to the mirror, through a proxy for example, is the machine's. Everything else is not.
        let machine = output(cmd!(shell, "apt-config dump"))?;
        let access = machine.lines().filter(|line| line.starts_with("Acquire::") && !line.contains("IndexTargets"));
        let retries = if can_retry { "" } else { "Acquire::Retries \"0\";" };
        let configuration = format!(
            r#"{}
Dir::State "{root}";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc "{root}";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
{retries}
"#,
            access.collect::<Vec<_>>().join("\n")
        );
        write("configuration", &configuration)?;
        let suite = Self { shell, directory };
        // Without the option, a mirror that can't be reached is not an error.
        output(suite.apt(cmd!(shell, "apt-get update --error-on=any")))?;
        Ok(suite)
    }

    /// Downloads a package, and dependencies whose names have one of these prefixes. The files live as long as this.
    pub fn download(&self, package: &str, prefixes: &[&str]) -> Result<Vec<PathBuf>> {
        let list = output(self.apt(cmd!(self.shell, "apt-cache depends --recurse --important {package}")))?;
        // Names of packages start a line. Their dependencies are indented.
        let has_prefix = |name: &&str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let packages: Vec<_> = list.lines().filter(has_prefix).collect();
        ensure!(!packages.is_empty(), "there is no package {package}");
        let downloads = self.directory.path().join("downloads");
        fs::create_dir_all(&downloads)?;
        let _directory = self.shell.push_dir(&downloads);
        output(self.apt(cmd!(self.shell, "apt-get download {packages...}")))?;
        fs::read_dir(&downloads)?.map(|file| Ok(file?.path())).collect()
    }

    /// Unpacks a package, and its dependencies as far as their names have this prefix.
    pub fn unpack(&self, package: &str, prefix: &str, directory: &Path) -> Result<()> {
        let files = self.download(package, &[prefix])?;
        files.iter().try_for_each(|file| output(cmd!(self.shell, "dpkg-deb --extract {file} {directory}")).map(drop))
    }

    fn apt<'b>(&self, command: Cmd<'b>) -> Cmd<'b> {
        command.env("APT_CONFIG", self.directory.path().join("configuration"))
    }
}

/// Runs a command of apt quietly. Returns its output, or fails with its first error, without the address, which differs
/// from suite to suite. Later errors follow from the first.
fn output(command: Cmd) -> Result<String> {
    let output = command.quiet().ignore_status().output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let error = messages.lines().find_map(|line| line.strip_prefix("E: ")).unwrap_or("apt gives no reason");
    // Failed to fetch http://…  Temporary failure resolving …
    let failed = error.strip_prefix("Failed to fetch ").and_then(|error| error.split_once("  "));
    bail!("{}", failed.map_or(error, |(_, reason)| reason))
}
