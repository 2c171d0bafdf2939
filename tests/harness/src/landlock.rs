//! Landlock: rules by which a process gives up files, networks and signals for itself and its descendants.

use anyhow::{Context, Result};
use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The newest version whose rules are used. Older kernels ignore the rules that they don't have.
const NEWEST: ABI = ABI::V6;

pub fn has_landlock() -> bool {
    let rules = Ruleset::default().handle_access(AccessFs::Execute).and_then(Ruleset::create);
    rules.is_ok_and(|rules| Option::<OwnedFd>::from(rules).is_some())
}

/// The rules that leave a program its own file and nothing else.
pub(crate) fn only(file: &Path) -> Result<OwnedFd> {
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new(file)?, AccessFs::Execute | AccessFs::ReadFile))?;
    Option::from(rules).context("this kernel has no Landlock")
}
