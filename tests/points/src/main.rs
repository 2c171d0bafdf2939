//! `cargo xtask points`: whatever signal comes, and at whatever instruction, the program does what it should.

mod golden;

use anyhow::{Result, ensure};
use golden::{Golden, HEADINGS};
use harness::Program;
use points::emulator::Emulated;
use points::{CONDITIONS, Depth, Tally, explore};
use std::path::PathBuf;
use std::process::ExitCode;
use xshell::Shell;
use xtask::needs::Needs;
use xtask::output::Staged;
use xtask::platform::{self, Platform, QEMU_USER, Selection};
use xtask::table::Table;
use xtask::{build, command, say, test};

/// Send signals at every instruction of the program, and at every pair of instructions
#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Only single points and the handlers that run in the sleep, no other pairs; an emulator shows no more
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

/// Why events are left out: see [`points::emulator`].
const LEFT_OUT: &str = "a kernel keeps from PID 1, which has no handler yet, and the emulator does not";

fn main() -> ExitCode {
    command::main_of_proof("points", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let golden = Golden::read(&shell.current_dir())?;
    let depth = if arguments.singles { Depth::Handlers } else { Depth::Pairs };
    let against = arguments.against.as_deref();
    let platforms = match against {
        Some(_) => vec![platform::native()?],
        None => arguments.selection.platforms(),
    };
    let files = match against {
        Some(path) => vec![path.into()],
        None => build(shell, &platforms)?,
    };
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for (platform, file) in platforms.into_iter().zip(files) {
        let name = against.map_or(platform.name.into(), |path| path.display().to_string());
        let Tried { how, tally, is_all } = visit(platform, file, depth)?;
        if tally.left_out > 0 {
            say!("left out: {name}: {} events that {LEFT_OUT}", tally.left_out);
        }
        let row = golden::row(&name, how, &tally);
        if !arguments.bless && against.is_none() && tally.violations.is_empty() {
            wrong.extend(golden.check(&row, is_all).err().map(|error| format!("{name}: {error}")));
        }
        wrong.extend(tally.violations.into_iter().map(|violation| format!("{name}: {violation}")));
        rows.push(row);
    }
    let mut table = Table::new(HEADINGS);
    rows.iter().for_each(|row| table.push(row));
    say!("{table}");
    ensure!(!rows.is_empty(), "nothing was tried");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    if arguments.bless {
        golden.bless(&rows)?;
    }
    Ok(())
}

/// Builds the program for all of these platforms. Returns the files.
fn build(shell: &Shell, platforms: &[&'static Platform]) -> Result<Vec<PathBuf>> {
    let mut needs = Needs::of("cargo xtask points");
    for platform in platforms.iter().filter(|platform| !platform.is_native()) {
        needs.file(&platform.emulator(), QEMU_USER, "stop programs for other platforms");
    }
    let binaries = build::build_with(shell, platforms, None, needs)?;
    let path = shell.current_dir().join("target/points");
    let mut staged = Staged::new(&path)?;
    build::stage(&mut staged, &binaries);
    staged.commit()?;
    Ok(binaries.iter().map(|binary| path.join("bin").join(binary.file_name())).collect())
}

/// What was tried of a program.
struct Tried {
    /// How it was stopped.
    how: &'static str,
    /// What came of it.
    tally: Tally,
    /// Whether it is all that can be tried in that way.
    is_all: bool,
}

/// Goes through all points of a platform's program.
fn visit(platform: &'static Platform, file: PathBuf, depth: Depth) -> Result<Tried> {
    let program = Program::new(platform.name, file);
    #[cfg(target_arch = "x86_64")]
    if platform.is_native() {
        let tally = explore::<points::ptrace::Traced>(&program, &CONDITIONS, depth, ENOUGH)?;
        return Ok(Tried { how: "ptrace", tally, is_all: depth == Depth::Pairs });
    }
    // No machine but amd64's gets deeper.
    #[cfg(not(target_arch = "x86_64"))]
    let _ = depth;
    let program = Program { emulator: Some(platform.emulator().into()), ..program };
    let tally = explore::<Emulated>(&program, &CONDITIONS, Depth::Handlers, ENOUGH)?;
    Ok(Tried { how: "qemu-user", tally, is_all: true })
}
