//! Builds the image again from a copy of the sources, with everything else as different as can be had.

use crate::fact_of_image;
use crate::layout::Layout;
use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Trial};
use std::env::{home_dir, var_os};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::sources;

/// What would make another build write into this one's folder, or build with other flags or for another machine.
const FOREIGN: [&str; 5] =
    ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"];

/// The most that the build may take, in seconds: many times what it takes on one old core.
const BOUND: &str = "1800";

/// What is different in the copy's build.
struct Condition {
    /// What one calls it.
    name: &'static str,
    /// The command that brings it about, to stand before the one that builds.
    wrapper: Vec<String>,
    /// A command whose output it changes.
    probe: &'static [&'static str],
}

pub fn trials(image: Option<&Path>) -> Vec<Trial> {
    let sentence =
        "a copy of the sources gives the same bytes at another path, to another user, in another place and time";
    vec![fact_of_image(image, "pause.oci.tar", sentence, |archive| {
        let folder = tempfile::tempdir()?;
        // A path that a user may have.
        let copy = folder.path().join("a b ü");
        sources::copy(repository()?, &copy)?;
        let (here, missing): (Vec<_>, Vec<_>) =
            conditions(folder.path())?.into_iter().partition(|condition| condition.holds());
        let rebuilt = rebuild(&copy, &here, &Layout::read(archive)?)?;
        ensure!(rebuilt == fs::read(archive)?, "the archives differ");
        let missing: Vec<_> = missing.iter().map(|condition| condition.name).collect();
        Ok(match missing.is_empty() {
            true => Completion::Completed,
            false => {
                Completion::ignored_with(format!("the bytes are the same, but not seen here: {}", missing.join(", ")))
            }
        })
    })]
}

/// All conditions. What they need is made in this folder.
fn conditions(folder: &Path) -> Result<Vec<Condition>> {
    let homes = homes(folder)?;
    let locales = locales(folder)?;
    let clock = format!("LD_PRELOAD={}", clock(folder).display());
    let condition = |name, wrapper: &[&str], probe| Condition {
        name,
        wrapper: wrapper.iter().copied().map(String::from).collect(),
        probe,
    };
    Ok(vec![
        condition("another umask", &["sh", "-c", "umask 067; exec \"$@\"", "sh"], &["sh", "-c", "umask"]),
        condition("other home folders", &as_str(&homes), &["sh", "-c", "echo \"$HOME $CARGO_HOME\""]),
        condition("another locale", &as_str(&locales), &["locale", "decimal_point"]),
        condition("another time zone", &["env", "TZ=PAUSE-13:37"], &["date", "+%z"]),
        condition("one core", &["taskset", "--cpu-list", &first_core()?], &["nproc"]),
        // The number alone is another: who may read the toolchain stays the same.
        condition("another user", &["unshare", "--user", "--map-user=12345", "--map-group=12345"], &["id", "-u"]),
        condition("a clock years ahead", &["env", &clock], &["date", "+%Y"]),
    ])
}

fn as_str(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Another home for the user and for cargo. What cargo has downloaded is in it, by links, so that its path differs.
fn homes(folder: &Path) -> Result<Vec<String>> {
    let tool_home = |variable, name| {
        let home = || Some(home_dir()?.join(name));
        var_os(variable).map(PathBuf::from).or_else(home).context("there is no home folder")
    };
    let home = folder.join("home");
    let cargo_home = home.join("cargo");
    fs::create_dir_all(&cargo_home)?;
    for entry in fs::read_dir(tool_home("CARGO_HOME", ".cargo")?)? {
        let entry = entry?;
        symlink(entry.path(), cargo_home.join(entry.file_name()))?;
    }
    Ok(vec![
        "env".into(),
        format!("HOME={}", home.display()),
        format!("CARGO_HOME={}", cargo_home.display()),
        format!("RUSTUP_HOME={}", tool_home("RUSTUP_HOME", ".rustup")?.display()),
    ])
}

/// A locale that writes numbers and small letters in its own way.
fn locales(folder: &Path) -> Result<Vec<String>> {
    const NAME: &str = "tr_TR.UTF-8";
    let locales = folder.join("locales");
    fs::create_dir(&locales)?;
    // Where this fails, so does the probe.
    let _ = Command::new("localedef").args(["-i", "tr_TR", "-f", "UTF-8"]).arg(locales.join(NAME)).output();
    Ok(vec!["env".into(), format!("LOCPATH={}", locales.display()), format!("LC_ALL={NAME}")])
}

/// The library that puts the clock ahead.
fn clock(folder: &Path) -> PathBuf {
    let target = folder.join("clock");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--package", "clock", "--target-dir"]).arg(&target);
    // Where this fails, so does the probe.
    let _ = without_foreign(&mut cargo).output();
    target.join("debug/libclock.so")
}

/// The first core that this process may run on.
fn first_core() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no list of cores")?;
    Ok(list.trim().chars().take_while(char::is_ascii_digit).collect())
}

impl Condition {
    /// Whether it can be had, and makes the difference that it should.
    fn holds(&self) -> bool {
        let output = |words: &[&str]| {
            let output = Command::new(words[0]).args(&words[1..]).output().ok()?;
            output.status.success().then_some(output.stdout)
        };
        let inside = output(&[&as_str(&self.wrapper)[..], self.probe].concat());
        inside.is_some() && inside != output(self.probe)
    }
}

/// The checkout that is tested: cargo runs a test in the folder of its package.
fn repository() -> Result<&'static Path> {
    let repository = Path::new(".");
    ensure!(repository.join("linker.ld").exists(), "the tests do not run in the repository's folder");
    Ok(repository)
}

fn without_foreign(command: &mut Command) -> &mut Command {
    FOREIGN.iter().fold(command, |command, variable| command.env_remove(variable))
}

/// Builds the image for the same platforms, with the same names, and returns the archive.
fn rebuild(sources: &Path, conditions: &[Condition], layout: &Layout) -> Result<Vec<u8>> {
    let mut command = Command::new("timeout");
    command.current_dir(sources).arg(BOUND);
    command.args(conditions.iter().flat_map(|condition| &condition.wrapper)).args(["cargo", "xtask", "image"]);
    for image in layout.images()? {
        command.args(["--platform", &image.platform()?]);
    }
    for name in layout.names()? {
        command.args(["--name", &name]);
    }
    let output = without_foreign(&mut command).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(fs::read(sources.join("dist/pause.oci.tar"))?)
}
