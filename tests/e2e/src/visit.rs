//! A visit to a host: its checks on one image, in a sandbox of its own.

use crate::host::{Findings, Host};
use crate::hosts;
use crate::machine::Machine;
use crate::sandbox::{self, Shown};
use anyhow::{Context, Result, bail};
use harness::wait;
use std::env::{args_os, current_dir, set_current_dir};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::exit;
use xshell::{Shell, cmd};
use xtask::note;

/// As an argument, it turns this executable into a visitor. A host's name and an archive follow.
const VISITOR: &str = "--visitor";

/// The folder that the checks run in.
const FOLDER: &str = "/tmp";

/// How many seconds anything may take that a host does. A stand-in takes all of them.
const PATIENCE: u64 = 10;

/// Runs a host's checks in a sandbox with this root, which is shown some more.
///
/// # Errors
/// Where the sandbox can't be made, or the checks end in the middle.
pub fn visit(shell: &Shell, root: &Path, shown: &Shown, host: &Host, archive: &Path) -> Result<Findings> {
    let before = Machine::look()?;
    let output = sandbox::read(shell, root, shown, &[VISITOR.as_ref(), OsStr::new(host.name), archive.as_os_str()])?;
    let findings: Result<Findings, _> = serde_json::from_str(&output);
    let mut findings = findings.with_context(|| format!("the checks of {} ended in the middle", host.name))?;
    findings.changes = Machine::look()?.changes_since(&before);
    Ok(findings)
}

/// Becomes a visitor, where this executable was started as one. Does not return then.
pub fn run_if_asked() {
    let words: Vec<OsString> = args_os().skip(1).collect();
    if words.first().is_none_or(|word| word != VISITOR) {
        return;
    }
    match report(&words[1..]) {
        Ok(()) => exit(0),
        Err(error) => {
            note!("error: {error:#}");
            exit(1)
        }
    }
}

/// Runs a host's checks and writes what came of them to standard output.
fn report(words: &[OsString]) -> Result<()> {
    let [host, archive] = words else { bail!("a host and an archive") };
    let host = hosts::parse(host.to_str().context("a host's name")?)?;
    let repository = current_dir()?;
    set_current_dir(FOLDER)?;
    let shell = Shell::new()?;
    // What `cargo xtask image` makes, where pages look for it.
    let images = Path::new(archive).parent().context("a file in a directory")?;
    cmd!(shell, "cp --recursive {images} dist").quiet().run()?;
    wait::set_patience(PATIENCE);
    let findings = host.run_checks(&shell, &repository, Path::new(archive))?;
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&findings)?)?)
}
