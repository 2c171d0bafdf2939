//! `cargo xtask points`: whatever signal comes, and at whatever instruction, the program does what it should.

mod golden;

use anyhow::{Result, ensure};
use golden::{Golden, HEADINGS};
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
    /// Take what is tried now for what is to be tried
    #[arg(long, conflicts_with = "singles")]
    bless: bool,
}

/// How many violations are enough: more say no more.
const ENOUGH: usize = 20;

fn main() -> ExitCode {
    command::main_of_proof("points", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let golden = Golden::read(&shell.current_dir())?;
    let depth = if arguments.singles { Depth::Singles } else { Depth::Pairs };
    let (mut rows, mut wrong, mut skipped) = (Vec::new(), Vec::new(), 0);
    for platform in arguments.selection.platforms() {
        let Some((how, tally)) = visit(shell, platform, depth)? else {
            say!("skipped: {}: nothing stops its instructions here", platform.name);
            skipped += 1;
            continue;
        };
        let row = golden::row(platform.name, how, &tally);
        if !arguments.bless && tally.violations.is_empty() {
            wrong.extend(golden.check(&row, depth).err().map(|error| format!("{}: {error}", platform.name)));
        }
        wrong.extend(tally.violations.into_iter().map(|violation| format!("{}: {violation}", platform.name)));
        rows.push(row);
    }
    let mut table = Table::new(HEADINGS);
    rows.iter().for_each(|row| table.push(row));
    say!("{table}\n{} platforms, {skipped} skipped", rows.len());
    ensure!(!rows.is_empty(), "nothing was tried");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    if arguments.bless {
        golden.bless(&rows)?;
    }
    Ok(())
}

/// Goes through all points of a platform's program. Returns how, and what came of it, where that can be done.
fn visit(shell: &Shell, platform: &'static Platform, depth: Depth) -> Result<Option<(&'static str, Tally)>> {
    #[cfg(target_arch = "x86_64")]
    if platform.is_native() {
        let program = Program::new(platform.name, build::program(shell, platform)?);
        return Ok(Some(("ptrace", explore::<points::ptrace::Traced>(&program, &CONDITIONS, depth, ENOUGH)?)));
    }
    Ok(None)
}
