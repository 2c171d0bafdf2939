//! `cargo xtask push`: the image, into registries.

use std::process::ExitCode;
use xtask::command;

fn main() -> ExitCode {
    command::main_of_proof("push", publish::push::run)
}
