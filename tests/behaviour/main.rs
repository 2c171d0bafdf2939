//! The contract of pause, case by case, on every platform.
//!
//! A case knows a program by its path alone, so any pause program can be put to the test.

mod assistant;
mod cases;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod process;

use cases::{CASES, Case, Promise};
use common::Program;
use libtest_mimic::{Arguments, Trial};
use process::Role;

fn main() {
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
    if conclusion.num_passed == 0 && !arguments.list {
        eprintln!("error: nothing passed: the filter matches no case, or every case was skipped");
        std::process::exit(1);
    }
    conclusion.exit();
}

/// A case on a program in a role; skipped by name where there is a reason.
fn trial(program: &Program, case: &'static Case, role: Role, stranger: bool) -> Trial {
    let reason = match (case.emulator, case.promise) {
        (Some(reason), _) if program.is_emulated() => Some(reason),
        (_, Promise::Ours) if stranger => Some("more than upstream promises"),
        _ => None,
    };
    let role_name = match role {
        Role::Init => "as PID 1",
        Role::Ordinary => "as another process",
    };
    let name = match reason {
        Some(reason) => format!("{role_name}, it {} (skipped: {reason})", case.name),
        None => format!("{role_name}, it {}", case.name),
    };
    let tested = program.clone();
    Trial::test(name, move || (case.run)(&tested, role).map_err(|error| format!("{error:#}").into()))
        .with_kind(&program.platform)
        .with_ignored_flag(reason.is_some())
}
