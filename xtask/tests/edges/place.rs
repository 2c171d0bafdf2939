//! Where the cases take place: a copy of the sources, and `cargo xtask` started there in any condition.

use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use tempfile::TempDir;
use xtask::{needs, platform, sources};

/// Why a case can't be run here, as the error that it returns.
#[derive(Debug)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// The checkout that the tests were built from.
pub fn original() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package in the repository")
}

/// A copy of the sources, and this checkout's xtask.
pub struct Place {
    folder: TempDir,
    /// The copy.
    pub checkout: PathBuf,
    xtask: PathBuf,
    /// The platform that is built: one is enough.
    pub platform: &'static str,
}

impl Place {
    /// What the version of xtask is in the copy.
    pub const VERSION: &str = "9.9.9";

    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let checkout = folder.path().join("a b ü");
        sources::copy(original(), &checkout)?;
        let manifest = checkout.join("xtask/Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        let changed = text.replace("\nversion.workspace = true", &format!("\nversion = \"{}\"", Self::VERSION));
        ensure!(changed != text, "xtask's version stands somewhere else");
        fs::write(manifest, changed)?;
        let lock = checkout.join("Cargo.lock");
        let changed = fs::read_to_string(&lock)?.replace(
            concat!("name = \"xtask\"\nversion = \"", env!("CARGO_PKG_VERSION")),
            &format!("name = \"xtask\"\nversion = \"{}", Self::VERSION),
        );
        fs::write(lock, changed)?;
        // Cargo will put the copy's in its place.
        let xtask = folder.path().join("xtask");
        fs::copy(env!("CARGO_BIN_EXE_xtask"), &xtask)?;
        let platform = platform::native().map_or("linux/amd64", |platform| platform.name);
        Ok(Self { folder, checkout, xtask, platform })
    }

    /// A folder beside the copy, which is new.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// The folder of the image.
    pub fn dist(&self) -> PathBuf {
        self.checkout.join("dist")
    }

    /// The xtask of the checkout that the tests were built from, in the copy.
    pub fn xtask(&self, words: &[&str]) -> Command {
        self.xtask_under(&[], words)
    }

    /// The same, started by another command.
    pub fn xtask_under(&self, starter: &[&str], words: &[&str]) -> Command {
        let xtask = self.xtask.to_str().expect("the path of a folder for temporary files is UTF-8");
        let words: Vec<_> = starter.iter().copied().chain([xtask]).chain(words.iter().copied()).collect();
        self.command(&words)
    }

    /// The xtask of the copy, through cargo.
    pub fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = self.command(&["cargo"]);
        cargo.args(words);
        cargo
    }

    /// A command in the copy. What cargo builds there goes to this checkout's own folder, which two checkouts then
    /// share; and much of it is there already.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(&self.checkout).stdin(Stdio::null());
        // The folders of targets in it are marked as it is.
        let folders = Path::new(env!("CARGO_BIN_EXE_xtask")).ancestors();
        let shared = folders.filter(|folder| folder.join("CACHEDIR.TAG").exists()).last();
        command.env("CARGO_TARGET_DIR", shared.expect("cargo's folder"));
        // Whatever the machine has set up for git, a repository may belong to somebody else only if it says so here.
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        command
    }

    /// The words of an order to make the image.
    pub fn image(&self) -> [&str; 3] {
        ["image", "--platform", self.platform]
    }

    /// Makes the image, where there is none.
    pub fn provide_image(&self) -> Result<()> {
        if !self.dist().exists() {
            run(&mut self.xtask(&self.image()))?.passes()?;
        }
        Ok(())
    }
}

/// How to start a command in new namespaces, as root there.
pub fn namespaces(options: &[&'static str]) -> Result<Vec<&'static str>> {
    let mut starter = vec!["unshare"];
    starter.extend(options);
    if !needs::is_root() {
        starter.push("--map-root-user");
    }
    tried(starter)
}

/// How to start a command as somebody who is not root.
pub fn as_somebody() -> Result<Vec<&'static str>> {
    if needs::is_root() { tried(vec!["unshare", "--user", "--map-user=1000"]) } else { Ok(Vec::new()) }
}

fn tried(starter: Vec<&'static str>) -> Result<Vec<&'static str>> {
    let works = Command::new(starter[0]).args(&starter[1..]).arg("true").output();
    ensure!(
        works.is_ok_and(|output| output.status.success()),
        Skip(format!("`{}` does not work here", starter.join(" ")))
    );
    Ok(starter)
}

/// The output of a command.
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { status, stdout: text(stdout), stderr: text(stderr) }
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Result<Run> {
    Ok(command.output().with_context(|| format!("can't start {command:?}"))?.into())
}

impl Run {
    /// Fails where the command failed.
    pub fn passes(self) -> Result<Self> {
        ensure!(self.status.success(), "{}: {}", self.status, self.stderr);
        Ok(self)
    }

    /// Fails unless the command failed with this exit status, and with one message, which has all of these parts, at
    /// the end.
    pub fn fails(self, status: i32, parts: &[&str]) -> Result<Self> {
        ensure!(self.status.code() == Some(status), "{}, not {status}: {}{}", self.status, self.stdout, self.stderr);
        let message: Vec<_> = self.stderr.lines().skip_while(|line| !line.starts_with("error")).collect();
        let errors = message.iter().filter(|line| line.starts_with("error")).count();
        let is_short = message.len() <= 2 && message.iter().all(|line| line.chars().count() <= 120);
        ensure!(errors == 1 && is_short, "not one short message: {}", self.stderr);
        for part in parts {
            ensure!(message.join(" ").contains(part), "no {part:?} in: {}", self.stderr);
        }
        Ok(self)
    }
}

/// Fails where `dist` is not one whole image, or something is left beside it. Returns what names the image.
pub fn whole(dist: &Path) -> Result<Vec<u8>> {
    nothing_left(dist.parent().context("a folder in a folder")?)?;
    nothing_left(dist)?;
    nothing_left(&dist.join("pause.oci"))?;
    let folder = fs::read(dist.join("pause.oci/index.json")).context("the folder is not whole")?;
    let mut archive = tar::Archive::new(fs::File::open(dist.join("pause.oci.tar")).context("there is no archive")?);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.to_str() == Some("index.json") {
            let mut index = Vec::new();
            entry.read_to_end(&mut index)?;
            ensure!(index == folder, "the folder is one image, the archive another");
            return Ok(index);
        }
    }
    bail!("the archive is not whole")
}

/// Fails where a folder holds something half-written.
pub fn nothing_left(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(!name.starts_with(".xtask-"), "{name} is left over");
    }
    Ok(())
}

/// Removes what a case has put somewhere, whatever it is.
pub fn clear(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path)?,
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    Ok(())
}

/// Sets the permissions of a file or directory.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}
