//! The seccomp profile that ships with the image: the system calls of the program and of the runtimes that start it, on
//! all architectures.
//!
//! OCI runtimes take it as `linux.seccomp`; Docker, podman, CRI-O and the kubelet as a file.

use anyhow::Result;
use contract::SYSTEM_CALLS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The file's name.
pub const FILE: &str = "pause.seccomp.json";

const ALLOW: &str = "SCMP_ACT_ALLOW";

/// A profile. There is no list of `architectures`: libseccomp takes none that mixes byte orders, and older ones refuse
/// names that they don't know. Without it a filter is for the machine's own architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// The action for a call that no rule names: an error. The program then drops its message, and a runtime does
    /// without the feature that it looks for.
    pub default_action: String,
    /// The other architectures whose programs a machine runs. Engines read this, runtimes ignore it.
    pub arch_map: Vec<Family>,
    pub syscalls: Vec<Rule>,
}

/// An architecture, and those whose programs it runs too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Family {
    pub architecture: String,
    pub sub_architectures: Vec<String>,
}

/// An action for some calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Runtimes ignore names that an architecture doesn't have.
    pub names: Vec<String>,
    pub action: String,
    pub comment: String,
}

const FAMILIES: [(&str, &str); 2] = [("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"), ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM")];

/// Calls of crun and runc between loading the filter and the program's first instruction. They load it earlier without
/// `noNewPrivileges`. Some are of Go's runtime, in runc. Names that end with a number are of 32-bit architectures.
#[rustfmt::skip]
const START: [&str; 53] = [
    "capget", "capset", "chdir", "close", "close_range", "epoll_ctl", "execve", "faccessat2", "fchown", "fchown32",
    "fcntl", "fcntl64", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "futex", "futex_time64", "getcwd",
    "getdents64", "getpid", "getppid", "gettid", "madvise", "mmap", "mmap2", "nanosleep", "newfstatat", "openat",
    "openat2", "prctl", "pselect6", "pselect6_time64", "read", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "sched_yield", "setgid", "setgid32", "setgroups", "setgroups32", "setresgid", "setresgid32", "setresuid",
    "setresuid32", "setuid", "setuid32", "sigaltstack", "statx", "tgkill", "write",
];

impl Profile {
    /// The profile that ships.
    pub fn of_the_program() -> Self {
        let program: BTreeSet<_> = SYSTEM_CALLS.iter().flat_map(|calls| calls.all()).collect();
        let start = START.into_iter().filter(|name| !program.contains(name)).collect::<Vec<_>>();
        let rule = |names: &mut dyn Iterator<Item = &str>, comment: &str| Rule {
            names: names.map(String::from).collect(),
            action: ALLOW.into(),
            comment: comment.into(),
        };
        let family = |(machine, other): (&str, &str)| Family {
            architecture: machine.into(),
            sub_architectures: vec![other.into()],
        };
        Self {
            default_action: "SCMP_ACT_ERRNO".into(),
            arch_map: FAMILIES.map(family).into(),
            syscalls: vec![
                rule(&mut program.into_iter(), "pause, on one architecture or another"),
                rule(&mut start.into_iter(), "a runtime that starts it, once the filter is loaded: crun and runc"),
            ],
        }
    }

    /// The same without this call.
    pub fn without(&self, call: &str) -> Self {
        let mut profile = self.clone();
        profile.syscalls.iter_mut().for_each(|rule| rule.names.retain(|name| name != call));
        profile
    }

    /// The names of all allowed calls.
    pub fn allowed(&self) -> impl Iterator<Item = &str> {
        let rules = self.syscalls.iter().filter(|rule| rule.action == ALLOW);
        rules.flat_map(|rule| rule.names.iter().map(String::as_str))
    }

    /// The profile as a file.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let profile = Profile::of_the_program();
        assert_eq!(serde_json::from_slice::<Profile>(&profile.to_json().unwrap()).unwrap(), profile);
    }

    #[test]
    fn it_allows_each_call_once_and_all_that_the_program_makes() {
        let profile = Profile::of_the_program();
        let allowed: BTreeSet<_> = profile.allowed().collect();
        assert_eq!(profile.allowed().count(), allowed.len());
        assert!(SYSTEM_CALLS.iter().flat_map(|calls| calls.all()).all(|name| allowed.contains(name)));
        // Calls of the runtimes alone have a rule of their own.
        let [program, start] = &profile.syscalls[..] else { panic!("{profile:?}") };
        assert!(!program.names.contains(&"execve".into()) && start.names.contains(&"execve".into()));
    }
}
