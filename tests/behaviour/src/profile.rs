//! The seccomp profile under which the cases can be run: that it allows no call in vain.

use crate::{Skip, faults};
use anyhow::{Result, bail};
use contract::SystemCalls;
use harness::{Program, Role};
use std::fs;
use std::path::Path;
use tempfile::NamedTempFile;
use xtask::platform;
use xtask::seccomp::Profile;

/// What a program starts with. The profile allows it for the runtime.
const START: &str = "execve";

/// The calls that must be missed where the profile does not allow them.
pub fn needed() -> impl Iterator<Item = &'static str> {
    let calls = platform::native().ok().and_then(|platform| SystemCalls::of(platform.name));
    calls.into_iter().flat_map(|calls| calls.all()).chain([START])
}

/// Fails where the program passes the cases that make all calls under a profile without that one.
pub fn is_missed(program: &Program, profile: &Path, call: &str) -> Result<()> {
    let whole: Profile = serde_json::from_slice(&fs::read(profile)?)?;
    let file = NamedTempFile::new()?;
    fs::write(file.path(), whole.without(call).to_json()?)?;
    let confined = Program { profile: Some(file.path().into()), ..program.clone() };
    for case in [faults::documented_calls, faults::interrupted_poll] {
        if let Err(error) = case(&confined, Role::Ordinary) {
            return if error.is::<Skip>() { Err(error) } else { Ok(()) };
        }
    }
    bail!("the cases pass without {call}")
}
