//! Arguments that are refused before anything is measured.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().expect("the executable starts")
}

/// Fails unless the message names the arguments and the reason, and the exit status is 2.
#[track_caller]
fn assert_refused(arguments: &[&str], reason: &str) {
    let output = bench(arguments);
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(output.stdout.is_empty());
    assert!(error.starts_with("error: ") && error.lines().count() <= 2, "{error}");
    let error = error.replace('\n', " ");
    assert!(arguments.iter().all(|argument| error.contains(argument)) && error.contains(reason), "{error}");
}

#[test]
fn where_nothing_can_be_written_is_refused() {
    let absent = concat!(env!("CARGO_TARGET_TMPDIR"), "/absent/costs");
    assert_refused(&["--svg", absent], "there is no directory");
    assert_refused(&["--json", absent], "there is no directory");
    assert_refused(&["--svg", "/proc/cost.svg"], "can't write in /proc");
}

#[test]
fn what_is_no_file_is_refused() {
    assert_refused(&["--svg", "/"], "it is a directory");
    assert_refused(&["--json", "/etc"], "it is a directory");
}

#[test]
fn a_file_that_is_no_program_is_refused() {
    assert_refused(&["--against", "/etc/passwd"], "it can't be executed");
}
