//! `cargo xtask points`: whatever signal comes, and at whatever instruction, the program does what it should.

use anyhow::{Result, bail, ensure};
use harness::Program;
use points::{CONDITIONS, Depth, Tally, explore};
use std::process::ExitCode;
use xshell::Shell;
use xtask::platform::{Platform, Selection};
use xtask::table::Table;
use xtask::{build, command, say};

/// Send signals at every instruction of the program, and at every pair of instructions
#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Only single points, no pairs
    #[arg(long)]
    singles: bool,
}

/// How many violations are enough: more say no more.
const ENOUGH: usize = 20;

fn main() -> ExitCode {
    command::main_of_proof("points", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let depth = if arguments.singles { Depth::Singles } else { Depth::Pairs };
    let mut table = Table::new(["platform", "how", "points", "pairs", "runs", "violations"]);
    let mut violations = Vec::new();
    for platform in arguments.selection.platforms() {
        let (how, tally) = visit(shell, platform, depth)?;
        let Tally { points, pairs, runs, .. } = tally;
        table.push([
            platform.name,
            how,
            &points.to_string(),
            &pairs.to_string(),
            &runs.to_string(),
            &tally.violations.len().to_string(),
        ]);
        violations.extend(tally.violations.into_iter().map(|violation| format!("{}: {violation}", platform.name)));
    }
    say!("{table}");
    ensure!(violations.is_empty(), "the program does not do what it should:\n{}", violations.join("\n"));
    Ok(())
}

/// Goes through all points of a platform's program. Returns how, and what came of it.
fn visit(shell: &Shell, platform: &'static Platform, depth: Depth) -> Result<(&'static str, Tally)> {
    let program = Program::new(platform.name, build::program(shell, platform)?);
    #[cfg(target_arch = "x86_64")]
    if platform.is_native() {
        return Ok(("ptrace", explore::<points::ptrace::Traced>(&program, &CONDITIONS, depth, ENOUGH)?));
    }
    bail!("{} can't be stopped here", program.name)
}
