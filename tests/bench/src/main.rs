//! `cargo xtask bench`: the costs of the program, next to the assembly baseline and other init programs.

mod baseline;
mod cgroup;
mod chart;
mod contender;
mod measure;
mod trace;

use anyhow::{Result, bail, ensure};
use contender::Contender;
use harness::orphan_spawner;
use measure::{MEASUREMENTS, Measurement, Unit};
use std::path::PathBuf;
use std::process::ExitCode;
use xshell::Shell;
use xtask::command::UsageError;
use xtask::golden::Golden;
use xtask::prerequisites::Prerequisites;
use xtask::table::Table;
use xtask::{outln, output, status, subcommands, test};

/// Measure what the program costs, next to an assembly baseline and other init programs
///
/// The baseline is the same contract in hand-written assembly. Needs root for namespaces and cgroups.
#[derive(clap::Args)]
struct Arguments {
    /// Also measure this pause program; may be repeated
    #[arg(long, value_name = "PATH", value_parser = test::existing_file)]
    against: Vec<PathBuf>,
    /// Install the Debian packages of the other init programs first
    #[arg(long)]
    install: bool,
    /// Write the table and the chart that the documents show; needs upstream's program, built with glibc and with
    /// musl, as --against PATH/upstream-glibc --against PATH/upstream-musl
    #[arg(long)]
    bless: bool,
    /// Only build the baseline into target/baseline, and check the program's budgets relative to it
    #[arg(long, conflicts_with_all = ["against", "install", "bless"])]
    check: bool,
}

const COSTS: &str = "tests/bench/costs.txt";
const CHART: &str = "tests/bench/cost.svg";

/// Programs in the documents' table, in the order of its columns.
const COLUMNS: [&str; 7] = ["pause", "baseline", "upstream-glibc", "upstream-musl", "catatonit", "tini", "dumb-init"];

/// The results of each program for a row of the table; `None` if there is none.
type Values = Vec<Option<f64>>;

fn main() -> ExitCode {
    orphan_spawner::run_if_asked();
    subcommands::main_of_subcommand("bench", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return baseline::check(shell);
    }
    let mut prerequisites = Prerequisites::of("cargo xtask bench");
    prerequisites.root("measure in namespaces and cgroups");
    if arguments.install {
        for (package, path, ..) in contender::PACKAGED {
            prerequisites.file(path, package, "measure it too");
        }
    }
    prerequisites.ensure_installed(shell)?;
    let contenders = contender::all(shell, &arguments.against)?;
    let names: Vec<_> = contenders.iter().map(|contender| contender.program.name.as_str()).collect();
    if arguments.bless && names != COLUMNS {
        let [measured, needed] = [&names[..], &COLUMNS].map(|names| names.join(", "));
        bail!(UsageError(format!("--bless needs these programs: {needed}; given are {measured}")));
    }

    let mut table = Table::new([&["measurement"], &names[..]].concat());
    let mut rows = Vec::new();
    let mut errors = 0;
    for measurement in MEASUREMENTS {
        status!("measuring {}", measurement.2[0].0);
        for (&(name, unit), values) in measurement.2.iter().zip(take(measurement, &contenders, &mut errors)) {
            table.push([name.to_owned()].into_iter().chain(cells(unit, &values)));
            rows.push((name, values));
        }
    }
    outln!("{table}");
    ensure!(errors == 0, "{errors} measurements failed");
    if arguments.bless {
        let repository = shell.current_dir();
        let mut golden = Golden::read(&repository, COSTS, "cargo xtask bench")?;
        golden.table.headings = table.headings;
        let order: Vec<_> = rows.iter().map(|(name, _)| vec![name.to_string()]).collect();
        golden.bless(table.rows, 1, &order)?;
        output::replace(&repository.join(CHART), chart::draw(&rows).as_bytes())?;
    }
    Ok(())
}

/// Takes one measurement of every program. Returns a list of values per row.
fn take(&(rounds, run, rows): &Measurement, contenders: &[Contender], errors: &mut usize) -> Vec<Values> {
    let count = contenders.len();
    // `None` after an error.
    let mut samples: Vec<Option<Vec<Values>>> = vec![Some(Vec::new()); count];
    // The first of several rounds doesn't count: it runs in the state that the previous measurement left.
    let ignored = usize::from(rounds > 1);
    for round in 0..rounds + ignored {
        // Each program is first in turn, and runs after different ones.
        let mut order: Vec<_> = (0..count).map(|place| (place + round) % count).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let Some(taken) = &mut samples[index] else { continue };
            match run(&contenders[index]) {
                Ok(values) if round >= ignored => taken.push(values),
                Ok(_) => {}
                Err(error) => {
                    status!("{}: {}: {error:#}", contenders[index].program.name, rows[0].0);
                    samples[index] = None;
                    *errors += 1;
                }
            }
        }
    }
    let summarize = |row: usize, unit: Unit| {
        let values = |taken: &Option<Vec<Values>>| taken.iter().flatten().filter_map(|values| values[row]).collect();
        samples.iter().map(|taken| unit.summarize(values(taken))).collect()
    };
    rows.iter().enumerate().map(|(row, &(_, unit))| summarize(row, unit)).collect()
}

/// A row's cells. A time on one machine means little on another, so other programs' times are multiples of the first's.
fn cells(unit: Unit, values: &[Option<f64>]) -> impl Iterator<Item = String> {
    values.iter().enumerate().map(move |(index, value)| match (unit, value, values[0]) {
        (_, None, _) => "–".into(),
        (Unit::Nanoseconds, Some(value), Some(first)) if index > 0 => format!("{:.2}×", value / first),
        (Unit::Nanoseconds, Some(value), _) => format!("{:.1} µs", value / 1e3),
        (_, Some(value), _) => thousands(value.round() as u64),
    })
}

fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}
