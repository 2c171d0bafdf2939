//! The cases in bash, and the copy of the sources in which they run.

use crate::{Skip, original};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};
use tempfile::TempDir;
use xtask::{platform, sources};

const FILES: [&str; 3] = [include_str!("cases.sh"), include_str!("release.sh"), include_str!("verify.sh")];

/// Returns each case's name and commands.
pub fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    let cases = FILES.into_iter().flat_map(|file| file.split("\n#### ").skip(1));
    cases.map(|case| case.split_once('\n').expect("commands after a name"))
}

/// A copy of the sources, in a directory with a blank and a letter that is not ASCII.
pub struct Copy {
    directory: TempDir,
    checkout: PathBuf,
    xtask: PathBuf,
}

impl Copy {
    pub fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let checkout = directory.path().join("a b ü");
        sources::copy(original(), &checkout)?;
        // Its xtask has another version.
        const VERSION: &str = concat!("name = \"xtask\"\nversion = \"", env!("CARGO_PKG_VERSION"));
        for (file, from, to) in [
            ("xtask/Cargo.toml", "\nversion.workspace = true", "\nversion = \"9.9.9\""),
            ("Cargo.lock", VERSION, "name = \"xtask\"\nversion = \"9.9.9"),
        ] {
            let text = fs::read_to_string(checkout.join(file))?;
            ensure!(text.contains(from), "{file} has no {from:?}");
            fs::write(checkout.join(file), text.replace(from, to))?;
        }
        // Cargo will replace the executable in its directory with the copy's.
        let xtask = directory.path().join("xtask");
        fs::copy(env!("CARGO_BIN_EXE_xtask"), &xtask)?;
        Ok(Self { directory, checkout, xtask })
    }

    /// Runs the commands of a case, after the functions of all files.
    pub fn run(&self, commands: &str) -> Result<()> {
        let functions: Vec<_> = FILES.iter().filter_map(|file| file.split("\n#### ").next()).collect();
        let work = TempDir::new_in(self.directory.path())?;
        let platform = platform::native().map_or("linux/amd64", |platform| platform.name);
        // Those of single targets in it are marked, too.
        let directories = Path::new(env!("CARGO_BIN_EXE_xtask")).ancestors();
        let target = directories.filter(|directory| directory.join("CACHEDIR.TAG").exists()).last();
        let mut bash = Command::new("bash");
        bash.args(["-c", &[&functions[..], &[commands]].concat().join("\n")]);
        bash.current_dir(&self.checkout).stdin(Stdio::null());
        bash.env("XTASK", &self.xtask).env("ORIGINAL", original()).env("work", work.path());
        bash.env("PLATFORM", platform).env("TARGET", platform::parse(platform)?.target);
        bash.env("VERSION", env!("CARGO_PKG_VERSION")).env("LC_ALL", "C.UTF-8").env("TESTS", env::current_exe()?);
        // Two checkouts then share one directory, and most of what a case needs is there already.
        bash.env("CARGO_TARGET_DIR", target.context("cargo's target directory")?);
        // git's configuration of this machine might trust every owner.
        bash.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        let output = bash.output().context("can't start bash")?;
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        match output.status.code() {
            Some(0) => Ok(()),
            Some(77) => bail!(Skip(stderr.lines().last().unwrap_or_default().into())),
            _ => bail!("{}:\n{stdout}{stderr}", output.status),
        }
    }
}
