//! The seccomp profile that the cases can be run under: it allows only calls that are needed.

use crate::faults;
use anyhow::{Result, bail};
use contract::SystemCalls;
use harness::{Program, Role};
use std::fs;
use std::path::Path;
use tempfile::NamedTempFile;
use xtask::{platform, seccomp};

/// The calls that the profile has to allow here. The runtime starts the program by execve.
pub fn allowed() -> impl Iterator<Item = &'static str> {
    let calls = platform::native().ok().and_then(|platform| SystemCalls::of(platform.name));
    calls.into_iter().flat_map(|calls| calls.all()).chain(["execve"])
}

/// Fails if the program passes the cases that make all calls under a profile without this one.
pub fn needs(program: &Program, profile: &Path, call: &str) -> Result<()> {
    let whole = serde_json::from_slice(&fs::read(profile)?)?;
    let file = NamedTempFile::new()?;
    fs::write(file.path(), seccomp::without(&whole, call).to_string())?;
    let confined = Program { profile: Some(file.path().into()), ..program.clone() };
    for case in [faults::documented_calls, faults::interrupted_poll] {
        if let Err(error) = case(&confined, Role::Ordinary) {
            // Any other error, or a reason to skip it, doesn't show that the profile is at work.
            return if format!("{error:#}").contains("(SIGSYS)") { Ok(()) } else { Err(error) };
        }
    }
    bail!("the cases pass without {call}")
}
