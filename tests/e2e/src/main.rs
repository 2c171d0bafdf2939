//! `cargo xtask e2e`: the image on real container hosts.
//!
//! Every host runs its checks three times, each time in a sandbox of its own: with the image, which must pass
//! them all, and with two stand-ins that are wrong on purpose, which must fail those that they should break
//! and no others.

use anyhow::{Result, bail, ensure};
use e2e::debian::{self, Tree};
use e2e::golden::{Golden, Row};
use e2e::host::Host;
use e2e::hosts::{self, HOSTS, READERS, cluster, readers, registry, signing};
use e2e::visit::{self, visit};
use e2e::{images, sandbox};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use xshell::Shell;
use xtask::command::{Misuse, main_of_proof};
use xtask::debian::parse_release;
use xtask::needs::Needs;
use xtask::table::Table;
use xtask::test::existing_file;
use xtask::{note, platform, say};

#[derive(clap::Args)]
struct Arguments {
    /// Only this host (podman, say); may be given several times [default: all]
    #[arg(long = "host", value_name = "HOST", value_parser = hosts::parse)]
    hosts: Vec<&'static Host>,
    /// Run the hosts of this release of Debian: bookworm, trixie or sid [default: this machine's]
    #[arg(long, value_name = "NAME", value_parser = parse_release)]
    release: Option<String>,
    /// Where Kubernetes' kube-apiserver, kube-controller-manager, kube-scheduler and kubelet are, for `--host cluster`
    /// [default: in PATH]
    #[arg(long, value_name = "DIR", value_parser = folder)]
    kubernetes: Option<PathBuf>,
    /// Measure this pause program too, for `--host cluster`
    #[arg(long, value_name = "PATH", value_parser = existing_file)]
    against: Option<PathBuf>,
    /// Take the hosts' versions and how many checks they have, as they are now, for right; with --against, what was
    /// measured, too
    #[arg(long)]
    bless: bool,
}

/// What `--kubernetes` accepts.
fn folder(path: &str) -> Result<PathBuf> {
    let path = std::path::absolute(path)?;
    ensure!(path.is_dir(), "there is no such directory");
    Ok(path)
}

fn main() -> ExitCode {
    // Before anything starts a thread: a process with more than one can't leave its namespaces.
    sandbox::run_if_asked();
    visit::run_if_asked();
    main_of_proof("e2e", run)
}

/// Runs the command.
fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    platform::native()?;
    let release = arguments.release.clone().unwrap_or_else(debian::default_release);
    let (hosts, skipped) = select(arguments, &release)?;
    let golden = |file| Golden::read(shell, file, &release, arguments.bless);
    let goldens = [golden("tests/e2e/hosts.txt")?, golden("tests/e2e/readers.txt")?];
    let mut shown = shown(arguments, &hosts)?;
    needs(arguments, &hosts).provide(shell)?;
    let tree = Tree::of(shell, &release)?;
    if is_among(&hosts, &cluster::HOST) {
        shown.push(cluster::build(&shell.current_dir())?);
    }
    if hosts.iter().any(|host| host.name == readers::UDOCKER) {
        shown.push(readers::udocker(shell)?);
    }
    shown.extend(hosts.iter().flat_map(|host| host.installed()));
    let image = images::image(shell)?;
    let mut stand_ins = BTreeMap::new();
    for mutant in hosts.iter().flat_map(|host| host.stand_ins) {
        if !stand_ins.contains_key(mutant.name) {
            stand_ins.insert(mutant.name, images::stand_in(shell, mutant)?);
        }
    }

    let (mut rows, mut wrong, mut notes, mut measured) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut table = Table::new(["host", "version", "checks passed", "stand-ins caught", "seconds"]);
    for host in hosts {
        let begin = Instant::now();
        note!("\n{}: the image", host.name);
        let findings = visit(shell, &tree.root, &shown, host, &image)?;
        wrong.extend(findings.judge_image().iter().map(|what| format!("{}: {what}", host.name)));
        let mut caught = 0;
        for mutant in host.stand_ins {
            note!("\n{}: the stand-in that is wrong on purpose: {}", host.name, mutant.name);
            let escapes = visit(shell, &tree.root, &shown, host, &stand_ins[mutant.name])?.judge_stand_in(mutant);
            caught += usize::from(escapes.is_empty());
            wrong.extend(escapes.iter().map(|what| format!("{}, stand-in \"{}\": {what}", host.name, mutant.name)));
        }
        notes.extend(findings.notes.iter().map(|note| format!("{}: {note}", host.name)));
        let passed = findings.verdicts.iter().filter(|verdict| verdict.failure.is_none()).count();
        let (version, checks) = (findings.version, findings.verdicts.len());
        let stand_ins = format!("{caught} of {}", host.stand_ins.len());
        let seconds = format!("{:.1}", begin.elapsed().as_secs_f64());
        if host.name == cluster::HOST.name {
            let mut figures = findings.figures;
            figures.push(vec!["the run, with both stand-ins, s".into(), seconds.clone()]);
            measured.push((cluster::FIGURES, cluster::table(&figures)));
        }
        table.push([host.name, &version, &format!("{passed} of {checks}"), &stand_ins, &seconds]);
        rows.push(Row { host, version, checks, stand_ins });
    }

    say!("\n{table}");
    if skipped > 0 {
        say!("{skipped} skipped");
    }
    measured.iter().for_each(|(_, table)| say!("\n{table}"));
    let (readers, hosts): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| hosts::is_reader(row.host));
    let goldens = goldens.into_iter().zip([hosts, readers]).collect::<Vec<_>>();
    for (golden, rows) in goldens.iter().filter(|_| !arguments.bless) {
        let (differences, news) = golden.compare(rows);
        wrong.extend(differences);
        notes.extend(news);
    }
    notes.iter().for_each(|note| say!("{note}"));
    if !wrong.is_empty() {
        bail!("the image is not proven on every host:\n{}", wrong.join("\n"));
    }
    if arguments.bless {
        goldens.into_iter().try_for_each(|(golden, rows)| golden.bless(&rows, hosts::all()))?;
        if arguments.against.is_some() {
            measured.iter().try_for_each(|(file, table)| table.write(&shell.current_dir().join(file)))?;
        }
    }
    Ok(())
}

/// The hosts that are to be run, as far as the release has them and somebody has installed what no release has; and how
/// many are not.
fn select(arguments: &Arguments, release: &str) -> Result<(Vec<&'static Host>, usize)> {
    let absent = |host: &Host| Some(format!("{release} {}", host.reason_to_skip(release)?));
    let chosen = &arguments.hosts;
    for host in chosen {
        if let Some(reason) = absent(host) {
            let other = ["trixie", "sid"].into_iter().find(|release| host.reason_to_skip(release).is_none());
            let advice =
                other.map(|release| format!("; another release does: --release {release}")).unwrap_or_default();
            bail!(Misuse(format!("{}: {reason}{advice}", host.title)));
        }
        if let Some(reason) = host.missing_crate() {
            bail!(Misuse(format!("{}: {reason}", host.title)));
        }
    }
    let wanted = if chosen.is_empty() { HOSTS.iter().chain(READERS).collect() } else { chosen.clone() };
    let (mut hosts, mut skipped) = (Vec::new(), 0);
    for host in hosts::all().filter(|host| is_among(&wanted, host)) {
        match absent(host).or_else(|| host.missing_crate()) {
            None => hosts.push(host),
            Some(reason) => {
                note!("skipped: {}: {reason}", host.title);
                skipped += 1;
            }
        }
    }
    Ok((hosts, skipped))
}

fn is_among(hosts: &[&Host], host: &Host) -> bool {
    hosts.iter().any(|other| other.name == host.name)
}

/// What sandboxes are shown: the programs that hosts take and Debian has not.
fn shown(arguments: &Arguments, hosts: &[&Host]) -> Result<Vec<(PathBuf, String)>> {
    let Arguments { kubernetes, against, .. } = arguments;
    if is_among(hosts, &cluster::HOST) {
        return cluster::shown(kubernetes.as_deref(), against.as_deref());
    }
    for (option, path) in [("--kubernetes", kubernetes), ("--against", against)] {
        if path.is_some() {
            bail!(Misuse(format!("{option} is for --host {}", cluster::HOST.name)));
        }
    }
    Ok(Vec::new())
}

/// What the command needs, all of it.
fn needs(arguments: &Arguments, hosts: &[&Host]) -> Needs {
    let mut command = String::from("cargo xtask e2e");
    arguments.hosts.iter().for_each(|host| command += &format!(" --host {}", host.name));
    arguments.release.iter().for_each(|release| command += &format!(" --release {release}"));
    for (option, path) in [("--kubernetes", &arguments.kubernetes), ("--against", &arguments.against)] {
        path.iter().for_each(|path| command += &format!(" {option} {}", path.display()));
    }
    if arguments.bless {
        command += " --bless";
    }
    let mut needs = Needs::of(command);
    needs.root("isolate each host");
    debian::add_needs(&mut needs);
    if is_among(hosts, &registry::HOST) || is_among(hosts, &signing::HOST) {
        needs.file("skopeo", "skopeo", "run `cargo xtask verify`");
    }
    needs
}
