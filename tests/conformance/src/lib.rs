//! The contract of pause, case by case, on every platform.
//!
//! A case gets a program's path and nothing else, so it can be run on any pause program.

mod cases;
mod faults;

pub use cases::CASES;

use anyhow::{Result, bail};
use harness::{Program, Role};
use libtest_mimic::{Completion, Trial};

pub struct Case {
    /// Continues "as PID 1, it …".
    pub name: &'static str,
    pub roles: &'static [Role],
    /// Upstream's pause does not promise it.
    pub is_ours: bool,
    /// The reason why an emulator can't show it.
    pub emulator: Option<&'static str>,
    pub run: fn(&Program, Role) -> Result<()>,
}

/// The reason why a case can't be run here, as an error.
#[derive(Debug)]
pub struct Skip(pub &'static str);

impl std::fmt::Display for Skip {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Every case in each of its roles.
pub fn runs() -> impl Iterator<Item = (&'static Case, Role)> {
    CASES.iter().flat_map(|case| case.roles.iter().map(move |&role| (case, role)))
}

/// Every case in each of its roles, on every program; and for a program with a seccomp profile, that it needs each call
/// that the profile allows. For a stranger, only upstream's promises count.
pub fn trials(programs: &[Program], stranger: bool) -> Vec<Trial> {
    let of_program = |program: &Program| {
        let trials = runs().map(|(case, role)| {
            let role_name = if role == Role::Init { "PID 1" } else { "another process" };
            trial(program, format!("as {role_name}, it {}", case.name), move |program| match case.emulator {
                Some(reason) if program.emulator.is_some() => bail!(Skip(reason)),
                _ if stranger && case.is_ours => bail!(Skip("more than upstream promises")),
                _ => (case.run)(program, role),
            })
        });
        let of_profile = program.profile.iter().flat_map(|profile| {
            faults::allowed().map(move |call| {
                let (name, profile) = (format!("its seccomp profile allows {call} for a reason"), profile.clone());
                trial(program, name, move |program| faults::needs(program, &profile, call))
            })
        });
        trials.chain(of_profile).collect::<Vec<_>>()
    };
    programs.iter().flat_map(of_program).collect()
}

fn trial(program: &Program, name: String, run: impl FnOnce(&Program) -> Result<()> + Send + 'static) -> Trial {
    let (program, kind) = (program.clone(), program.name.clone());
    let run = move || match run(&program) {
        Ok(()) => Ok(Completion::Completed),
        Err(error) => match error.downcast_ref() {
            Some(Skip(reason)) => Ok(Completion::ignored_with(*reason)),
            None => Err(format!("{error:#}").into()),
        },
    };
    Trial::ignorable_test(name, run).with_kind(kind)
}
