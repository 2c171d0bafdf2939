//! `cargo xtask inject`: the program keeps its contract whatever signal arrives, at whatever instruction.

use anyhow::{Result, ensure};
use harness::Program;
use inject::emulator::Emulator;
use inject::signals::{self, Depth, Tally};
use std::process::ExitCode;
use xshell::Shell;
use xtask::golden::Golden;
use xtask::platform::{self, PLATFORMS, Platform, QEMU_USER, Selection};
use xtask::prerequisites::Prerequisites;
use xtask::table::Table;
use xtask::{build, command, outln, subcommands};

#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Send single signals, and a second one only to handlers that interrupt the sleep
    #[arg(long)]
    singles: bool,
    /// Also send pairs to programs in an emulator, the first signal before each system call; slow
    #[arg(long, conflicts_with = "singles")]
    pairs: bool,
    /// Write the counts to the golden file
    #[arg(long, conflicts_with = "singles")]
    bless: bool,
}

/// The table's column of pairs: they don't change the columns before.
const PAIRS: usize = 3;

const ENOUGH: usize = 5;

fn main() -> ExitCode {
    if std::env::args().next().as_deref() == Some("/inject") {
        return command::exit(on_kernel());
    }
    subcommands::main_of_subcommand("inject", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let programs = build(shell, &arguments.selection.platforms())?;
    let golden = Golden::read(&shell.current_dir(), "tests/inject/signals.txt", "cargo xtask inject")?;
    let mut table = Table::new(golden.table.headings.clone());
    let mut wrong = Vec::new();
    for (platform, program) in &programs {
        let depth = match (arguments.singles, is_traced(platform)) {
            (false, true) => Depth::Pairs,
            // An emulator is too slow for all pairs.
            _ if arguments.pairs => Depth::Calls,
            _ => Depth::Handlers,
        };
        let (row, violations) = inject(platform, program, depth)?;
        let has_pairs = golden.table.find(&[&row[0]]).is_some_and(|golden| golden[PAIRS] != row[PAIRS]);
        let columns = if depth == Depth::Handlers && has_pairs { PAIRS } else { row.len() };
        if violations.is_empty() && !arguments.bless {
            wrong.extend(golden.check(&row, 1, columns).err().map(|error| error.to_string()));
        }
        wrong.extend(violations.into_iter().map(|violation| format!("{}: {violation}", row[0])));
        table.push(row);
    }
    outln!("{table}");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    if arguments.bless {
        let rows: Vec<_> = PLATFORMS.iter().map(|platform| vec![platform.name.into()]).collect();
        return golden.bless(table.rows, 1, &rows);
    }
    golden.check_program()
}

/// Tests `/pause` on a kernel of `cargo xtask kernels --signals`, where there is neither cargo nor a repository.
fn on_kernel() -> Result<()> {
    let platform = platform::native()?;
    let (row, violations) = inject(platform, &Program::new(platform.name, "/pause".into()), Depth::Calls)?;
    outln!("signals: {}", row.join("  "));
    // As in the driver's protocol.
    violations.iter().for_each(|violation| outln!("FAIL {violation}"));
    ensure!(violations.is_empty(), "signals are lost or harmful");
    Ok(())
}

/// Whether this machine's kernel stops the program, instead of an emulator.
fn is_traced(platform: &Platform) -> bool {
    cfg!(target_arch = "x86_64") && platform.is_native()
}

fn build(shell: &Shell, platforms: &[&'static Platform]) -> Result<Vec<(&'static Platform, Program)>> {
    let mut prerequisites = Prerequisites::of("cargo xtask inject");
    for platform in platforms.iter().filter(|platform| !is_traced(platform)) {
        prerequisites.file(&platform.emulator(), QEMU_USER, "stop programs for other platforms");
    }
    let binaries = build::build_with(shell, platforms, None, prerequisites)?;
    // Apart from other commands: a file that one of them is writing can't be executed.
    let files = build::write(shell, "target/inject", &binaries)?;
    let programs = platforms.iter().zip(files);
    Ok(programs.map(|(platform, file)| (*platform, Program::new(platform.name, file))).collect())
}

fn inject(platform: &Platform, program: &Program, depth: Depth) -> Result<(Vec<String>, Vec<String>)> {
    let (how, Tally { points, pairs, runs, left_out, violations }) = explore(platform, program, depth)?;
    let counts = [points, pairs, runs, left_out].map(|count| if count == 0 { "–".into() } else { count.to_string() });
    let row = [vec![program.name.clone(), how.into()], counts.into(), vec![violations.len().to_string()]].concat();
    Ok((row, violations))
}

fn explore(platform: &Platform, program: &Program, depth: Depth) -> Result<(&'static str, Tally)> {
    #[cfg(target_arch = "x86_64")]
    if is_traced(platform) {
        return Ok(("ptrace", signals::explore::<inject::ptrace::Ptrace>(program, depth, ENOUGH)?));
    }
    let program = &Program::emulated(platform, program.file.clone(), platform.emulator().into());
    Ok(("qemu-user", signals::explore::<Emulator>(program, depth, ENOUGH)?))
}
