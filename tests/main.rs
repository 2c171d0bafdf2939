//! The contract of pause, case by case, on every platform.
//!
//! A case knows a program by its path alone, so any pause program can be put to the test.

mod assistant;
mod cases;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod process;

use cases::{CASES, Case, Promise, Skip};
use common::Program;
use libtest_mimic::{Arguments, Completion, Trial};
use process::Role;
use std::process::ExitCode;

fn main() -> ExitCode {
    assistant::run_if_asked();
    let arguments = Arguments::from_args();
    // Some other program, which need not keep more than upstream's promises.
    let stranger = std::env::var_os("PAUSE_AGAINST").is_some();
    let mut trials = Vec::new();
    for program in common::programs() {
        for case in CASES {
            trials.extend(case.roles.iter().map(|&role| trial(&program, case, role, stranger)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list && conclusion.num_passed == 0 {
        eprintln!("error: nothing passed: the filter matches no case, or every case was skipped");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// A case on a program in a role; skipped where there is a reason.
fn trial(program: &Program, case: &'static Case, role: Role, stranger: bool) -> Trial {
    let reason = match (case.emulator, case.promise) {
        (Some(reason), _) if program.is_emulated() => Some(reason),
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
        None => match (case.run)(&tested, role) {
            Ok(()) => Ok(Completion::Completed),
            Err(error) => match error.downcast_ref() {
                Some(Skip(reason)) => Ok(Completion::ignored_with(*reason)),
                None => Err(format!("{error:#}").into()),
            },
        },
    };
    Trial::ignorable_test(name, run).with_kind(&program.platform)
}
