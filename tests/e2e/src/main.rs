//! `cargo xtask e2e`: the image on real container hosts.
//!
//! Every host runs its checks three times, each time in a sandbox of its own: with the image, which must pass
//! them all, and with two stand-ins that are wrong on purpose, which must fail those that they should break
//! and no others.

mod archive;
mod bundle;
mod common;
mod containerd;
mod cri;
mod docker;
mod podman;
mod registry;
mod release;

use crate::build::{self, Binary};
use crate::image::{self, Contents};
use crate::mutant::{self, Mutant};
use crate::platform::{self, PLATFORMS, Platform};
use crate::{install, sandbox};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;
use xshell::{Cmd, Shell};

/// Run the image on real container hosts, each in a sandbox; needs root
#[derive(clap::Args)]
pub struct Arguments {
    /// Only this host (podman, say); may be given several times [default: all]
    #[arg(long = "host", value_name = "HOST", value_parser = parse)]
    hosts: Vec<&'static Host>,
    /// The hosts of this release of Debian (trixie or sid, say), installed once in target/e2e [default: what this
    /// machine has]
    #[arg(long, value_name = "NAME", value_parser = release::parse)]
    release: Option<String>,
}

/// What a sandbox is told.
#[derive(clap::Args)]
pub struct HostArguments {
    #[arg(value_parser = parse)]
    host: &'static Host,
    archive: PathBuf,
}

/// A container host.
#[derive(Debug)]
struct Host {
    name: &'static str,
    /// A program of each Debian package that the host needs, and the package.
    packages: &'static [(&'static str, &'static str)],
    /// The command that prints its version.
    version: &'static [&'static str],
    checks: fn(&mut Scene) -> Result<()>,
}

/// Every host, in the order in which they run.
static HOSTS: &[Host] =
    &[bundle::CRUN, bundle::RUNC, containerd::HOST, docker::HOST, podman::HOST, podman::ROOTLESS, registry::HOST];

/// What the image is called on every host.
const REFERENCE: &str = concat!("localhost/pause:", env!("CARGO_PKG_VERSION"));

/// Where OpenShift looks for the program. In the archives for air-gapped nodes it is there too.
const LINK: &str = "usr/bin/pod";

/// What a host must find to be true of the image.
struct Check {
    /// The sentence that is proven.
    name: &'static str,
    /// The stand-in of which it is not true.
    broken_by: Option<&'static Mutant>,
}

/// What came of a check.
#[derive(Serialize, Deserialize)]
struct Outcome {
    check: String,
    broken_by: Option<String>,
    /// What was seen instead, where it failed.
    failure: Option<String>,
}

/// What came of a host's checks.
#[derive(Serialize, Deserialize)]
struct Report {
    version: String,
    outcomes: Vec<Outcome>,
    notes: Vec<String>,
    /// Why they ended early, if they did.
    error: Option<String>,
}

/// What a host's checks have at hand.
struct Scene<'a> {
    /// In a folder that is the sandbox's own.
    shell: &'a Shell,
    /// The image under test, called [`REFERENCE`], as every host loads it.
    archive: &'a Path,
    /// What the next checks are about, where a host has several settings: it ends their names.
    setting: &'static str,
    outcomes: Vec<Outcome>,
    /// What was measured, in sentences.
    notes: Vec<String>,
}

impl Scene<'_> {
    /// Notes what came of a check.
    fn check(&mut self, check: &Check, result: Result<()>) {
        let failure = result.err().map(|error| format!("{error:#}"));
        let mark = if failure.is_none() { "ok" } else { "FAILED" };
        let name = format!("{}{}", check.name, self.setting);
        eprintln!("{mark}: {name}");
        let broken_by = check.broken_by.map(|mutant| mutant.name.into());
        self.outcomes.push(Outcome { check: name, broken_by, failure });
    }
}

/// Runs the command.
///
/// # Errors
/// Where the image fails a check, or a stand-in passes one that it should fail.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let hosts: Vec<&Host> = match arguments.hosts.as_slice() {
        [] => HOSTS.iter().collect(),
        hosts => hosts.to_vec(),
    };
    let root = match &arguments.release {
        Some(release) => release::root(shell, release)?,
        None => {
            for (program, package) in hosts.iter().flat_map(|host| host.packages).chain(common::PACKAGES) {
                install::ensure(shell, program, &[package], "run the image on real container hosts")?;
            }
            PathBuf::from("/")
        }
    };
    let platform = platform::native().context("pause is not built for this machine's architecture")?;
    let image = image(shell)?;
    let stand_ins = [stand_in(shell, platform, &mutant::NO_REAPING)?, stand_in(shell, platform, &mutant::DEAF)?];

    let mut complaints = Vec::new();
    let (mut rows, mut notes) = (Vec::new(), Vec::new());
    for host in hosts {
        let begin = Instant::now();
        eprintln!("\n{}: the image", host.name);
        let report = visit(shell, &root, host, &image)?;
        let failed = report.outcomes.iter().filter_map(|outcome| {
            let failure = outcome.failure.as_ref()?;
            Some(format!("{}: {}: {failure}", host.name, outcome.check))
        });
        let error = report.error.iter().map(|error| format!("{}: {error}", host.name));
        complaints.extend(failed.chain(error));
        if report.outcomes.is_empty() {
            complaints.push(format!("{}: nothing was checked", host.name));
        }
        let mut caught = 0;
        for (mutant, archive) in &stand_ins {
            eprintln!("\n{}: the stand-in that is wrong on purpose: {}", host.name, mutant.name);
            let wrong = judge(mutant, &visit(shell, &root, host, archive)?);
            caught += usize::from(wrong.is_empty());
            let name = |wrong| format!("{}, stand-in \"{}\": {wrong}", host.name, mutant.name);
            complaints.extend(wrong.into_iter().map(name));
        }
        notes.extend(report.notes.iter().map(|note| format!("{}: {note}", host.name)));
        let passed = report.outcomes.iter().filter(|outcome| outcome.failure.is_none()).count();
        rows.push([
            host.name.into(),
            report.version,
            format!("{passed} of {}", report.outcomes.len()),
            format!("{caught} of {}", stand_ins.len()),
            format!("{:.1}", begin.elapsed().as_secs_f64()),
        ]);
    }
    let heading = ["host", "version", "checks passed", "stand-ins caught", "seconds"].map(String::from);
    println!();
    for [host, version, passed, caught, seconds] in std::iter::once(heading).chain(rows) {
        println!("{host:<12} {version:<16} {passed:>13} {caught:>16} {seconds:>8}");
    }
    for note in notes {
        println!("{note}");
    }
    if !complaints.is_empty() {
        bail!("the image is not proven on every host:\n{}", complaints.join("\n"));
    }
    Ok(())
}

/// The archive of the image itself.
fn image(shell: &Shell) -> Result<PathBuf> {
    let binaries = build::build(shell, &PLATFORMS.iter().collect::<Vec<_>>())?;
    pack(shell, "pause", &binaries)
}

/// A mutant as an image, which is like pause's in all else.
fn stand_in(shell: &Shell, platform: &'static Platform, mutant: &'static Mutant) -> Result<(&'static Mutant, PathBuf)> {
    let path = mutant::build(shell, mutant)?;
    let size = path.metadata()?.len();
    Ok((mutant, pack(shell, &mutant.name.replace(' ', "-"), &[Binary { platform, path, size }])?))
}

/// Packs the image of these binaries, and an archive of each for air-gapped nodes. Returns the image's archive.
fn pack(shell: &Shell, name: &str, binaries: &[Binary]) -> Result<PathBuf> {
    let folder = shell.current_dir().join("target/e2e").join(name);
    image::pack(binaries, &Contents::named(REFERENCE), &folder)?;
    let contents = Contents { links: vec![LINK.into()], ..Contents::named(REFERENCE) };
    image::pack_each(binaries, &contents, &folder)?;
    Ok(folder.join("pause.oci.tar"))
}

/// Runs a host's checks in a sandbox with this root.
fn visit(shell: &Shell, root: &Path, host: &Host, archive: &Path) -> Result<Report> {
    let archive = archive.to_str().context("a path in UTF-8")?;
    let output = sandbox::read(shell, root, &["e2e-host", host.name, archive])?;
    serde_json::from_str(&output).with_context(|| format!("the checks of {} ended in the middle", host.name))
}

/// What is wrong with how a stand-in fared: it must fail the checks that it should break, and no others.
fn judge(mutant: &Mutant, report: &Report) -> Vec<String> {
    let mut wrong: Vec<String> = report.error.iter().cloned().collect();
    let mut broke_some = false;
    for Outcome { check, broken_by, failure } in &report.outcomes {
        let should_fail = broken_by.as_deref() == Some(mutant.name);
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

/// Runs a host's checks, in a sandbox, and writes the report to standard output.
///
/// # Errors
/// Where the report can't be written.
pub fn run_host(shell: &Shell, arguments: &HostArguments) -> Result<()> {
    std::env::set_current_dir("/tmp")?;
    shell.change_dir("/tmp");
    let mut scene = Scene { shell, archive: &arguments.archive, setting: "", outcomes: Vec::new(), notes: Vec::new() };
    let result = (arguments.host.checks)(&mut scene);
    let Scene { outcomes, notes, .. } = scene;
    let (program, rest) = arguments.host.version.split_first().context("a command")?;
    let version = read(shell.cmd(program).args(rest))?;
    let version = version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let version = version.context("a command that prints a version")?.trim_end_matches(',').to_owned();
    let report = Report { version, outcomes, notes, error: result.err().map(|error| format!("{error:#}")) };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Runs a command and prints it. Returns what it wrote to standard output.
fn read(command: Cmd) -> Result<String> {
    eprintln!("$ {command}");
    Ok(command.quiet().read()?)
}

/// Runs a command and prints it. Returns what it wrote to standard error.
fn read_errors(command: Cmd) -> Result<String> {
    eprintln!("$ {command}");
    Ok(command.quiet().read_stderr()?)
}

/// The host of that name; the parser of `--host`.
fn parse(name: &str) -> Result<&'static Host> {
    match HOSTS.iter().find(|host| host.name == name) {
        Some(host) => Ok(host),
        None => {
            let names: Vec<_> = HOSTS.iter().map(|host| host.name).collect();
            bail!("there is no such host; there are {}", names.join(", "))
        }
    }
}
