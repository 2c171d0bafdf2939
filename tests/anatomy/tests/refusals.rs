//! What the command refuses, it refuses before it builds anything, in one line that says what would do.

use std::process::Command;

/// What the command says to these arguments.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_anatomy")).args(arguments).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), message.lines().count()), (Some(2), 1), "{message}");
    assert!(output.stdout.is_empty());
    message
}

#[test]
fn options_that_do_not_go_together() {
    for arguments in [&["--bless"][..], &["--listing", "--output", "picture.svg"]] {
        let message = refused(arguments);
        assert!(message.contains("--listing"), "{message}");
    }
}

#[test]
fn a_file_that_can_not_be_written() {
    for file in ["", ".", "/", "no such folder/picture.svg", "Cargo.toml/picture.svg"] {
        let message = refused(&["--output", file]);
        assert!(message.contains("--output"), "{message}");
    }
}
