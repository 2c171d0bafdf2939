//! Facts of what ships: of each platform's ELF file, and of the OCI image.
//!
//! `PAUSE_PROGRAMS` names the files (see `common`) and `PAUSE_IMAGE` the folder that holds `pause.oci` and
//! `pause.oci.tar`; `cargo xtask test` sets both.

#[path = "../common/mod.rs"]
mod common;
mod consumers;
mod elf;
mod layout;
mod rebuild;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [elf::trials(), layout::trials(), consumers::trials(), rebuild::trials()];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    if !arguments.list && conclusion.num_passed == 0 {
        eprintln!("error: nothing passed: the filter matches no case, or every case was skipped");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// A case about `subject` that may find that it can't be tried here.
fn case(subject: &str, sentence: &str, run: impl FnOnce() -> anyhow::Result<Completion> + Send + 'static) -> Trial {
    Trial::ignorable_test(sentence, || run().map_err(|error| Failed::from(format!("{error:#}")))).with_kind(subject)
}
