//! The budgets in multiples of the floor.

use crate::contender::Contender;
use crate::trace;
use anyhow::{Result, ensure};
use contract::{FLOOR_BYTES, FLOOR_INSTRUCTIONS};
use std::fs;
use xshell::Shell;
use xtask::{build, floor, platform, say};

/// Holds the program to them.
///
/// # Errors
/// Where it takes more, or this machine can't run the floor.
pub fn check(shell: &Shell) -> Result<()> {
    let floor = Contender::drop_in("floor", floor::build(shell)?);
    let pause = Contender::drop_in("pause", build::program(shell, platform::native()?)?);
    let measure = |contender: &Contender| -> Result<[u64; 2]> {
        Ok([fs::metadata(&contender.program.file)?.len(), trace::until_ready(contender)?.instructions])
    };
    let budgets = [("bytes", FLOOR_BYTES), ("instructions to the last handler", FLOOR_INSTRUCTIONS)];
    for ((pause, floor), (what, budget)) in measure(&pause)?.into_iter().zip(measure(&floor)?).zip(budgets) {
        let ratio = pause as f64 / floor as f64;
        say!("{pause} {what}, {ratio:.2} times the floor's {floor}; the budget is {budget:.2} times");
        ensure!(ratio <= budget, "the program is over its budget of {what}");
    }
    Ok(())
}
