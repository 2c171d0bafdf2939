//! Runs the cases of the contract, and of the ELF files and the image.
//!
//! `cargo xtask test` passes the programs in the environment. Without that, this builds and tests the one for this machine.

use anyhow::{Context, Result};
use libtest_mimic::Arguments;
use nix::unistd::geteuid;
use std::env::var_os;
use std::panic;
use std::path::Path;
use std::process::{ExitCode, exit};
use xtask::status;
use xtask::table::Table;
use xtask::test::{Order, Program};

/// Exit status of a run without any case.
const USAGE_ERROR: u8 = 2;

/// Numbers of skipped cases per program, of which a change must not go unnoticed.
const SKIPS: &str = "tests/conformance/skips.txt";

fn main() -> ExitCode {
    harness::orphan_spawner::run_if_asked();
    harness::process::end_with_its_reader();
    end_if_stdout_fails();
    run(&Arguments::from_args()).unwrap_or_else(|error| {
        status!("error: {error:#}");
        ExitCode::from(USAGE_ERROR)
    })
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let native = || Ok(Order { programs: vec![Program::native(&repository)?], shipped: true, ..Order::default() });
    let order = Order::from_environment()?.map_or_else(native, anyhow::Ok)?;
    // The longest first: one of these builds the image on one core.
    let mut trials = image::trials(&order);
    trials.extend(conformance::trials(&order.programs, order.stranger));
    if let Some(filter) = &arguments.filter
        && !trials.iter().any(|trial| trial.name().contains(filter.as_str()))
    {
        status!("error: no case has {filter:?} in its name; without a filter, all are run");
        return Ok(ExitCode::from(USAGE_ERROR));
    }
    let is_whole = order.shipped && arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let conclusion = libtest_mimic::run(arguments, trials);
    if !arguments.list && conclusion.num_passed == 0 && conclusion.num_failed == 0 {
        status!("error: nothing passed: every case was skipped");
        return Ok(ExitCode::FAILURE);
    }
    let (skipped, expected) = (conclusion.num_ignored, expected_skips(&repository, &order.programs)?);
    if is_whole && skipped != expected {
        // Users may lack something that the cases need.
        let (kind, is_error) = if var_os("CI").is_some() { ("error", true) } else { ("warning", false) };
        status!("{kind}: {skipped} cases were skipped instead of {expected} ({SKIPS}); see their reasons above");
        if is_error {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(conclusion.exit_code())
}

fn expected_skips(repository: &Path, programs: &[Program]) -> Result<u64> {
    let user = if geteuid().is_root() { "root" } else { "user" };
    let table = Table::read(&repository.join(SKIPS))?.select(&["program", user])?;
    let skips = programs.iter().map(|program| {
        let kind = match &program.emulator {
            None => "native",
            Some(_) if program.name == "linux/386" && cfg!(target_arch = "x86_64") => "linux/386 on linux/amd64",
            Some(_) => "emulated",
        };
        Ok(table.find(&[kind]).with_context(|| format!("{SKIPS} has no row {kind}"))?[1].parse::<u64>()?)
    });
    skips.sum()
}

/// libtest-mimic panics if it can't print: for example, the disk is full.
fn end_if_stdout_fails() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match panic.location() {
        Some(place) if place.file().contains("libtest-mimic") => {
            status!("can't write to standard output");
            exit(1);
        }
        _ => report(panic),
    }));
}
