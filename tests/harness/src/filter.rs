//! What a process may call, as the kernel takes it: a seccomp filter.

use anyhow::{Context, Result, anyhow};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, sock_filter};
use std::fs;
use std::path::Path;
use std::str::FromStr;
use syscalls::{Sysno, x86};
use xtask::seccomp::Profile;

/// The number that a tracer leaves behind where it makes a call fail: -1, as filters see it.
const TAKEN_AWAY: i64 = u32::MAX as i64;

/// What a process may call. Any other call kills it, so that none goes unnoticed.
pub(crate) struct Filter(BpfProgram);

/// What starts a program, once it is confined.
const START: &str = "execve";

/// A 32-bit program's architecture as filters see it, on a 64-bit kernel too: `AUDIT_ARCH_I386`, which is `EM_386` and
/// a bit for the order of its bytes. <https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/audit.h>
const I386: u32 = 3 | 0x4000_0000;

/// Where `seccomp_data` has the number of the call, and the architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

impl Filter {
    /// Reads a profile.
    ///
    /// # Errors
    /// Where it can't be read, or can't be made a filter on this machine.
    pub fn read(profile: &Path) -> Result<Self> {
        let say = || format!("{} is no seccomp profile that can be applied here", profile.display());
        let content = fs::read(profile).with_context(|| format!("can't read {}", profile.display()))?;
        let profile: Profile = serde_json::from_slice(&content).with_context(say)?;
        // As runtimes do, pass over what this architecture does not have.
        let numbers = profile.allowed().filter_map(|name| Some(Sysno::from_str(name).ok()?.id().into()));
        Self::allow(numbers.chain([TAKEN_AWAY])).with_context(say)
    }

    /// Allows a program of that platform these calls, and to be started.
    ///
    /// # Errors
    /// Where it has no such call, or that can't be made a filter on this machine.
    pub fn only(platform: &str, calls: &[&str]) -> Result<Self> {
        let unknown = |name: &str| anyhow!("there is no system call {name} on {platform}");
        if platform != "linux/386" {
            let number = |name| Ok(Sysno::from_str(name).map_err(|_| unknown(name))?.id().into());
            let numbers = calls.iter().copied().chain([START]).map(number).collect::<Result<Vec<_>>>()?;
            return Self::allow(numbers);
        }
        let number = |name: &&str| Ok(x86::Sysno::from_str(name).map_err(|_| unknown(name))?.id().cast_unsigned());
        let numbers = calls.iter().map(number).collect::<Result<Vec<_>>>()?;
        // What starts it is a call of the process that becomes it.
        let Self(mut here) = Self::allow([Sysno::execve.id().into()])?;
        let mut filter = Self::for_i386(&numbers)?;
        filter.append(&mut here);
        Ok(Self(filter))
    }

    /// Allows calls of those numbers, on this machine's own architecture.
    fn allow(numbers: impl IntoIterator<Item = i64>) -> Result<Self> {
        let rules = numbers.into_iter().map(|number| (number, Vec::new())).collect();
        let compile = || -> Result<BpfProgram, seccompiler::BackendError> {
            let here = TargetArch::try_from(std::env::consts::ARCH)?;
            SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, here)?.try_into()
        };
        Ok(Self(compile().map_err(|error| anyhow!("{error}"))?))
    }

    /// The beginning of a filter that decides on the calls of a 32-bit program. It leaves others to what follows.
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

    /// Confines this process for good.
    ///
    /// # Safety
    /// Whatever this thread does next must be allowed.
    pub unsafe fn apply(&self) -> bool {
        let program = libc::sock_fprog { len: self.0.len() as _, filter: self.0.as_ptr().cast_mut().cast() };
        // SAFETY: the kernel reads the filter, whose instructions have the kernel's layout.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) == 0
        }
    }
}
