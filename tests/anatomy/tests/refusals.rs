//! Arguments that are refused before anything is built.

use std::process::Command;

/// Returns the message.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_anatomy")).args(arguments).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("error: ") && message.lines().count() <= 2, "{message}");
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
