//! `cargo xtask prove`: proves that each platform's machine code keeps the contract. `prove.py` does that, with angr in a
//! virtual environment of its own. SPIN then checks the model of the signals, whose steps are facts of that proof.

mod model;

use anyhow::{Context, Result, ensure};
use contract::{INTERRUPT, TERMINATED, VERSION, WARNING};
use object::Object;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use xshell::{Shell, cmd};
use xtask::command::UsageError;
use xtask::digest::sha256;
use xtask::golden::Golden;
use xtask::image::golden::are_golden;
use xtask::output::provide;
use xtask::platform::{PLATFORMS, Platform, Selection};
use xtask::prerequisites::Prerequisites;
use xtask::{build, outln, parallel, status, subcommands};

const GOLDEN: &str = "tests/prove/prove.txt";
/// Number of columns that name a row: the platform and the engine.
const KEY: usize = 2;

/// The first column that counts mutants.
const MUTANTS: usize = 6;

const REQUIREMENTS: &str = "tests/prove/requirements.txt";

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
    let python = python(shell)?;
    let platforms = prove::distinct(&arguments.selection);
    let binaries = build::build(shell, &platforms)?;
    for (binary, is_golden) in binaries.iter().zip(are_golden(&shell.current_dir(), &binaries)?) {
        let name = binary.platform.name;
        ensure!(is_golden == "yes", "{name} isn't the golden program; see `cargo xtask test --bless`");
    }
    let request = json!({
        "programs": platforms.iter().map(|platform| program(shell, platform)).collect::<Result<Vec<_>>>()?,
        "mutants": arguments.mutants,
        "verbose": arguments.verbose,
        "processes": parallel::processors(),
    });
    let command = cmd!(shell, "{python} tests/prove/prove.py").stdin(request.to_string());
    let output = command.quiet().ignore_status().output()?;
    let mut table = golden.table.clone();
    let rows = String::from_utf8(output.stdout)?;
    table.rows = rows.lines().map(|row| row.split('\t').map(String::from).collect()).collect();
    outln!("{table}");
    // Whatever isn't proved, and the place and the sentence.
    if !output.stderr.is_empty() {
        status!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    ensure!(output.status.success(), "not everything is proved");
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

/// Describes a platform's program, as it ships, for `prove.py`.
fn program(shell: &Shell, platform: &'static Platform) -> Result<Value> {
    let (content, functions) = prove::functions(shell, platform)?;
    Ok(json!({
        "platform": platform.name,
        "architecture": platform.architecture,
        "entry": object::File::parse(&*content)?.entry(),
        "functions": functions.iter().map(|(_, range)| [range.start, range.end]).collect::<Vec<_>>(),
        "messages": { "version": VERSION, "warning": WARNING, "interrupt": INTERRUPT, "terminated": TERMINATED },
        "file": content.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
    }))
}
