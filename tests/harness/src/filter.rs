//! A seccomp profile, as the kernel takes it.

use anyhow::{Context, Result, anyhow};
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::fs;
use std::path::Path;
use std::str::FromStr;
use syscalls::Sysno;
use xtask::seccomp::Profile;

/// The number that a tracer leaves behind where it makes a call fail: -1, as filters see it.
const TAKEN_AWAY: i64 = u32::MAX as i64;

/// What a profile allows. Any other call kills the process, so that none goes unnoticed.
pub(crate) struct Filter(BpfProgram);

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
        let rules = numbers.chain([TAKEN_AWAY]).map(|number| (number, Vec::new())).collect();
        let compile = || -> Result<BpfProgram, seccompiler::BackendError> {
            let here = TargetArch::try_from(std::env::consts::ARCH)?;
            SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, here)?.try_into()
        };
        Ok(Self(compile().map_err(|error| anyhow!("{error}")).with_context(say)?))
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
