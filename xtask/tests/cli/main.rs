//! Cases of `cargo xtask build`, `image`, `test`, `verify` and `release`: paths, streams, file systems, users, networks,
//! interrupts and bad input. Each either works, or ends in one clear line and the right exit status.

mod library;
mod release;
mod shell;

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// A sentence that is checked, and the check.
type Case = (&'static str, fn() -> Result<()>);

/// The reason why a case can't run here, as its error.
#[derive(Debug)]
struct Skip(String);

impl fmt::Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The checkout that the tests were built from.
fn original() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package in the repository")
}

fn trial(name: &'static str, check: impl Fn() -> Result<()> + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match check() {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref() {
            Some(Skip(reason)) => Ok(Completion::ignored_with(reason)),
            None => Err(Failed::from(format!("{error:#}"))),
        },
    })
}

fn main() -> Result<ExitCode> {
    if let Some(directory) = std::env::var_os("PAUSE_CHECK_RELEASE") {
        return release::check(Path::new(&directory)).map(|()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::from_args();
    let copy = Arc::new(Mutex::new(shell::Copy::new().context("can't copy the sources")?));
    let mut trials: Vec<_> = library::CASES.iter().map(|(name, check)| trial(name, check)).collect();
    for (name, commands) in shell::cases() {
        let copy = copy.clone();
        let check = move || copy.lock().unwrap_or_else(PoisonError::into_inner).run(commands);
        trials.push(trial(name, check));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // On Linux, root can run all of them.
    if conclusion.num_ignored > 0 && xtask::prerequisites::is_root() && std::env::var_os("CI").is_some() {
        xtask::status!("error: {} cases were skipped; see their reasons above", conclusion.num_ignored);
        return Ok(ExitCode::FAILURE);
    }
    Ok(conclusion.exit_code())
}
