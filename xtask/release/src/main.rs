//! `cargo xtask release`, as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::command::main_of_proof("release", release::run)
}
