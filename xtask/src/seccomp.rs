//! The seccomp profile that ships: the system calls of the program and of runtimes that start it, on all architectures.

use serde_json::Value;

pub const FILE: &str = "pause.seccomp.json";

/// The profile. docs/contract.md has its rules, and why it lists no architectures.
///
/// Any other call fails with an error: the program drops its message, and a runtime does without the feature. Engines read
/// `archMap`; runtimes ignore that, and names that an architecture doesn't have. Some calls of the second rule are of Go's
/// runtime, in runc. Names that end with a number are of 32-bit architectures.
pub const PROFILE: &str = include_str!("pause.seccomp.json");

/// Returns the same profile without a call.
pub fn without(profile: &Value, call: &str) -> Value {
    let mut profile = profile.clone();
    for rule in profile["syscalls"].as_array_mut().into_iter().flatten() {
        rule["names"].as_array_mut().into_iter().for_each(|names| names.retain(|name| name != call));
    }
    profile
}

/// Returns the names of all allowed calls.
pub fn allowed(profile: &Value) -> impl Iterator<Item = &str> {
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    let rules = rules.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    rules.flat_map(|rule| rule["names"].as_array()).flatten().filter_map(Value::as_str)
}
