//! The command's message for a user who can't run it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use xtask::{prerequisites, status};

/// A cargo that finds the repository, and leaves a trace if it is called for anything else.
const CARGO: &str = r#"#!/bin/sh
[ $1 = locate-project ] && echo "${0%/*}/Cargo.toml" || : >"${0%/*}/built"
"#;

#[test]
fn one_message_lists_everything_that_is_missing_before_any_work() {
    if !prerequisites::is_root() {
        status!("skipped: only root can become another user");
        return;
    }
    // Another user may not be able to read the repository.
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir_all(path("tests/hosts")).unwrap();
    fs::write(path("tests/hosts/hosts.txt"), include_str!("../hosts.txt")).unwrap();
    fs::write(path("tests/hosts/readers.txt"), include_str!("../readers.txt")).unwrap();
    fs::write(path("cargo"), CARGO).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_hosts"), path("hosts")).unwrap();
    for path in [directory.path(), &path("cargo"), &path("hosts")] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }

    let mut command = Command::new(path("hosts"));
    // This PATH contains no program of a package.
    command.uid(65534).gid(65534).current_dir(&directory).env("PATH", directory.path()).env("CARGO", path("cargo"));
    let output = command.args(["--host", "crun"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), [].as_slice()), "{message}");
    let lines: Vec<_> = message.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.len() <= 120), "{message}");
    // debootstrap may be installed.
    assert!(lines[0].starts_with("error: this command needs root to isolate each host"), "{message}");
    assert_eq!(lines[1], r#"  sudo env PATH="$PATH" HOME="$HOME" cargo xtask hosts --host crun"#);
    assert!(!path("built").exists() && !path("target").exists(), "it started to work");
}
