//! Runs the cases in `mirrors.sh`.

use std::process::Command;

fn run(case: &str) {
    let mut bash = Command::new("bash");
    bash.args(["tests/mirrors.sh", case]).env("KERNELS", env!("CARGO_BIN_EXE_kernels"));
    assert!(bash.status().unwrap().success());
}

#[test]
fn without_a_network_one_line_has_the_reason() {
    run("without_a_network_one_line_has_the_reason");
}

#[test]
fn with_a_contradictory_mirror_the_other_kernels_run() {
    run("with_a_contradictory_mirror_the_other_kernels_run");
}
