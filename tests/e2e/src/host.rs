//! What a host is: the packages that it takes, and checks that come to a verdict each.

use crate::command;
use anyhow::{Context, Result, bail};
use mutants::{DEAF, Mutant, NO_REAPING};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use xshell::Shell;
use xtask::{needs, note};

/// The stand-ins that nearly every host knows from the image.
pub const STAND_INS: &[&Mutant] = &[&NO_REAPING, &DEAF];

/// A container host.
#[derive(Debug)]
pub struct Host {
    /// What the command line calls it.
    pub name: &'static str,
    /// What tables call it.
    pub title: &'static str,
    /// The Debian packages that the host needs.
    pub packages: &'static [&'static str],
    /// The releases of Debian that lack it, and why.
    pub absent_from: &'static [(&'static str, &'static str)],
    /// A program of each crate that the host needs and no Debian package brings, and the features that the crate is
    /// installed with. Without them, the host is not run.
    pub crates: &'static [(&'static str, &'static str)],
    /// The commands that print its version, or those of its programs. None: the version of its first package.
    pub version: &'static [&'static [&'static str]],
    /// The stand-ins that it must know from the image.
    pub stand_ins: &'static [&'static Mutant],
    /// Comes to a verdict on each of its checks.
    pub checks: fn(&mut Scene) -> Result<()>,
}

/// What a host must find to be true of the image.
pub struct Check {
    /// The sentence that is proven.
    pub name: &'static str,
    /// The stand-ins of which it is not true.
    pub broken_by: &'static [&'static Mutant],
}

/// What came of a check.
#[derive(Serialize, Deserialize)]
pub struct Verdict {
    /// The sentence, with the host's setting.
    pub check: String,
    /// The names of the stand-ins of which it is not true.
    pub broken_by: Vec<String>,
    /// What was seen instead, where it failed.
    pub failure: Option<String>,
}

/// What came of a host's checks.
#[derive(Serialize, Deserialize)]
pub struct Findings {
    /// The host's version.
    pub version: String,
    /// One for each check.
    pub verdicts: Vec<Verdict>,
    /// What was measured, in sentences.
    pub notes: Vec<String>,
    /// What was measured, as the rows of a table.
    pub figures: Vec<Vec<String>>,
    /// Why the checks ended early, if they did.
    pub error: Option<String>,
    /// What the visit has changed on the machine, which must be nothing.
    pub changes: Vec<String>,
}

/// What came of the checks that another program ran.
#[derive(Serialize, Deserialize)]
pub struct Report {
    /// One for each check.
    verdicts: Vec<Verdict>,
    /// What was measured, in sentences.
    notes: Vec<String>,
    /// What was measured, as the rows of a table.
    figures: Vec<Vec<String>>,
    /// Why the checks ended early, if they did.
    error: Option<String>,
}

/// What a host's checks have at hand.
pub struct Scene<'a> {
    /// In a folder that is the sandbox's own.
    pub shell: &'a Shell,
    /// Where the repository is.
    pub repository: &'a Path,
    /// The image under test, as every host loads it.
    pub archive: &'a Path,
    /// What the next checks are about, where a host has several settings: it ends their names.
    pub setting: &'static str,
    /// What was measured, in sentences.
    pub notes: Vec<String>,
    /// What was measured, as the rows of a table.
    pub figures: Vec<Vec<String>>,
    verdicts: Vec<Verdict>,
}

impl<'a> Scene<'a> {
    /// The scene before the first check.
    pub fn new(shell: &'a Shell, repository: &'a Path, archive: &'a Path) -> Self {
        Self { shell, repository, archive, setting: "", notes: Vec::new(), figures: Vec::new(), verdicts: Vec::new() }
    }

    /// Takes what another program found here: its verdicts and what it measured.
    ///
    /// # Errors
    /// Where its checks ended early.
    pub fn adopt(&mut self, report: Report) -> Result<()> {
        self.verdicts.extend(report.verdicts);
        self.notes.extend(report.notes);
        self.figures.extend(report.figures);
        report.error.map_or(Ok(()), |error| bail!(error))
    }

    /// What was found, to be told to another program.
    pub fn report(self, result: Result<()>) -> Report {
        let error = result.err().map(|error| format!("{error:#}"));
        Report { verdicts: self.verdicts, notes: self.notes, figures: self.figures, error }
    }

    /// Notes what came of a check.
    pub fn check(&mut self, check: &Check, result: Result<()>) {
        let failure = result.err().map(|error| format!("{error:#}"));
        let mark = if failure.is_none() { "ok" } else { "FAILED" };
        let name = format!("{}{}", check.name, self.setting);
        note!("{mark}: {name}");
        let broken_by = check.broken_by.iter().map(|mutant| mutant.name.into()).collect();
        self.verdicts.push(Verdict { check: name, broken_by, failure });
    }
}

impl Host {
    /// Why a release of Debian lacks it, if it does: it ends a sentence that begins with the release.
    pub fn reason_to_skip(&self, release: &str) -> Option<&'static str> {
        self.absent_from.iter().find(|(name, _)| *name == release).map(|(_, why)| *why)
    }

    /// Which of its crates is not installed, and how one does that.
    pub fn missing_crate(&self) -> Option<String> {
        let (name, features) = self.crates.iter().find(|(name, _)| !needs::exists(name))?;
        Some(format!("it is not installed; run `cargo install --locked --features {features} {name}`"))
    }

    /// What a sandbox is shown of its crates: the installed programs, each at a place below its root.
    pub fn installed(&self) -> impl Iterator<Item = (PathBuf, String)> {
        self.crates.iter().filter_map(|(name, _)| Some((needs::find(name)?, format!("usr/bin/{name}"))))
    }

    /// Runs its checks on an image, here and now.
    ///
    /// # Errors
    /// Where the host does not say which version it is.
    pub fn run_checks(&self, shell: &Shell, repository: &Path, archive: &Path) -> Result<Findings> {
        let mut scene = Scene::new(shell, repository, archive);
        let result = (self.checks)(&mut scene);
        let Scene { verdicts, notes, figures, .. } = scene;
        let package = ["dpkg-query", "--show", "--showformat=${Version}", self.packages.first().unwrap_or(&"")];
        let commands = if self.version.is_empty() { &[package.as_slice()] } else { self.version };
        let versions = commands.iter().map(|command| version(shell, command)).collect::<Result<Vec<_>>>()?;
        let version = versions.join(" and ");
        let error = result.err().map(|error| format!("{error:#}"));
        Ok(Findings { version, verdicts, notes, figures, error, changes: Vec::new() })
    }
}

/// The version that a command prints.
fn version(shell: &Shell, command: &[&str]) -> Result<String> {
    let (program, rest) = command.split_first().context("a command")?;
    let said = command::read(shell.cmd(program).args(rest))?;
    // Debian puts an epoch before some versions, and the second of these before one that is a date.
    let words = said.split_whitespace();
    let words = words.map(|word| word.split_once(':').map_or(word, |(_, version)| version));
    let words = words.map(|word| ["v", "0.0~"].iter().find_map(|prefix| word.strip_prefix(prefix)).unwrap_or(word));
    let mut versions = words.filter(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    // What a distribution adds is not the host's.
    let version = versions.next().and_then(|word| word.split(['+', '-', '~', ',']).next());
    Ok(version.context("a command that prints a version")?.to_owned())
}

impl Findings {
    /// What must not be, whatever was checked.
    fn troubles(&self) -> impl Iterator<Item = String> {
        let changes =
            self.changes.iter().map(|change| format!("if nobody else has, this has changed the machine: {change}"));
        self.error.iter().cloned().chain(changes)
    }

    /// What is wrong with the image, which must pass every check.
    pub fn judge_image(&self) -> Vec<String> {
        let failed = self.verdicts.iter().filter_map(|Verdict { check, failure, .. }| {
            let failure = failure.as_ref()?;
            Some(format!("{check}: {failure}"))
        });
        let mut wrong: Vec<_> = failed.chain(self.troubles()).collect();
        if self.verdicts.is_empty() {
            wrong.push("nothing was checked".into());
        }
        wrong
    }

    /// What is wrong with how a stand-in fared: it must fail the checks that it should break, and no others.
    pub fn judge_stand_in(&self, mutant: &Mutant) -> Vec<String> {
        let mut wrong: Vec<_> = self.troubles().collect();
        let mut broke_some = false;
        for Verdict { check, broken_by, failure } in &self.verdicts {
            let should_fail = broken_by.iter().any(|name| name == mutant.name);
            broke_some |= should_fail;
            match failure {
                None if should_fail => wrong.push(format!("passed \"{check}\", which it should fail")),
                Some(failure) if !should_fail => wrong.push(format!("failed \"{check}\" too: {failure}")),
                _ => (),
            }
        }
        if !broke_some {
            wrong.push("there is no check that it should fail".into());
        }
        wrong
    }
}
