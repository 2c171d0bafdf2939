//! The contract of pause, case by case, on every platform.
//!
//! A case knows a program by its path alone, so any pause program can be put to the test.

mod arguments;
mod cases;
mod faults;
mod profile;

pub use cases::CASES;

use anyhow::Result;
use harness::{Program, Role};
use libtest_mimic::{Completion, Failed, Trial};

/// A promise of the program, and how to see whether it is kept.
pub struct Case {
    /// Goes on from "as PID 1, it …".
    pub name: &'static str,
    /// In which roles the program has to keep it.
    pub roles: &'static [Role],
    /// Whose promise it is.
    pub promise: Promise,
    /// Why an emulator can't show it.
    pub emulator: Option<&'static str>,
    /// Fails where the promise is broken.
    pub run: fn(&Program, Role) -> Result<()>,
}

/// Why a case can't be run here, as the error that it returns.
#[derive(Debug)]
pub struct Skip(pub &'static str);

impl std::fmt::Display for Skip {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Skip {}

/// Whose promise a case is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Upstream's pause keeps it too.
    Upstreams,
    /// This program promises more than upstream.
    Ours,
}

/// Every case, on every program, in every role that it is about; and for a program that a seccomp profile confines, that
/// each call in there is needed. `stranger` says that the programs need not keep more than upstream's promises.
pub fn trials(programs: &[Program], stranger: bool) -> Vec<Trial> {
    let cases = programs.iter().flat_map(|program| CASES.iter().map(move |case| (program, case)));
    let trials =
        cases.flat_map(|(program, case)| case.roles.iter().map(move |&role| trial(program, case, role, stranger)));
    trials.chain(programs.iter().flat_map(trials_of_profile)).collect()
}

/// That each call which the program's profile allows is missed without it.
fn trials_of_profile(program: &Program) -> Vec<Trial> {
    let Some(profile) = &program.profile else { return Vec::new() };
    let trial = |call: &'static str| {
        let (program, profile, kind) = (program.clone(), profile.clone(), program.name.clone());
        let run = move || completion(profile::is_missed(&program, &profile, call));
        Trial::ignorable_test(format!("its seccomp profile allows {call} for a reason"), run).with_kind(kind)
    };
    profile::needed().map(trial).collect()
}

/// What came of a case.
fn completion(result: Result<()>) -> Result<Completion, Failed> {
    match result {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref() {
            Some(Skip(reason)) => Ok(Completion::ignored_with(*reason)),
            None => Err(format!("{error:#}").into()),
        },
    }
}

/// A case on a program in a role; skipped where there is a reason.
fn trial(program: &Program, case: &'static Case, role: Role, stranger: bool) -> Trial {
    let reason = match (case.emulator, case.promise) {
        (Some(reason), _) if program.emulator.is_some() => Some(reason),
        (_, Promise::Ours) if stranger => Some("more than upstream promises"),
        _ => None,
    };
    let name = match role {
        Role::Init => format!("as PID 1, it {}", case.name),
        Role::Ordinary => format!("as another process, it {}", case.name),
    };
    let tested = program.clone();
    let run = move || match reason {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => completion((case.run)(&tested, role)),
    };
    Trial::ignorable_test(name, run).with_kind(&program.name)
}
