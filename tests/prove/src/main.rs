//! `cargo xtask prove`: proves that each platform's machine code keeps the contract. `prove.py` does that, with angr in a
//! virtual environment of its own. SPIN then checks the model of the signals, whose steps are facts of that proof.

mod model;
mod mutants;

use anyhow::{Context, Result, ensure};
use contract::{INTERRUPT, TERMINATED, VERSION, WARNING};
use mutants::Program;
use object::Object;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use xshell::{Shell, cmd};
use xtask::command::UsageError;
use xtask::digest::sha256;
use xtask::golden::Golden;
use xtask::image::golden::are_golden;
use xtask::output::provide;
use xtask::platform::{PLATFORMS, Platform, Selection};
use xtask::prerequisites::Prerequisites;
use xtask::{outln, parallel, status, subcommands};

const GOLDEN: &str = "tests/prove/prove.txt";
const EQUIVALENT: &str = "tests/prove/equivalent.txt";
const REQUIREMENTS: &str = "tests/prove/requirements.txt";
const PROVED: &str = "proved";
const REFUSED: &str = "refused";
const UNDECIDED: &str = "undecided";
const VEX: &str = "VEX";
/// Number of columns that name a row: the platform and the engine.
const KEY: usize = 2;
/// The first column that counts mutants.
const MUTANTS: usize = 6;

#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Number of mutants of the machine code that the proof must refuse; more than there are means all
    #[arg(long, value_name = "N", default_value_t = 0)]
    mutants: usize,
    /// Print why each mutant is refused
    #[arg(long)]
    verbose: bool,
    /// Write the table to the golden file; needs all mutants, which the table counts
    #[arg(long)]
    bless: bool,
}

fn main() -> ExitCode {
    subcommands::main_of_subcommand("prove", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let golden = Golden::read(&shell.current_dir(), GOLDEN, "cargo xtask prove")?;
    let mut prerequisites = Prerequisites::of("cargo xtask prove");
    prerequisites.file("/usr/share/doc/python3-venv", "python3-venv", "prove the machine code");
    model::add_needs(&mut prerequisites);
    prerequisites.ensure_installed(shell)?;
    let platforms = prove::distinct(&arguments.selection);
    let python = python(shell)?;
    let programs = platforms.iter().map(|platform| program(shell, platform)).collect::<Result<Vec<_>>>()?;
    let equivalent = shell.read_file(EQUIVALENT)?;
    let equivalent: BTreeMap<_, _> = equivalent.lines().filter_map(|line| line.split_once(": ")).collect();
    let (mut table, mut failures, mut mutants) = (golden.table.clone(), Vec::new(), Vec::new());
    table.rows.clear();
    for (program, outcomes) in programs.iter().zip(prove(&python, &programs)?) {
        for Outcome { engine, name, reason, counts, instructions } in outcomes {
            if name != PROVED {
                failures.push(format!("{} {engine} is {name}: {reason}", program.name));
                continue;
            }
            // The other engine would try the same ones.
            let new = if engine == VEX { program.mutants(&instructions) } else { Vec::new() };
            let count =
                |is_known| new.iter().filter(|mutant| equivalent.contains_key(&*mutant.name) == is_known).count();
            let counts = counts.into_iter().chain([count(false), count(true)]).map(|count| count.to_string());
            table.rows.push([program.name.clone(), engine.into()].into_iter().chain(counts).collect());
            mutants.extend(new);
        }
    }
    outln!("{table}");
    let is_of = |name: &str| programs.iter().any(|program| name.split(' ').next() == Some(&program.name));
    let stale = equivalent.keys().filter(|name| is_of(name) && mutants.iter().all(|mutant| mutant.name != **name));
    failures.extend(stale.map(|name| format!("{EQUIVALENT} has {name}, which isn't a mutant")));
    // A sample has some of each kind.
    mutants.sort_by_cached_key(|mutant| sha256(mutant.name.as_bytes()));
    mutants.truncate(arguments.mutants);
    for (mutant, outcomes) in mutants.iter().zip(prove(&python, &mutants)?) {
        let Outcome { engine, name, reason, .. } = outcomes.last().context("no engine knows the processor")?;
        let expected = equivalent.get(&*mutant.name);
        let reason = expected.filter(|_| name == PROVED).map_or(&**reason, |reason| reason);
        let message = format!("the mutant {} is {name} with {engine}: {reason}", mutant.name);
        let is_undecided = name != REFUSED && outcomes.iter().any(|outcome| outcome.name == UNDECIDED);
        if is_undecided || (name == PROVED) != expected.is_some() {
            failures.push(message);
        } else if arguments.verbose {
            status!("{message}");
        }
    }
    ensure!(failures.is_empty(), "not everything is proved:\n{}", failures.join("\n"));
    outln!("The model of the signals has the {} expected results", model::check(shell)?);
    if arguments.bless {
        let mutants = table.rows.iter().flat_map(|row| &row[MUTANTS..]).map(|count| count.parse::<usize>());
        let mutants: usize = mutants.sum::<Result<_, _>>()?;
        ensure!(mutants <= arguments.mutants, UsageError(format!("--bless needs --mutants {mutants}: it counts all")));
        let is_whole = arguments.selection.platforms().len() == PLATFORMS.len();
        let all = if is_whole { &table.rows } else { &golden.table.rows };
        let order: Vec<_> = all.iter().map(|row| row[..KEY].to_vec()).collect();
        return golden.bless(table.rows, KEY, &order);
    }
    table.rows.iter().try_for_each(|row| golden.check(row, KEY, row.len()))?;
    golden.check_program()
}

/// Makes the virtual environment, unless it is there. Returns its Python.
fn python(shell: &Shell) -> Result<PathBuf> {
    let requirements = shell.current_dir().join(REQUIREMENTS);
    let version = cmd!(shell, "/usr/bin/python3 --version").quiet().read()?;
    let name = sha256((version + &shell.read_file(&requirements)?).as_bytes());
    let path = shell.current_dir().join("target/prove").join(&name[..16]);
    provide(&path, |new| {
        status!("installing angr and its dependencies in {}", path.display());
        cmd!(shell, "/usr/bin/python3 -m venv {new}").quiet().run()?;
        let options = ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--require-hashes"];
        let install = cmd!(shell, "{new}/bin/python3 -m pip install {options...} --requirement {requirements}");
        install.quiet().run().context("can't install angr from PyPI, which runs the proof")
    })?;
    Ok(path.join("bin/python3"))
}

/// What an engine finds out about a program.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Outcome {
    #[serde(skip)]
    engine: &'static str,
    /// `proved`, `refused`, `unknown`, because the engine doesn't know an instruction, or `undecided`.
    name: String,
    /// Why it isn't proved.
    reason: String,
    /// The numbers of facts, checks, paths and instructions.
    counts: Vec<usize>,
    /// The places and the sizes of the instructions in the file.
    instructions: Vec<(usize, usize)>,
}

/// Has each program tried by the engines that have its processor, until one refuses it.
fn prove(python: &Path, programs: &[Program]) -> Result<Vec<Vec<Outcome>>> {
    let mut outcomes = vec![Vec::<Outcome>::new(); programs.len()];
    for engine in [VEX, "P-code"] {
        let mut left: Vec<_> = programs.iter().zip(&mut outcomes).collect();
        left.retain(|(_, outcomes)| outcomes.iter().all(|outcome| outcome.name != REFUSED));
        let share = left.len().div_ceil(parallel::processors()).max(1);
        let shares = parallel::map(left.chunks_mut(share), parallel::processors(), |share| {
            let programs: Vec<_> = share.iter().map(|(program, _)| program).collect();
            // Python ends with this process, however that ends. pyvex executes a cache that it keeps in TMPDIR.
            let shell = Shell::new()?;
            let command = cmd!(shell, "setpriv --pdeathsig KILL {python} tests/prove/prove.py {engine}");
            let command = command.env("TMPDIR", shell.create_dir(python.with_file_name("tmp"))?);
            let lines = command.stdin(serde_json::to_string(&programs)?).quiet().read()?;
            ensure!(lines.lines().count() == share.len(), "Python hasn't tried every program");
            for ((_, outcomes), line) in share.iter_mut().zip(lines.lines()) {
                outcomes.extend(serde_json::from_str::<Option<_>>(line)?.map(|outcome| Outcome { engine, ..outcome }));
            }
            anyhow::Ok(())
        });
        shares.into_iter().collect::<Result<()>>()?;
    }
    Ok(outcomes)
}

/// Describes a platform's program as it ships.
fn program(shell: &Shell, platform: &'static Platform) -> Result<Program> {
    let (binary, functions) = prove::functions(shell, platform)?;
    let (name, is_golden) = (platform.name, are_golden(&shell.current_dir(), std::slice::from_ref(&binary))?);
    ensure!(is_golden == ["yes"], "{name} isn't the golden program; see `cargo xtask test --bless`");
    Ok(Program {
        name: name.into(),
        architecture: platform.architecture,
        entry: object::File::parse(&*binary.content)?.entry(),
        functions: functions.into_iter().map(|(_, range)| range).collect(),
        messages: [("version", VERSION), ("warning", WARNING), ("interrupt", INTERRUPT), ("terminated", TERMINATED)]
            .into(),
        file: binary.content,
    })
}
