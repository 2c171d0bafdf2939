//! The tests of the program: the cases of its contract, and the facts of what ships.
//!
//! `cargo xtask test` says in the environment what is tested, on which platforms. Without that it is this machine's
//! program, as `cargo test` has built it.

use anyhow::{Context, Result};
use libtest_mimic::Arguments;
use std::panic;
use std::process::{ExitCode, exit};
use xtask::note;
use xtask::platform;
use xtask::test::{Order, Program};

/// The exit status of a run that had nothing to do.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    harness::assistant::run_if_asked();
    harness::process::end_with_its_reader();
    end_where_nothing_can_be_written();
    let arguments = Arguments::from_args();
    let order = match order() {
        Ok(order) => order,
        Err(error) => {
            note!("error: {error:#}");
            return ExitCode::from(MISUSED);
        }
    };
    // The longest first: one of these builds the image on one core.
    let mut trials = image_facts::trials(&order);
    trials.extend(behaviour::trials(&order.programs, order.stranger));
    if let Some(filter) = &arguments.filter
        && !trials.iter().any(|trial| trial.name().contains(filter.as_str()))
    {
        note!("error: no case has {filter:?} in its name; without a filter, all are run");
        return ExitCode::from(MISUSED);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list && conclusion.num_passed == 0 && conclusion.num_failed == 0 {
        note!("error: nothing passed: every case was skipped");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// What runs the trials panics where it can't print. That is the user's disk, and no fault of a case.
fn end_where_nothing_can_be_written() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match panic.location() {
        Some(place) if place.file().contains("libtest-mimic") => {
            note!("can't write to standard output");
            exit(1);
        }
        _ => report(panic),
    }));
}

/// What is tested.
fn order() -> Result<Order> {
    if let Some(order) = Order::from_environment()? {
        return Ok(order);
    }
    let name = platform::native().context("there is nothing to test here")?.name;
    let program = Program::new(name, env!("CARGO_BIN_EXE_pause").into());
    Ok(Order { programs: vec![program], ..Order::default() })
}
