//! `cargo xtask mutants`: proves that the tests bite. Each mutant of the program has to fail the cases, or the link,
//! that are there to catch it.

use anyhow::{Result, bail, ensure};
use behaviour::{CASES, Case, Skip};
use harness::{Program, Role, wait};
use mutants::{Caught, MUTANTS, Mutant, build};
use points::Depth;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use xshell::Shell;
use xtask::command::{self, Misuse};
use xtask::needs::Needs;
use xtask::say;

#[derive(clap::Args)]
struct Arguments {
    /// Only mutants whose names contain this
    filter: Option<String>,
}

/// How many seconds a case waits for something that a mutant never does.
const PATIENCE: u64 = 5;

fn main() -> ExitCode {
    harness::assistant::run_if_asked();
    command::main_of_proof("mutants", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let filter = arguments.filter.as_deref().unwrap_or_default();
    let chosen: Vec<_> = MUTANTS.iter().filter(|mutant| mutant.name.contains(filter)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = MUTANTS.iter().map(|mutant| mutant.name).collect();
        bail!(Misuse(format!("no mutant has {filter:?} in its name; there are {}", names.join(", "))));
    }
    let mut needs = Needs::of("cargo xtask mutants");
    needs.file("/usr/bin/strace", "strace", "make system calls fail");
    needs.provide(shell)?;

    wait::set_patience(PATIENCE);
    let mut survivors = Vec::new();
    for mutant in &chosen {
        match catch(shell, mutant) {
            Ok(()) => say!("caught: {}", mutant.name),
            Err(error) => {
                say!("got away: {}: {error:#}", mutant.name);
                survivors.push(mutant.name);
            }
        }
    }
    say!("{} passed, {} failed", chosen.len() - survivors.len(), survivors.len());
    ensure!(survivors.is_empty(), "the tests did not catch: {}", survivors.join(", "));
    Ok(())
}

/// Fails where the mutant is not caught by what should catch it.
fn catch(shell: &Shell, mutant: &Mutant) -> Result<()> {
    match (mutant.caught, build(shell, mutant)) {
        (Caught::ByLink(_), Ok(_)) => bail!("it links"),
        (Caught::ByLink(message), Err(error)) => {
            ensure!(format!("{error:#}").contains(message), "the link fails for another reason: {error:#}");
            Ok(())
        }
        (Caught::ByCase(name), program) => {
            let program = Program::new(mutant.name, program?);
            is_noticed(&program, name)
        }
        (Caught::ByPoints, program) => is_seen(mutant, program?, Depth::Singles),
        (Caught::ByPairs, program) => is_seen(mutant, program?, Depth::Pairs),
    }
}

/// Fails where no signal at any point, or no pair of them, makes it do what it should not. One signal must not be
/// enough where two are needed.
fn is_seen(mutant: &Mutant, program: PathBuf, depth: Depth) -> Result<()> {
    #[cfg(target_arch = "x86_64")]
    {
        use points::first_violation;
        use points::ptrace::Traced;
        let program = Program::new(mutant.name, program);
        if depth == Depth::Pairs {
            let violation = first_violation::<Traced>(&program, Depth::Singles)?;
            ensure!(violation.is_none(), "one signal is enough: {}", violation.unwrap_or_default());
        }
        ensure!(first_violation::<Traced>(&program, depth)?.is_some(), "whatever signals come, it does what it should");
        Ok(())
    }
    #[cfg(not(target_arch = "x86_64"))]
    bail!("nothing stops the instructions of {} here, depth {depth:?}: {}", mutant.name, program.display())
}

/// Fails where a case with that name passes, in one role or another, or where there is none. All run at once: most
/// wait for what never happens.
fn is_noticed(program: &Program, name: &str) -> Result<()> {
    let cases = CASES.iter().filter(|case| case.name.contains(name));
    let runs: Vec<_> = cases.flat_map(|case| case.roles.iter().map(move |&role| (case, role))).collect();
    ensure!(!runs.is_empty(), "there is no case \"{name}\"");
    let run = |&(case, role): &(&'static Case, Role)| match (case.run)(program, role) {
        Ok(()) => bail!("it {}", case.name),
        Err(error) => {
            ensure!(!error.is::<Skip>(), "it {}: {error}", case.name);
            Ok(())
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = runs.iter().map(|case| scope.spawn(move || run(case))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a case does not panic"))
    })
}
