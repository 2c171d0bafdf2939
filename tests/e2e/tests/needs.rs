//! What the command says to somebody who can't run it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use xtask::{needs, note};

/// Somebody who is not root, and need not exist on this machine.
const USER: u32 = 65534;

/// Stands in for cargo: it knows where the repository is, and leaves a trace if it is asked for more.
const CARGO: &str = r#"#!/bin/sh
case $1 in
    locate-project) echo "${0%/*}/Cargo.toml" ;;
    *) : >"${0%/*}/built" ;;
esac
"#;

/// Everything that is missing is one message with one command, and comes before any work.
#[test]
fn a_user_who_is_not_root_is_told_all_at_once() {
    if !needs::is_root() {
        note!("skipped: becoming another user takes root");
        return;
    }
    // Where that user may read, and write. The repository may be where one may not.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    fs::write(path("cargo"), CARGO).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_e2e"), path("e2e")).unwrap();
    fs::create_dir_all(path("tests/e2e")).unwrap();
    fs::write(path("tests/e2e/hosts.txt"), include_str!("../hosts.txt")).unwrap();
    fs::write(path("tests/e2e/readers.txt"), include_str!("../readers.txt")).unwrap();
    for program in ["cargo", "e2e"] {
        fs::set_permissions(path(program), Permissions::from_mode(0o755)).unwrap();
    }

    let mut command = Command::new(path("e2e"));
    // In this PATH no package is to be found.
    command.uid(USER).gid(USER).current_dir(&folder).env("PATH", folder.path()).env("CARGO", path("cargo"));
    let output = command.args(["--host", "crun"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.len() <= 120), "{said}");
    // debootstrap may be installed already.
    assert!(lines[0].starts_with("error: this command needs root to isolate each host"), "{said}");
    assert_eq!(lines[1], r#"  sudo env PATH="$PATH" HOME="$HOME" cargo xtask e2e --host crun"#);
    assert!(!path("built").exists() && !path("target").exists(), "it began to work");
}
