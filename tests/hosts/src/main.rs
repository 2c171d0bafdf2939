//! `cargo xtask hosts`: the image on real container hosts.
//!
//! Every host runs its checks three times, each time in a new sandbox: with the image, which must pass them all, and with
//! two negative controls, which must fail the checks that they break, and no others.

use ::hosts::debian::{self, Tree};
use ::hosts::host::{Findings, Host};
use ::hosts::hosts::{self, crio, readers};
use ::hosts::sandbox::{self, BindMounts};
use ::hosts::{cluster, images};
use anyhow::{Context, Result, bail, ensure};
use harness::wait;
use std::collections::BTreeMap;
use std::env::{args_os, current_exe};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use xshell::{Shell, cmd};
use xtask::command::UsageError;
use xtask::debian::parse_release;
use xtask::golden::Golden;
use xtask::prerequisites::Prerequisites;
use xtask::subcommands::main_of_subcommand;
use xtask::table::Table;
use xtask::{outln, parallel, platform, status};

#[derive(clap::Args)]
struct Arguments {
    /// Run only this host, such as podman; may be repeated [default: all]
    #[arg(long = "host", value_name = "HOST", value_parser = hosts::parse)]
    hosts: Vec<&'static Host>,
    /// Run the hosts of this release of Debian: bookworm, trixie or sid [default: this machine's]
    #[arg(long, value_name = "NAME", value_parser = parse_release)]
    debian: Option<String>,
    /// Directory of kube-apiserver, kube-controller-manager, kube-scheduler and kubelet, for `--host cluster`
    /// [default: in PATH]
    #[arg(long, value_name = "DIR", value_parser = directory)]
    kubernetes: Option<PathBuf>,
    /// Directory of crio and pinns, for `--host cri-o` [default: in PATH]
    #[arg(long, value_name = "DIR", value_parser = directory)]
    cri_o: Option<PathBuf>,
    /// Write the hosts' versions and numbers of checks to the golden tables
    #[arg(long)]
    bless: bool,
}

fn directory(path: &str) -> Result<PathBuf> {
    let path = std::path::absolute(path)?;
    ensure!(path.is_dir(), "not a directory");
    Ok(path)
}

/// The first argument of this program in a sandbox, and its path there. The names of a host and of a negative control,
/// the repository and an archive follow.
const WORKER: &str = "--worker";
const PROGRAM: &str = "/opt/hosts";

/// Seconds for anything that a host does. A negative control uses all of them.
const TIMEOUT: u64 = 10;

const COMMAND: &str = "cargo xtask hosts";

fn main() -> ExitCode {
    let words: Vec<_> = args_os().skip(1).collect();
    match &words[..] {
        [first, host, control, repository, archive] if first == WORKER => {
            let failed = work(host, control, repository.as_ref(), archive.as_ref()).err();
            failed.iter().for_each(|error| status!("error: {error:#}"));
            ExitCode::from(u8::from(failed.is_some()))
        }
        _ => main_of_subcommand("hosts", run),
    }
}

/// Runs a host's checks in this sandbox, and prints the findings as JSON.
fn work(host: &OsStr, control: &OsStr, repository: &Path, archive: &Path) -> Result<()> {
    let [host, control] = [host, control].map(|name| name.to_str().unwrap_or_default());
    let shell = Shell::new()?;
    // The directory that `cargo xtask image` makes, in the place that the pages use.
    let dist = archive.parent().context("a file in a directory")?;
    cmd!(shell, "cp --recursive {dist} dist").quiet().run()?;
    wait::set_timeout(TIMEOUT);
    let findings = hosts::parse(host)?.run_checks(&shell, repository, archive, control)?;
    outln!("{}", serde_json::to_string(&findings)?);
    Ok(())
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    platform::native()?;
    let release = arguments.debian.clone().unwrap_or_else(debian::default_release);
    let (hosts, skipped) = select(arguments, &release)?;
    let repository = shell.current_dir();
    let golden = |file: &str| Golden::read(&repository, file, COMMAND);
    let goldens = [golden("tests/hosts/hosts.txt")?, golden("tests/hosts/readers.txt")?];
    let is_chosen = |name: &str| hosts.iter().any(|host| host.name == name);
    let mut mounts: BindMounts = vec![(repository.clone(), repository.display().to_string())];
    mounts.push((current_exe()?, PROGRAM.into()));
    mounts.extend(hosts.iter().filter_map(|host| host.installed()));
    for (host, directory) in [(cluster::HOST, &arguments.kubernetes), (crio::HOST, &arguments.cri_o)] {
        let Some(programs) = host.programs else { continue };
        if is_chosen(host.name) {
            mounts.extend(programs.find(directory.as_deref())?);
        } else if directory.is_some() {
            bail!(UsageError(format!("{} is for --host {}", programs.option, host.name)));
        }
    }
    prerequisites(is_chosen).ensure_installed(shell)?;
    let tree = Tree::of(shell, &release)?;
    if is_chosen(readers::UDOCKER) {
        mounts.push(readers::udocker(shell)?);
    }
    let is_released = is_chosen("signing");
    let mut archives = BTreeMap::from([("", images::image(shell, is_released)?)]);
    for control in hosts.iter().flat_map(|host| host.controls) {
        if !archives.contains_key(control.name) {
            archives.insert(control.name, images::control(shell, control, is_released)?);
        }
    }

    let before = sandbox::machine_state(shell)?;
    let visits = hosts.iter().flat_map(|&host| {
        let controls = host.controls.iter().map(|control| control.name);
        [""].into_iter().chain(controls).map(move |control| (host, control))
    });
    let results = parallel::map(visits, parallel::processors(), |(host, control)| {
        let mut words: Vec<&OsStr> = [PROGRAM, WORKER, host.name, control].map(OsStr::new).into();
        words.extend([repository.as_os_str(), archives[control].as_os_str()]);
        let findings: Findings = serde_json::from_str(&sandbox::run(&tree.root, &mounts, &words)?)?;
        status!("{}, {}: {:.1} s", host.name, image_name(control), findings.seconds);
        anyhow::Ok((host, control, findings))
    });
    let results = results.into_iter().collect::<Result<Vec<_>>>()?;
    let mut failures = sandbox::changes(&before, &sandbox::machine_state(shell)?);

    let mut notes = Vec::new();
    let mut table = Table::new(["host", "version", "checks", "controls caught", "seconds"]);
    let mut rows = goldens.each_ref().map(|_| Vec::new());
    for results in results.chunk_by(|(one, ..), (other, ..)| one.name == other.name) {
        let (host, _, Findings { version, checks, skipped: reason, .. }) = &results[0];
        if let Some(reason) = reason {
            notes.push(format!("skipped: {}: {reason}", host.title));
            continue;
        }
        for (_, control, findings) in results {
            let name = |text: &String| format!("{}, {}: {text}", host.name, image_name(control));
            failures.extend(findings.failures.iter().map(name));
            notes.extend(findings.notes.iter().map(name));
        }
        let caught = results[1..].iter().filter(|(_, _, findings)| findings.failures.is_empty()).count();
        let (checks, caught) = (checks.to_string(), format!("{caught} of {}", host.controls.len()));
        let seconds: f64 = results.iter().map(|(_, _, findings)| findings.seconds).sum();
        table.push([host.name, version, &checks, &caught, &format!("{seconds:.0}")]);

        let which = table_of(host);
        let Table { headings, .. } = &goldens[which].table;
        let old = goldens[which].table.find(&[host.title]);
        let mut row = old.map_or_else(|| vec!["–".into(); headings.len()], <[String]>::to_vec);
        for (heading, cell) in headings.iter().zip(&mut row) {
            match heading.as_str() {
                "host" | "reader" => *cell = host.title.into(),
                "checks" => cell.clone_from(&checks),
                "controls" => cell.clone_from(&caught),
                heading if heading == release && arguments.bless => cell.clone_from(version),
                // A new version is not a failure.
                heading if heading == release && cell != version => {
                    notes.push(format!("{}: version {version}, not {cell}; --bless writes it", host.title));
                }
                _ => {}
            }
        }
        match arguments.bless {
            true => rows[which].push(row),
            false => failures.extend(goldens[which].check(&row, 1, row.len()).err().map(|error| error.to_string())),
        }
    }
    outln!("\n{table}");
    if skipped > 0 {
        outln!("{skipped} skipped");
    }
    notes.iter().for_each(|note| outln!("{note}"));
    ensure!(failures.is_empty(), "not every host takes the image:\n{}", failures.join("\n"));
    if arguments.bless {
        for (which, (golden, mut rows)) in goldens.into_iter().zip(rows).enumerate() {
            let titles = || hosts::all().filter(|host| table_of(host) == which).map(|host| host.title);
            if arguments.hosts.is_empty() {
                // The rows of hosts that this release or machine lacks stay.
                let is_skipped = |title: &str| rows.iter().all(|row: &Vec<String>| row[0] != title);
                let kept = titles().filter(|title| is_skipped(title)).filter_map(|title| golden.table.find(&[title]));
                rows.extend(kept.map(<[String]>::to_vec).collect::<Vec<_>>());
            }
            golden.bless(rows, 1, &Vec::from_iter(titles().map(|title| vec![title.into()])))?;
        }
    }
    Ok(())
}

/// The index of a host's table.
fn table_of(host: &Host) -> usize {
    usize::from(readers::READERS.iter().any(|reader| reader.name == host.name))
}

fn image_name(control: &str) -> &str {
    if control.is_empty() { "the image" } else { control }
}

/// Returns the hosts to run, and the number of those that the release lacks or that are not installed.
fn select(arguments: &Arguments, release: &str) -> Result<(Vec<&'static Host>, usize)> {
    let reason = |host: &Host| match host.reason_to_skip(release) {
        Some(reason) => Some(format!("{}: {release} {reason}", host.title)),
        None => Some(format!("{}: {}", host.title, host.missing()?)),
    };
    if let Some(reason) = arguments.hosts.iter().find_map(|host| reason(host)) {
        bail!(UsageError(format!("{reason}; another release may have it: see --debian")));
    }
    let is_chosen = |host: &&Host| match &arguments.hosts[..] {
        [] => host.programs.is_none(),
        chosen => chosen.iter().any(|other| other.name == host.name),
    };
    let (hosts, skipped): (Vec<_>, Vec<_>) = hosts::all().filter(is_chosen).partition(|host| reason(host).is_none());
    skipped.iter().filter_map(|host| reason(host)).for_each(|reason| status!("skipped: {reason}"));
    Ok((hosts, skipped.len()))
}

fn prerequisites(is_chosen: impl Fn(&str) -> bool) -> Prerequisites {
    let arguments = std::env::args().skip(1).map(|argument| format!(" {argument}")).collect::<String>();
    let mut prerequisites = Prerequisites::of(format!("{COMMAND}{arguments}"));
    prerequisites.root("isolate each host");
    prerequisites.file("debootstrap", "debootstrap", "install Debian in a directory");
    if ["registry", "signing"].into_iter().any(&is_chosen) {
        prerequisites.file("skopeo", "skopeo", "run `cargo xtask verify`");
    }
    if is_chosen(readers::UDOCKER) {
        prerequisites.file("/usr/share/doc/python3-venv", "python3-venv", "download udocker");
    }
    prerequisites
}
