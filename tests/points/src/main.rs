//! `cargo xtask points`: whatever signal comes, and at whatever instruction, the program does what it should.

mod golden;

use anyhow::{Result, ensure};
use golden::{Golden, HEADINGS};
use harness::Program;
use points::{CONDITIONS, Depth, Tally, explore};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use xshell::Shell;
use xtask::platform::{self, Platform, Selection};
use xtask::table::Table;
use xtask::{build, command, say, test};

/// Send signals at every instruction of the program, and at every pair of instructions
#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Only single points, no pairs
    #[arg(long)]
    singles: bool,
    /// Try this program instead; one for this machine
    #[arg(long, value_name = "PATH", conflicts_with = "platforms", value_parser = test::existing_file)]
    against: Option<PathBuf>,
    /// Take what is tried now for what is to be tried
    #[arg(long, conflicts_with_all = ["singles", "against"])]
    bless: bool,
}

/// How many violations are enough: more say no more.
const ENOUGH: usize = 5;

fn main() -> ExitCode {
    command::main_of_proof("points", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let golden = Golden::read(&shell.current_dir())?;
    let depth = if arguments.singles { Depth::Singles } else { Depth::Pairs };
    let against = arguments.against.as_deref();
    let platforms = match against {
        Some(_) => vec![platform::native()?],
        None => arguments.selection.platforms(),
    };
    let (mut rows, mut wrong, mut skipped) = (Vec::new(), Vec::new(), 0);
    for platform in platforms {
        let name = against.map_or(platform.name.into(), |path| path.display().to_string());
        let Some((how, tally)) = visit(shell, platform, against, depth)? else {
            say!("skipped: {name}: nothing stops its instructions here");
            skipped += 1;
            continue;
        };
        let row = golden::row(&name, how, &tally);
        if !arguments.bless && against.is_none() && tally.violations.is_empty() {
            wrong.extend(golden.check(&row, depth).err().map(|error| format!("{name}: {error}")));
        }
        wrong.extend(tally.violations.into_iter().map(|violation| format!("{name}: {violation}")));
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

/// Goes through all points of a platform's program, or of another one for this machine. Returns how, and what came of
/// it, where that can be done.
fn visit(
    shell: &Shell,
    platform: &'static Platform,
    against: Option<&Path>,
    depth: Depth,
) -> Result<Option<(&'static str, Tally)>> {
    #[cfg(target_arch = "x86_64")]
    if platform.is_native() {
        let file = against.map_or_else(|| build::program(shell, platform), |path| Ok(path.into()))?;
        let program = Program::new(platform.name, file);
        return Ok(Some(("ptrace", explore::<points::ptrace::Traced>(&program, &CONDITIONS, depth, ENOUGH)?)));
    }
    Ok(None)
}
