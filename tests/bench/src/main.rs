//! `cargo xtask bench`: what the program costs, beside the floor and other programs for the same purpose.
//!
//! Everything is measured in one run, and the programs take turns.

mod budgets;
mod cgroup;
mod chart;
mod contender;
mod measure;
mod results;
mod trace;

use anyhow::{Result, ensure};
use clap::builder::{PathBufValueParser, TypedValueParser};
use contender::Contender;
use harness::assistant;
use measure::{MEASUREMENTS, Measurement};
use results::{Results, Samples};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use xshell::Shell;
use xtask::needs::Needs;
use xtask::progress::Progress;
use xtask::{command, output, say};

/// Measure what the program costs, beside the floor and other init programs
///
/// The floor is the same contract in assembly: what a perfect compiler would make of it. Wants root, for namespaces
/// and cgroups.
#[derive(clap::Args)]
struct Arguments {
    /// Measure this pause program too, by its file's name; may be given several times
    #[arg(long, value_name = "PATH", value_parser = contender::program)]
    against: Vec<PathBuf>,
    /// Install the Debian packages of the other init programs first
    #[arg(long)]
    install: bool,
    /// Write the numbers as JSON, to standard output if FILE is -
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(json_destination))]
    json: Option<PathBuf>,
    /// Write a chart of the sizes and of what 200 pods take
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(output::destination))]
    svg: Option<PathBuf>,
    /// Take the numbers, as they are now, for those that the documents show, and draw their chart; wants upstream's
    /// program too, as --against PATH/upstream
    #[arg(long)]
    bless: bool,
    /// Only hold the program to its budgets in multiples of the floor
    #[arg(long, conflicts_with_all = ["against", "install", "json", "svg", "bless"])]
    floor: bool,
}

/// The numbers that the documents show, relative to the repository.
const COSTS: &str = "tests/bench/costs.txt";

/// Their chart.
const CHART: &str = "tests/bench/cost.svg";

/// Instead of a file: standard output.
const STANDARD: &str = "-";

/// What `--json` accepts.
fn json_destination(path: PathBuf) -> Result<PathBuf> {
    if path.as_os_str() == STANDARD { Ok(path) } else { output::destination(path) }
}

fn main() -> ExitCode {
    assistant::run_if_asked();
    command::main_of_proof("bench", run)
}

/// Runs the command.
fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    if arguments.floor {
        return budgets::check(shell);
    }
    let mut needs = Needs::of("cargo xtask bench");
    needs.root("measure in namespaces and cgroups");
    if arguments.install {
        contender::need_packages(&mut needs);
    }
    needs.provide(shell)?;
    let (contenders, mut missing) = contender::all(shell, &arguments.against)?;
    let mut measurements = Vec::new();
    for measurement in MEASUREMENTS {
        match (measurement.prepare)() {
            Ok(()) => measurements.push(measurement),
            Err(error) => missing.push(format!("{}: {error:#}", measurement.name)),
        }
    }
    if arguments.bless {
        results::check_columns(&contenders, &missing)?;
    }

    let mut samples: Vec<_> = contenders.iter().map(|_| Samples::default()).collect();
    let progress = Progress::new(measurements.len());
    for measurement in measurements {
        progress.step(format_args!("measuring {}", measurement.name));
        take(measurement, &contenders, &mut samples);
    }
    drop(progress);

    publish(shell, arguments, &Results { contenders: &contenders, samples: &samples, missing: &missing })
}

/// Shows the results, and writes them wherever they are wanted. What can't be written does not hide the rest.
fn publish(shell: &Shell, arguments: &Arguments, results: &Results) -> Result<()> {
    let mut files = Vec::new();
    match &arguments.json {
        Some(path) if path.as_os_str() == STANDARD => say!("{}", results.json()?),
        path => {
            say!("\n{results}");
            if let Some(path) = path {
                files.push((path.clone(), results.json()?));
            }
        }
    }
    files.extend(arguments.svg.as_ref().map(|path| (path.clone(), chart::draw(results))));
    let mut errors = results.errors();
    if arguments.bless {
        if errors.is_empty() {
            files.push((shell.current_dir().join(COSTS), format!("{}\n", results.costs()?)));
            files.push((shell.current_dir().join(CHART), chart::draw(results)));
        } else {
            errors.push("nothing is blessed".into());
        }
    }
    let written = files.iter().map(|(path, content)| output::replace(path, content.as_bytes()));
    errors.extend(written.filter_map(|written| Some(format!("{:#}", written.err()?))));
    ensure!(errors.is_empty(), "{}", errors.join("; "));
    Ok(())
}

/// Takes one measurement of every program. A program that fails in a round is left out of the next.
fn take(measurement: &Measurement, contenders: &[Contender], samples: &mut [Samples]) {
    if measurement.rounds > 1 {
        // This one does not count: it runs in what the measurement before has left behind.
        let mut discarded: Vec<_> = contenders.iter().map(|_| Samples::default()).collect();
        take_round(measurement, contenders.iter().zip(&mut discarded));
    }
    for round in 0..measurement.rounds {
        let mut pairs: Vec<_> = contenders.iter().zip(samples.iter_mut()).map(Some).collect();
        take_round(measurement, order(round, contenders.len()).filter_map(|index| pairs[index].take()));
    }
}

/// The order of a round. Every program is first in turn and, where their number is even, comes after each of the others
/// equally often, for it runs in what that one has left behind: a Latin square as Williams has it.
fn order(round: usize, programs: usize) -> impl Iterator<Item = usize> {
    let offset = move |place: usize| if place % 2 == 1 { place.div_ceil(2) } else { programs - place / 2 };
    (0..programs).map(move |place| (round + offset(place)) % programs)
}

/// Takes one measurement of every program once.
fn take_round<'a>(measurement: &Measurement, pairs: impl Iterator<Item = (&'a Contender, &'a mut Samples)>) {
    let take = |contender: &Contender, samples: &mut Samples| {
        let what = format!("{}: ", measurement.name);
        if samples.errors.iter().any(|error| error.starts_with(&what)) {
            return;
        }
        if let Err(error) = (measurement.run)(contender, samples) {
            samples.errors.insert(format!("{what}{error:#}"));
        }
    };
    if measurement.parallel {
        thread::scope(|scope| {
            for (contender, samples) in pairs {
                scope.spawn(|| take(contender, samples));
            }
        });
    } else {
        pairs.for_each(|(contender, samples)| take(contender, samples));
    }
}

#[cfg(test)]
mod tests {
    use super::order;
    use std::collections::BTreeMap;

    #[test]
    fn every_program_comes_after_every_other_equally_often() {
        let mut pairs = BTreeMap::new();
        for round in 0..6 {
            let order: Vec<_> = order(round, 6).collect();
            order.windows(2).for_each(|pair| *pairs.entry([pair[0], pair[1]]).or_insert(0) += 1);
        }
        assert_eq!(pairs.len(), 6 * 5);
        assert!(pairs.into_values().all(|times| times == 1));
        let mut odd: Vec<_> = order(1, 3).collect();
        odd.sort();
        assert_eq!(odd, [0, 1, 2]);
    }
}
