//! `cargo xtask survivors`: changes the program in every small way, its source and its machine code, and has each mutant
//! judged. What nothing notices has to be explained.

mod code;
mod explained;
mod judge;
mod source;

use anyhow::{Context, Result, bail, ensure};
use explained::EXPLAINED;
use harness::{Program, wait};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use xshell::Shell;
use xtask::command::{self, Misuse};
use xtask::needs::Needs;
use xtask::table::Table;
use xtask::{build, platform, say};

#[derive(clap::Args)]
struct Arguments {
    /// Take the numbers as they are now for right
    #[arg(long, conflicts_with = "filter")]
    bless: bool,

    /// Only mutants whose names contain this
    filter: Option<String>,
}

/// The program's package.
const PAUSE: &str = "pause";

/// The golden table, in the repository.
const GOLDEN: &str = "tests/survivors/survivors.txt";

/// How many seconds a case waits for something that a mutant never does.
const PATIENCE: u64 = 10;

/// How many mutants are judged at once: most wait for what never happens.
const AT_ONCE: usize = 8;

/// The program with one change.
struct Mutant {
    /// What kind of change it is.
    kind: &'static str,
    /// The change: unique, and the same whatever else is changed elsewhere.
    name: String,
    /// Where it is, for a reader.
    place: String,
    /// The program, or why there is none.
    program: Result<Vec<u8>, String>,
}

/// What came of a mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Compiler or linker refuse it.
    Refused,
    /// It is the program itself, byte for byte.
    Same,
    /// A case fails.
    Caught,
    /// Nothing notices it.
    Survives,
}

fn main() -> ExitCode {
    harness::assistant::run_if_asked();
    command::main_of_proof("survivors", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let native = platform::native()?;
    ensure!(native.name == code::PLATFORM, Misuse(format!("machine code is changed on {} only", code::PLATFORM)));
    let mut needs = Needs::of("cargo xtask survivors");
    needs.root("start the program without privileges");
    needs.file("/usr/bin/strace", "strace", "make system calls fail");
    needs.provide(shell)?;
    source::install(shell)?;

    wait::set_patience(PATIENCE);
    let program = build::program(shell, native)?;
    if let Some(catch) = judge::judge(&Program::new(native.name, program.clone())) {
        bail!("the program itself is caught: {}: {}", catch.case, catch.reason);
    }
    let mut mutants = source::mutants(shell)?;
    mutants.extend(code::mutants(shell)?);
    let names: BTreeSet<_> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
    ensure!(names.len() == mutants.len(), "two mutants have the same name");
    let filter = arguments.filter.as_deref().unwrap_or_default();
    mutants.retain(|mutant| mutant.name.contains(filter));
    ensure!(!mutants.is_empty(), Misuse(format!("no mutant has {filter:?} in its name")));

    let fates = fates(shell, &fs::read(program)?, &mutants)?;
    let table = table(&mutants, &fates);
    let complaints = complaints(&mutants, &fates, filter.is_empty());
    say!("{}", table.to_markdown().trim_end());
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    if filter.is_empty() {
        check(&shell.current_dir().join(GOLDEN), &table, arguments.bless)?;
    }
    Ok(())
}

/// Has all mutants judged.
fn fates(shell: &Shell, program: &[u8], mutants: &[Mutant]) -> Result<Vec<Fate>> {
    let folder = shell.current_dir().join("target/survivors/programs");
    shell.remove_path(&folder)?;
    shell.create_dir(&folder)?;
    let file = |index: usize| folder.join(index.to_string());
    // All before the first is run: a file that is written can't be executed, and a process that is just being started may
    // hold it open.
    for (index, mutant) in mutants.iter().enumerate() {
        if let Ok(program) = &mutant.program {
            write(&file(index), program)?;
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut fates = Vec::new();
        while let index = next.fetch_add(1, Relaxed)
            && let Some(mutant) = mutants.get(index)
        {
            let fate = match &mutant.program {
                Err(reason) => {
                    let reason = reason.lines().find(|line| line.starts_with("error")).unwrap_or(reason);
                    say!("does not build: {} ({}): {reason}", mutant.name, mutant.place);
                    Fate::Refused
                }
                Ok(changed) if changed == program => {
                    say!("the same program: {} ({})", mutant.name, mutant.place);
                    Fate::Same
                }
                Ok(_) => match judge::judge(&Program::new(&mutant.name, file(index))) {
                    Some(catch) => {
                        say!("caught: {} ({}): {}: {}", mutant.name, mutant.place, catch.case, catch.reason);
                        Fate::Caught
                    }
                    None => {
                        say!("survives: {} ({})", mutant.name, mutant.place);
                        Fate::Survives
                    }
                },
            };
            fates.push((index, fate));
        }
        fates
    };
    let mut fates: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a case does not panic")).collect()
    });
    fates.sort_by_key(|&(index, _)| index);
    Ok(fates.into_iter().map(|(_, fate)| fate).collect())
}

fn write(file: &Path, program: &[u8]) -> Result<()> {
    fs::write(file, program).with_context(|| format!("can't write {}", file.display()))?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o755))?)
}

/// How many mutants of each kind went which way.
fn table(mutants: &[Mutant], fates: &[Fate]) -> Table {
    let mut table = Table::new(["what is changed", "mutants", "don't build", "same program", "caught", "explained"]);
    let kinds = [source::KIND].into_iter().chain(code::CHANGES.iter().map(|change| change.kind));
    for kind in kinds {
        let all: Vec<_> = mutants.iter().zip(fates).filter(|(mutant, _)| mutant.kind == kind).collect();
        let count = |fate: Fate| all.iter().filter(|(_, other)| **other == fate).count().to_string();
        let counts = [Fate::Refused, Fate::Same, Fate::Caught, Fate::Survives].map(count);
        table.push([kind.to_owned(), all.len().to_string()].into_iter().chain(counts));
    }
    table
}

/// What is wrong: survivors that nobody has explained, and explanations of what is no survivor.
fn complaints(mutants: &[Mutant], fates: &[Fate], all: bool) -> Vec<String> {
    let survivors: Vec<_> =
        mutants.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Survives).map(|(mutant, _)| mutant).collect();
    let explained: BTreeSet<_> = EXPLAINED.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    let unexplained = survivors.iter().filter(|mutant| !explained.contains(mutant.name.as_str()));
    let unexplained = unexplained.map(|mutant| format!("nothing notices: {} ({})", mutant.name, mutant.place));
    let survives = |name: &&str| survivors.iter().any(|mutant| mutant.name == *name);
    let stale = explained.iter().filter(|name| all && !survives(name));
    unexplained.chain(stale.map(|name| format!("it is explained why this survives, and it does not: {name}"))).collect()
}

/// Compares the table with the golden one, or makes it that.
fn check(file: &Path, table: &Table, bless: bool) -> Result<()> {
    if bless {
        return table.write(file);
    }
    ensure!(Table::read(file)? == *table, "{GOLDEN} says something else; `cargo xtask survivors --bless` writes it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_explained_and_what_is_no_survivor_are_told() {
        let mutant = |name: &str| Mutant { kind: "", name: name.into(), place: "here".into(), program: Ok(Vec::new()) };
        let explained: Vec<_> = EXPLAINED.iter().flat_map(|(names, _)| names.iter().copied()).collect();
        let mut mutants: Vec<_> = explained.iter().map(|name| mutant(name)).collect();
        let mut fates = vec![Fate::Survives; mutants.len()];
        assert!(complaints(&mutants, &fates, true).is_empty());
        fates[0] = Fate::Caught;
        mutants.push(mutant("new"));
        fates.push(Fate::Survives);
        let complaints = complaints(&mutants, &fates, true);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert_eq!(complaints[0], "nothing notices: new (here)");
        assert!(complaints[1].ends_with(explained[0]));
    }
}
