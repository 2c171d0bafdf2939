//! Seccomp filters: the system calls that a process may make. Any other call kills it, so that it can't go unnoticed.

use anyhow::{Context, Result, anyhow};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, sock_filter};
use std::path::Path;
use std::str::FromStr;
use syscalls::{Sysno, x86};
use xtask::seccomp;

/// The number of a call that a tracer has replaced to make it fail: -1, as filters see it.
const TAKEN_AWAY: i64 = u32::MAX as i64;

/// A 32-bit program's architecture as filters see it, on a 64-bit kernel too: `AUDIT_ARCH_I386`, which is `EM_386` and
/// a bit for the order of its bytes. <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/audit.h>
const I386: u32 = 3 | 0x4000_0000;

/// Offsets of the call's number and of the architecture in `seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

pub(crate) fn read(profile: &Path) -> Result<BpfProgram> {
    let problem = || format!("{} is not a seccomp profile that can be applied here", profile.display());
    let content = std::fs::read(profile).with_context(|| format!("can't read {}", profile.display()))?;
    let profile = serde_json::from_slice(&content).with_context(problem)?;
    // As runtimes do, ignore calls that this architecture lacks.
    let numbers = seccomp::allowed(&profile).filter_map(|name| Some(Sysno::from_str(name).ok()?.id().into()));
    allow(numbers.chain([TAKEN_AWAY])).with_context(problem)
}

/// Allows a platform's program these calls, and to be started.
pub(crate) fn only(platform: &str, calls: &[&str]) -> Result<BpfProgram> {
    let unknown = |name: &str| anyhow!("{platform} has no system call {name}");
    if platform != "linux/386" {
        let number = |name| Ok(Sysno::from_str(name).map_err(|_| unknown(name))?.id().into());
        let numbers = calls.iter().copied().chain(["execve"]).map(number).collect::<Result<Vec<_>>>()?;
        return allow(numbers);
    }
    let number = |name: &&str| Ok(x86::Sysno::from_str(name).map_err(|_| unknown(name))?.id().cast_unsigned());
    let numbers = calls.iter().map(number).collect::<Result<Vec<_>>>()?;
    // The process that becomes the program starts it by a call of this machine's own.
    let mut here = allow([Sysno::execve.id().into()])?;
    let mut filter = for_i386(&numbers)?;
    filter.append(&mut here);
    Ok(filter)
}

/// Allows calls with these numbers, of this machine's own architecture.
fn allow(numbers: impl IntoIterator<Item = i64>) -> Result<BpfProgram> {
    let rules = numbers.into_iter().map(|number| (number, Vec::new())).collect();
    let compile = || -> Result<BpfProgram, seccompiler::BackendError> {
        let here = TargetArch::try_from(std::env::consts::ARCH)?;
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, here)?.try_into()
    };
    compile().map_err(|error| anyhow!("{error}"))
}

/// The beginning of a filter, which decides on calls of 32-bit programs. Others go on to the next instructions.
fn for_i386(numbers: &[u32]) -> Result<BpfProgram> {
    let load = |k| sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as _, jt: 0, jf: 0, k };
    let unless = |k, jf| sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as _, jt: 0, jf, k };
    let end = |k| sock_filter { code: (libc::BPF_RET | libc::BPF_K) as _, jt: 0, jf: 0, k };
    let mut decide = vec![load(NUMBER)];
    decide.extend(numbers.iter().flat_map(|&number| [unless(number, 1), end(libc::SECCOMP_RET_ALLOW)]));
    decide.push(end(libc::SECCOMP_RET_KILL_PROCESS));
    let length = decide.len().try_into().context("a jump reaches no further than 255 instructions")?;
    Ok([vec![load(ARCHITECTURE), unless(I386, length)], decide].concat())
}
