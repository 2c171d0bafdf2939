//! What the command refuses before it measures anything.

use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments).output().expect("the executable starts")
}

/// One line, which names what was wrong, and exit status 2.
#[track_caller]
fn assert_refused(arguments: &[&str], reason: &str) {
    let output = bench(arguments);
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(output.stdout.is_empty());
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(arguments.iter().all(|argument| error.contains(argument)) && error.contains(reason), "{error}");
}

#[test]
fn where_nothing_can_be_written_is_refused() {
    let absent = concat!(env!("CARGO_TARGET_TMPDIR"), "/absent/costs");
    assert_refused(&["--svg", absent], "can't write in");
    assert_refused(&["--json", absent], "can't write in");
    assert_refused(&["--svg", "/proc/cost.svg"], "can't write in /proc");
}

#[test]
fn what_is_no_file_is_refused() {
    assert_refused(&["--svg", "/"], "it is a folder");
    assert_refused(&["--json", "/etc"], "it is a folder");
}

#[test]
fn a_file_that_is_no_program_is_refused() {
    assert_refused(&["--against", "/etc/passwd"], "it can't be executed");
}
