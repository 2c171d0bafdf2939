//! The seccomp profile that ships: the system calls of the program and of runtimes that start it, on all architectures.
//!
//! OCI runtimes take it as `linux.seccomp`; Docker, podman, CRI-O and the kubelet as a file.

use serde_json::Value;

pub const FILE: &str = "pause.seccomp.json";

/// The profile.
///
/// Any other call fails with an error. The program then drops its message, and a runtime does without the feature that it
/// looks for. `archMap` lists the other architectures whose programs a machine runs; engines read this, runtimes ignore
/// it. There is no list of `architectures`: libseccomp takes none that mixes byte orders, and older ones refuse unknown
/// names. Without it a filter is for the machine's own architecture. Runtimes ignore names that an architecture doesn't
/// have.
///
/// The first rule is for the program. The second one has the calls of crun and runc between loading the filter and the
/// program's first instruction. They load it earlier without `noNewPrivileges`. Some are of Go's runtime, in runc. Names
/// that end with a number are of 32-bit architectures.
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
