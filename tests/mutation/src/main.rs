//! `cargo xtask mutation`: breaks the program on purpose, and checks that the tests notice.
//!
//! Each seeded fault has to be caught by the case, the linker's message or the injected signals that it is there for.
//! Systematic mutants are all small changes to source and machine code, and any case may catch them.

mod code;
mod judge;
mod source;
mod systematic;

use anyhow::{Result, anyhow, bail, ensure};
use harness::{Program, wait};
use judge::{Outcome, test};
use mutation::{build, seeded_faults};
use std::process::ExitCode;
use xshell::Shell;
use xtask::command::UsageError;
use xtask::platform::{self, QEMU_USER};
use xtask::prerequisites::Prerequisites;
use xtask::{build, outln, parallel, subcommands};

#[derive(clap::Args)]
struct Arguments {
    /// Make all small changes to source and machine code instead of the seeded faults; needs root
    #[arg(long)]
    systematic: bool,
    /// Write the outcomes of systematic mutants to the golden file
    #[arg(long, requires = "systematic", conflicts_with = "filter")]
    bless: bool,
    /// Only mutants whose names contain this
    filter: Option<String>,
}

/// Number of mutants that are tested at a time: most wait.
const THREADS: usize = 8;

fn main() -> ExitCode {
    harness::orphan_spawner::run_if_asked();
    subcommands::main_of_subcommand("mutation", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let mut prerequisites = Prerequisites::of("cargo xtask mutation");
    prerequisites.file("/usr/bin/strace", "strace", "make system calls fail");
    if arguments.systematic {
        prerequisites.root("start the program without privileges");
    }
    let filter = arguments.filter.as_deref().unwrap_or_default();
    if arguments.systematic {
        prerequisites.ensure_installed(shell)?;
        return systematic::run(shell, filter, arguments.bless);
    }
    seeded(shell, filter, prerequisites)
}

fn seeded(shell: &Shell, filter: &str, mut prerequisites: Prerequisites) -> Result<()> {
    let mut faults = seeded_faults()?;
    faults.retain(|fault| fault.mutant.name.contains(filter));
    for platform in faults.iter().filter_map(|fault| fault.platform) {
        prerequisites.file(&platform.emulator(), QEMU_USER, "run programs for other platforms");
    }
    prerequisites.ensure_installed(shell)?;
    ensure!(!faults.is_empty(), UsageError(format!("no name in tests/mutation/faults.txt contains {filter:?}")));

    let program = Program::new("the program", build::program(shell, platform::native()?)?);
    // All are built before the first is started: a new process has copies of all open files until exec, and a file that
    // is open for writing can't be executed.
    let built: Vec<_> = faults.iter().map(|fault| (fault, build(shell, &fault.mutant))).collect();
    wait::set_timeout(5);
    let results = parallel::map(built, THREADS, |(fault, file)| {
        let name = fault.mutant.name;
        let result = match (fault.caught_by, file) {
            (("linker", _), Ok(_)) => Err(anyhow!("it links")),
            (("linker", message), Err(error)) if format!("{error:#}").contains(message) => Ok(()),
            (_, Err(error)) => Err(error),
            ((kind, cases), Ok(file)) => match fault.platform {
                None => catch(kind, cases, &program, &Program::new(name, file)),
                Some(platform) => {
                    let mutant = Program::emulated(platform, file, platform.emulator().into());
                    catch("case", cases, &Program { cpu: None, ..mutant.clone() }, &mutant)
                }
            },
        };
        match &result {
            Ok(()) => outln!("caught: {name}"),
            Err(error) => outln!("missed: {name}: {error:#}"),
        }
        result.is_ok()
    });
    let missed = results.iter().filter(|is_caught| !**is_caught).count();
    outln!("{} caught, {missed} missed", results.len() - missed);
    ensure!(missed == 0, "seeded faults were missed");
    Ok(())
}

/// Fails if the mutant is not caught as expected, or the program itself is.
fn catch(kind: &str, name: &str, program: &Program, mutant: &Program) -> Result<()> {
    let expected = match kind {
        "case" => Outcome::Caught,
        "time-out of case" => Outcome::Timeout,
        "signal" | "two signals" => return catch_by_signals(kind == "two signals", mutant),
        _ => bail!("nothing is called \"{kind}\""),
    };
    let runs: Vec<_> = conformance::runs().filter(|(case, _)| case.name.contains(name)).collect();
    ensure!(!runs.is_empty(), "no case is named \"{name}\"");
    let results = parallel::map(runs, THREADS, |run| {
        let (baseline, reason) = test(program, run);
        ensure!(baseline == Outcome::Missed, "the program itself is {baseline:?}: {reason}");
        let (outcome, reason) = test(mutant, run);
        ensure!(outcome == expected, "\"{}\" is {outcome:?}, not {expected:?}: {reason}", run.0.name);
        Ok(())
    });
    results.into_iter().collect()
}

#[cfg(target_arch = "x86_64")]
fn catch_by_signals(two: bool, mutant: &Program) -> Result<()> {
    use inject::ptrace::Ptrace;
    use inject::signals::{Depth, explore};
    let is_caught = |depth| anyhow::Ok(!explore::<Ptrace>(mutant, depth, 1)?.violations.is_empty());
    ensure!(is_caught(Depth::Singles)? != two, "one signal {}", if two { "is enough" } else { "is not enough" });
    ensure!(!two || is_caught(Depth::Pairs)?, "two signals are not enough");
    Ok(())
}

#[cfg(not(target_arch = "x86_64"))]
fn catch_by_signals(_: bool, _: &Program) -> Result<()> {
    Err(anyhow!("signals are injected at every instruction on amd64 only"))
}
