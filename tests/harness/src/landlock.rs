//! Landlock: rules by which a process gives up files, networks and signals for itself and all that comes after it.

use anyhow::{Context, Result};
use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::libc;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// The newest version whose rules are used; an older kernel has fewer of them.
const NEWEST: ABI = ABI::V6;

/// Whether the kernel has it, and uses it.
pub fn has_landlock() -> bool {
    let rules = Ruleset::default().handle_access(AccessFs::Execute).and_then(Ruleset::create);
    rules.is_ok_and(|rules| Option::<OwnedFd>::from(rules).is_some())
}

/// The rules that are left to a program: its own file, and nothing else.
pub(crate) struct Rules(OwnedFd);

impl Rules {
    /// Those of the program in that file.
    ///
    /// # Errors
    /// Where the kernel has no Landlock.
    pub fn of(file: &Path) -> Result<Self> {
        let rules = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rule(PathBeneath::new(PathFd::new(file)?, AccessFs::Execute | AccessFs::ReadFile))?;
        Ok(Self(Option::from(rules).context("this kernel has no Landlock")?))
    }

    /// Confines this process for good.
    ///
    /// # Safety
    /// Whatever this thread does next must be allowed.
    pub unsafe fn apply(&self) -> bool {
        // SAFETY: promised by the caller.
        unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) == 0
        }
    }
}
