//! `cargo xtask bench`: what the program costs, beside the floor and other programs for the same purpose.
//!
//! Everything is measured in one run, and the programs take turns.

mod chart;
mod measure;
mod process;
mod report;

pub use process::{OrphansArguments, run_orphans};

use crate::{build, floor, install, platform};
use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use measure::{MEASUREMENTS, Measurement, Row};
use object::Object;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use xshell::Shell;

/// Measure what the program costs, beside the floor and other init programs
///
/// The floor is the same contract in assembly: what a perfect compiler would make of it. Wants root, for PID
/// namespaces.
#[derive(clap::Args)]
pub struct Arguments {
    /// Measure this pause program too; may be given several times
    #[arg(long, value_name = "PATH", value_parser = crate::test::existing_file)]
    against: Vec<PathBuf>,
    /// Install the Debian packages of the other init programs first
    #[arg(long)]
    install: bool,
    /// Write the numbers as JSON, to standard output if FILE is -
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the README's chart
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A program that is measured.
#[derive(Clone)]
pub struct Program {
    /// What it is called.
    name: String,
    path: PathBuf,
    /// What makes it the PID 1 of a container.
    arguments: Vec<String>,
    /// What makes it print its version and exit.
    version: &'static str,
    /// How many children it needs to have.
    own_children: usize,
    /// Whether the kernel shows when it is ready to handle signals.
    shows_handlers: bool,
    /// What else one should know.
    notes: Vec<&'static str>,
}

impl Program {
    /// A pause program.
    fn drop_in(name: &str, path: PathBuf) -> Self {
        Self {
            name: name.into(),
            path,
            arguments: Vec::new(),
            version: "-v",
            own_children: 0,
            shows_handlers: true,
            notes: Vec::new(),
        }
    }
}

/// An init program that Debian packages.
struct Packaged {
    package: &'static str,
    path: &'static str,
    arguments: &'static [&'static str],
    version: &'static str,
    /// Whether it takes a command, which is its child.
    takes_command: bool,
    /// Whether the kernel shows when it is ready to handle signals: not of a program that is in sigtimedwait.
    shows_handlers: bool,
}

static PACKAGED: [Packaged; 3] = [
    Packaged {
        package: "catatonit",
        path: "/usr/bin/catatonit",
        arguments: &["-P"],
        version: "-V",
        takes_command: false,
        shows_handlers: true,
    },
    Packaged {
        package: "tini",
        path: "/usr/bin/tini-static",
        arguments: &["--"],
        version: "--version",
        takes_command: true,
        shows_handlers: false,
    },
    Packaged {
        package: "dumb-init",
        path: "/usr/bin/dumb-init",
        arguments: &["--"],
        version: "--version",
        takes_command: true,
        shows_handlers: true,
    },
];

/// What was measured of a program, by the key of a row.
#[derive(Default)]
pub struct Samples {
    values: BTreeMap<&'static str, Vec<f64>>,
    /// Why something could not be measured.
    errors: BTreeSet<String>,
}

impl Samples {
    fn add(&mut self, key: &'static str, value: f64) {
        self.values.entry(key).or_default().push(value);
    }

    /// The value of a row.
    fn value(&self, row: &Row) -> Option<f64> {
        self.values.get(row.key).map(|samples| row.statistic.of(samples))
    }
}

/// Runs the command.
///
/// # Errors
/// Where the program or the floor can't be measured.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    ensure!(install::is_root(), "the programs are measured as PID 1 of new namespaces; run this as root");
    let (programs, missing) = programs(shell, arguments)?;
    let mut samples: Vec<_> = programs.iter().map(|_| Samples::default()).collect();
    let progress = build::progress(MEASUREMENTS.iter().map(|measurement| measurement.rounds as u64).sum());
    for measurement in MEASUREMENTS {
        progress.set_message(measurement.name);
        take(measurement, &programs, &mut samples, &progress);
    }
    progress.finish_and_clear();

    let report = report::Report { programs: &programs, samples: &samples, missing: &missing };
    if let Some(path) = &arguments.svg {
        let chart = chart::draw(&report).into_bytes();
        build::replace(&shell.current_dir().join(path), &chart, 0o644)
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    match &arguments.json {
        Some(path) if path.as_os_str() == "-" => println!("{}", report.json()?),
        path => {
            report.print();
            if let Some(path) = path {
                build::replace(&shell.current_dir().join(path), report.json()?.as_bytes(), 0o644)
                    .with_context(|| format!("can't write {}", path.display()))?;
            }
        }
    }
    ensure!(samples[0].errors.is_empty(), "not everything could be measured: {:?}", samples[0].errors);
    Ok(())
}

/// Holds the program to its budgets: how many times what the floor takes it may take.
///
/// # Errors
/// Where it takes more, or this machine can't run the floor.
pub fn compare_with_floor(shell: &Shell, floor: PathBuf) -> Result<()> {
    let native = platform::native().context("pause has no port for this machine")?;
    let pause = build::build(shell, &[native])?.remove(0).path;
    let measure = |program: Program| -> Result<_> {
        Ok([std::fs::metadata(&program.path)?.len(), process::trace(&program)?.instructions])
    };
    let (pause, floor) = (measure(Program::drop_in("pause", pause))?, measure(Program::drop_in("floor", floor))?);
    let budgets = [("bytes", 1.15), ("instructions to the last handler", 1.05)];
    for ((pause, floor), (what, budget)) in pause.into_iter().zip(floor).zip(budgets) {
        let ratio = pause as f64 / floor as f64;
        println!("{pause} {what}, {ratio:.2} times the floor's {floor}; the budget is {budget:.2} times");
        ensure!(ratio <= budget, "the program is over its budget of {what}");
    }
    Ok(())
}

/// What is measured, the program first; and what is not, with the reason.
fn programs(shell: &Shell, arguments: &Arguments) -> Result<(Vec<Program>, Vec<String>)> {
    let native = platform::native().context("pause has no port for this machine, so there is nothing to measure")?;
    let pause = build::build(shell, &[native])?.remove(0).path;
    let mut programs = vec![Program::drop_in("pause", pause.clone())];
    let mut missing = Vec::new();
    if floor::is_native() {
        programs.push(Program::drop_in("floor", floor::build(shell)?));
    } else {
        missing.push("floor: written for x86-64, which this machine is not".into());
    }
    for path in &arguments.against {
        let name = path.file_name().context("a file has a name")?.to_string_lossy();
        programs.push(Program::drop_in(&name, path.clone()));
    }
    for packaged in &PACKAGED {
        let package = packaged.package;
        if arguments.install {
            install::ensure(shell, packaged.path, &[package], "measure it too")?;
        }
        if !install::exists(packaged.path) {
            missing.push(format!("{package}: not installed; --install does that"));
            continue;
        }
        let mut arguments: Vec<String> = packaged.arguments.iter().map(|&argument| argument.into()).collect();
        if packaged.takes_command {
            arguments.push(pause.to_str().context("a path in UTF-8")?.into());
        }
        let mut notes = Vec::new();
        if packaged.takes_command {
            notes.push("has to have a child, here pause, which is not counted");
        }
        if is_dynamic(packaged.path)? {
            notes.push("needs a C library beside it, which the sizes do not include");
        }
        programs.push(Program {
            name: package.into(),
            path: packaged.path.into(),
            arguments,
            version: packaged.version,
            own_children: packaged.takes_command.into(),
            shows_handlers: packaged.shows_handlers,
            notes,
        });
    }
    Ok((programs, missing))
}

/// Whether a program takes functions from libraries.
fn is_dynamic(path: &str) -> Result<bool> {
    let content = std::fs::read(path)?;
    Ok(object::File::parse(content.as_slice())?.imports()?.next().is_some())
}

/// Takes one measurement of every program. A program that fails in a round is left out of the next.
fn take(measurement: &Measurement, programs: &[Program], samples: &mut [Samples], progress: &ProgressBar) {
    if measurement.rounds > 1 {
        // This one does not count: it runs in what the measurement before has left behind.
        let mut discarded: Vec<_> = programs.iter().map(|_| Samples::default()).collect();
        take_round(measurement, programs.iter().zip(&mut discarded));
    }
    for round in 0..measurement.rounds {
        // Another program is first each time, for the same reason.
        let mut pairs: Vec<_> = programs.iter().zip(samples.iter_mut()).collect();
        pairs.rotate_left(round % programs.len());
        take_round(measurement, pairs.into_iter());
        progress.inc(1);
    }
}

/// Takes one measurement of every program once.
fn take_round<'a>(measurement: &Measurement, pairs: impl Iterator<Item = (&'a Program, &'a mut Samples)>) {
    let take = |program: &Program, samples: &mut Samples| {
        let what = format!("{}: ", measurement.name);
        if samples.errors.iter().any(|error| error.starts_with(&what)) {
            return;
        }
        if let Err(error) = (measurement.run)(program, samples) {
            samples.errors.insert(format!("{what}{error:#}"));
        }
    };
    if measurement.parallel {
        thread::scope(|scope| {
            for (program, samples) in pairs {
                scope.spawn(|| take(program, samples));
            }
        });
    } else {
        pairs.for_each(|(program, samples)| take(program, samples));
    }
}
