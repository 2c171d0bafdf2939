//! `cargo xtask verify`: an image, against these sources.

use std::process::ExitCode;
use xtask::command;

fn main() -> ExitCode {
    command::main_of_proof("verify", publish::verify::run)
}
