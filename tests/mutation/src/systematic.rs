//! Systematic mutation testing: every small change to source and machine code. Each mutant has to fail a case, or it
//! has to be explained in `equivalent.txt` why none can notice it.

use crate::judge::{Outcome, test};
use crate::{THREADS, code, source};
use anyhow::{Context, Result, ensure};
use conformance::Case;
use harness::{Program, wait};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use xshell::Shell;
use xtask::command::UsageError;
use xtask::golden::Golden;
use xtask::table::Table;
use xtask::{build, outln, parallel, platform};

const GOLDEN: &str = "tests/mutation/mutation.txt";

/// Names of equivalent mutants, and why nothing can notice them. A name holds as long as its function does not change.
const EQUIVALENT: &str = "tests/mutation/equivalent.txt";

/// The cases that catch most, and fast.
const FIRST: [&str; 8] = [
    "says so and exits with 0 on SIGTERM",
    "reaps a single orphan",
    "prints its name and version on -v and -V, wherever they stand",
    "says so and exits with 0 on SIGINT",
    "warns on stderr and carries on",
    "if started with every signal blocked",
    "if the pipe that is its stderr is full",
    "if exit fails once",
];

/// The cases that take long.
const LAST: [&str; 4] =
    ["sleeps and never wakes up", "dies from every other signal", "reaps a storm", "in the midst of a storm"];

pub struct Mutant {
    /// The row of the table.
    pub kind: &'static str,
    /// Unique, and independent of changes elsewhere.
    pub name: String,
    /// The program, or the message of compiler or linker.
    pub program: Result<Vec<u8>, String>,
}

pub fn run(shell: &Shell, filter: &str, bless: bool) -> Result<()> {
    let native = platform::native()?;
    ensure!(native.name == code::PLATFORM, UsageError(format!("machine code is changed on {} only", code::PLATFORM)));
    let program = build::program(shell, native)?;
    wait::set_timeout(10);
    let (baseline, reason) = judge(&Program::new(native.name, program.clone()));
    ensure!(baseline == Outcome::Missed, "the program itself is {baseline:?}: {reason}");

    let mut mutants = source::mutants(shell)?;
    mutants.extend(code::mutants(shell)?);
    let names: BTreeSet<_> = mutants.iter().map(|mutant| mutant.name.clone()).collect();
    ensure!(names.len() == mutants.len(), "two mutants have the same name");
    mutants.retain(|mutant| mutant.name.contains(filter));
    ensure!(!mutants.is_empty(), UsageError(format!("no mutant's name contains {filter:?}")));

    let equivalent: Vec<_> = Table::read(&shell.current_dir().join(EQUIVALENT))?.rows;
    let outcomes = outcomes(shell, &fs::read(program)?, &mutants, &equivalent)?;
    let golden = Golden::read(&shell.current_dir(), GOLDEN, "cargo xtask mutation --systematic")?;
    let mut table = Table::new(golden.table.headings.clone());
    let count = |kind: &str, outcome| {
        let found = mutants.iter().zip(&outcomes);
        found.filter(|(mutant, found)| mutant.kind.starts_with(kind) && **found == outcome).count()
    };
    for kind in [source::KIND].into_iter().chain(code::KINDS) {
        let outcomes = [Outcome::Unviable, Outcome::Caught, Outcome::Timeout, Outcome::Equivalent, Outcome::Missed];
        let counts = outcomes.map(|outcome| count(kind, outcome));
        let cells = [counts.iter().sum()].into_iter().chain(counts).map(|count: usize| count.to_string());
        table.push([kind.to_owned()].into_iter().chain(cells));
    }
    outln!("{table}");
    ensure!(count("", Outcome::Missed) == 0, "mutants were missed");
    if !filter.is_empty() {
        return Ok(());
    }
    let (explained, listed) = (count("", Outcome::Equivalent), equivalent.len());
    ensure!(explained == listed, "{explained} mutants are equivalent, but {EQUIVALENT} lists {listed}");
    if bless {
        let order: Vec<_> = table.rows.iter().map(|row| vec![row[0].clone()]).collect();
        return golden.bless(table.rows, 1, &order);
    }
    table.rows.iter().try_for_each(|row| golden.check(row, 1, row.len()))?;
    golden.check_program()
}

fn judge(program: &Program) -> (Outcome, String) {
    let rank = |case: &Case| {
        let position = |names: &[&str]| names.iter().position(|name| case.name.contains(name));
        position(&FIRST).unwrap_or(FIRST.len() + position(&LAST).map_or(0, |position| position + 1))
    };
    let mut runs: Vec<_> = conformance::runs().collect();
    runs.sort_by_key(|(case, _)| rank(case));
    let mut failed = runs.into_iter().map(|run| test(program, run)).filter(|(outcome, _)| *outcome != Outcome::Missed);
    failed.next().unwrap_or((Outcome::Missed, String::new()))
}

fn outcomes(shell: &Shell, program: &[u8], mutants: &[Mutant], equivalent: &[Vec<String>]) -> Result<Vec<Outcome>> {
    let directory = shell.current_dir().join("target/mutation/systematic");
    shell.remove_path(&directory)?;
    shell.create_dir(&directory)?;
    // All before the first is started, as for seeded faults.
    for (index, mutant) in mutants.iter().enumerate() {
        if let Ok(program) = &mutant.program {
            let file = directory.join(index.to_string());
            fs::write(&file, program).with_context(|| format!("can't write {}", file.display()))?;
            fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(parallel::map(mutants.iter().enumerate(), THREADS, |(index, Mutant { name, program: changed, .. })| {
        let (outcome, reason) = match changed {
            Err(message) => {
                let reason = message.lines().find(|line| line.starts_with("error")).unwrap_or(message);
                (Outcome::Unviable, reason.into())
            }
            Ok(changed) if changed == program => (Outcome::Equivalent, "the same bytes".into()),
            Ok(_) => match judge(&Program::new(name, directory.join(index.to_string()))) {
                (Outcome::Missed, _) if equivalent.iter().any(|row| row[0] == *name) => {
                    (Outcome::Equivalent, "no case fails".into())
                }
                result => result,
            },
        };
        outln!("{outcome:?}: {name}: {reason}");
        outcome
    }))
}
