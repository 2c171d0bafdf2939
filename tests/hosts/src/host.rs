//! A container host and its checks.

use crate::command;
use crate::sandbox::BindMounts;
use anyhow::{Context, Result, ensure};
use mutation::{DEAF, Mutant, NO_REAPING};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::command::UsageError;
use xtask::{prerequisites, status};

/// The negative controls of nearly every host.
pub const CONTROLS: &[&Mutant] = &[&NO_REAPING, &DEAF];
pub const ZOMBIES: &[&Mutant] = &[&NO_REAPING];
pub const DEAFNESS: &[&Mutant] = &[&DEAF];

#[derive(Debug)]
pub struct Host {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name in tables.
    pub title: &'static str,
    /// Its Debian packages.
    pub packages: &'static [&'static str],
    /// The releases of Debian that lack it, and why: the end of a sentence that begins with the release.
    pub absent_from: &'static [(&'static str, &'static str)],
    /// The crate that installs it, with features, if Debian doesn't have it. Without it the host is skipped.
    pub cargo_install: Option<(&'static str, &'static str)>,
    /// Its programs that the user must provide. The host is run only on request.
    pub programs: Option<Programs>,
    /// The commands that print its version, or those of its programs. None: the version of its first package.
    pub version: &'static [&'static str],
    /// The negative controls, each of which must fail a check.
    pub controls: &'static [&'static Mutant],
    pub checks: fn(&mut Fixture) -> Result<()>,
}

/// A host that all releases of Debian have, with the usual controls.
pub const fn host(
    name: &'static str,
    title: &'static str,
    packages: &'static [&'static str],
    version: &'static [&'static str],
    checks: fn(&mut Fixture) -> Result<()>,
) -> Host {
    let (absent_from, cargo_install, programs, controls) = (&[], None, None, CONTROLS);
    Host { name, title, packages, absent_from, cargo_install, programs, version, controls, checks }
}

/// Programs that Debian does not package.
#[derive(Debug)]
pub struct Programs {
    /// The option that takes their directory.
    pub option: &'static str,
    /// Each with the beginning of its version, if it prints one.
    pub names: &'static [(&'static str, &'static str)],
    /// Their directory in a sandbox.
    pub place: &'static str,
    /// The archive that has them.
    pub source: &'static str,
}

impl Programs {
    /// Finds them in this directory, or else in `PATH`. Returns each with its place in a sandbox.
    pub fn find(&self, directory: Option<&Path>) -> Result<BindMounts> {
        let find = |&(name, version): &(&str, &str)| {
            let path = directory.unwrap_or(Path::new("")).join(name);
            let (option, source) = (self.option, self.source);
            let advice = format!("{name} is missing; unpack {source} and pass its directory with {option} DIR");
            let file = prerequisites::find(&path.to_string_lossy()).context(UsageError(advice))?.canonicalize()?;
            let prints = |output: Output| output.stdout.starts_with(version.as_bytes());
            let is_it = version.is_empty() || Command::new(&file).arg("--version").output().is_ok_and(prints);
            ensure!(is_it, UsageError(format!("{} --version doesn't print \"{version}\"", file.display())));
            Ok((file, format!("{}/{name}", self.place)))
        };
        self.names.iter().map(find).collect()
    }
}

pub struct Check {
    /// The sentence that must be true of the image.
    pub name: &'static str,
    /// The negative controls of which it must be false.
    pub broken_by: &'static [&'static Mutant],
}

/// A check that every negative control passes.
pub const fn check(name: &'static str) -> Check {
    Check { name, broken_by: &[] }
}

pub const fn broken_by(broken_by: &'static [&'static Mutant], name: &'static str) -> Check {
    Check { name, broken_by }
}

/// The results of a host's checks on one image.
#[derive(Default, Serialize, Deserialize)]
pub struct Findings {
    pub version: String,
    pub checks: usize,
    /// Checks with another result than the image or the negative control must have, and an error that ended them early.
    pub failures: Vec<String>,
    /// Measurements, as sentences.
    pub notes: Vec<String>,
    /// Why this machine can't run the host, if it can't.
    pub skipped: Option<String>,
    pub seconds: f64,
}

/// The environment of a host's checks.
pub struct Fixture<'a> {
    pub host: &'static Host,
    /// In the sandbox's `/tmp`.
    pub shell: &'a Shell,
    pub repository: &'a Path,
    /// The image under test.
    pub archive: &'a Path,
    /// The negative control that it is. Empty for the image.
    pub control: &'a str,
    /// Ends the names of the next checks, for a host with several settings.
    pub setting: &'static str,
    pub findings: Findings,
    /// Number of checks that the image must pass, or the negative control must fail.
    counting: usize,
}

impl Fixture<'_> {
    /// Records the result of a check: the image must pass it, and the negative controls that break it must fail it.
    pub fn check(&mut self, check: &Check, result: Result<()>) {
        let name = format!("{}{}", check.name, self.setting);
        status!("{}: {name}", if result.is_ok() { "ok" } else { "FAILED" });
        let must_fail = check.broken_by.iter().any(|mutant| mutant.name == self.control);
        self.findings.checks += 1;
        self.counting += usize::from(self.control.is_empty() || must_fail);
        match result {
            Ok(()) if must_fail => self.findings.failures.push(format!("passed \"{name}\", which it should fail")),
            Err(error) if !must_fail => self.findings.failures.push(format!("failed \"{name}\": {error:#}")),
            _ => {}
        }
    }

    /// Records whether a condition is true. `seen` describes the opposite.
    pub fn expect(&mut self, check: &Check, condition: bool, seen: impl FnOnce() -> String) {
        self.check(check, condition.then_some(()).with_context(seen));
    }
}

impl Host {
    /// Why a release of Debian lacks it, if it does.
    pub fn reason_to_skip(&self, release: &str) -> Option<&'static str> {
        self.absent_from.iter().find(|(name, _)| *name == release).map(|(_, why)| *why)
    }

    /// How to install it, if Debian doesn't have it and this machine doesn't either.
    pub fn missing(&self) -> Option<String> {
        let (name, features) = self.cargo_install.filter(|(name, _)| !prerequisites::exists(name))?;
        Some(format!("it is not installed; run `cargo install --locked --features {features} {name}`"))
    }

    /// Its program outside of the sandbox, and inside.
    pub fn installed(&self) -> Option<(PathBuf, String)> {
        let (name, _) = self.cargo_install?;
        Some((prerequisites::find(name)?, format!("/usr/bin/{name}")))
    }

    /// Runs its checks on an image, in this sandbox.
    pub fn run_checks(
        &'static self,
        shell: &Shell,
        repository: &Path,
        archive: &Path,
        control: &str,
    ) -> Result<Findings> {
        let (begin, findings) = (Instant::now(), Findings::default());
        let mut fixture =
            Fixture { host: self, shell, repository, archive, control, setting: "", findings, counting: 0 };
        let error = (self.checks)(&mut fixture).err().map(|error| format!("{error:#}"));
        let Fixture { mut findings, counting, .. } = fixture;
        findings.failures.extend(error);
        if counting == 0 && findings.skipped.is_none() {
            findings.failures.push("no check was made that counts".into());
        }
        let package = format!("dpkg-query --show --showformat='${{Version}}' {}", self.packages[0]);
        let commands = if self.version.is_empty() { &[package.as_str()] } else { self.version };
        let versions = commands.iter().map(|command| version(shell, command)).collect::<Result<Vec<_>>>()?;
        findings.version = versions.join(" and ");
        findings.seconds = begin.elapsed().as_secs_f64();
        Ok(findings)
    }
}

/// The upstream version in a command's output.
fn version(shell: &Shell, command: &str) -> Result<String> {
    let output = command::read(cmd!(shell, "sh -c {command}"))?;
    // Debian puts an epoch before some versions, and 0.0~ before one that is a date.
    let words = output.split_whitespace().map(|word| word.split_once(':').map_or(word, |(_, version)| version));
    let words = words.map(|word| ["v", "0.0~"].iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(word));
    let mut versions = words.filter(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let version = versions.next().and_then(|word| word.split(['+', '-', '~', ',']).next());
    Ok(version.context("the command prints no version")?.to_owned())
}
