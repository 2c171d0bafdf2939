//! What a visit to a host must leave as it is: the machine's settings of the kernel, its mounts, its network interfaces
//! and its cgroups.

use crate::sandbox;
use anyhow::Result;
use procfs::process::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the kernel's settings are.
const SETTINGS: &str = "/proc/sys";

/// Those that change by themselves: the number that a process got last, and a rate that the kernel lowers where it is
/// too much for the machine (`perf_sample_event_took` in
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/events/core.c>).
const CHANGING: [&str; 2] = ["kernel/ns_last_pid", "kernel/perf_event_max_sample_rate"];

/// Whoever may write a file, and whoever may read it.
const WRITE: u32 = 0o222;
const READ: u32 = 0o444;

/// A machine, as it is at one moment.
pub struct Machine {
    /// The kernel's settings, with their values.
    settings: BTreeMap<PathBuf, String>,
    /// Mounts and interfaces.
    things: BTreeSet<String>,
    /// The cgroups of sandboxes that nobody will remove.
    cgroups: BTreeSet<PathBuf>,
}

impl Machine {
    /// Looks at this machine.
    ///
    /// # Errors
    /// Where the kernel does not show it.
    pub fn look() -> Result<Self> {
        let mut settings = BTreeMap::new();
        read_settings(Path::new(SETTINGS), &mut settings);
        for name in CHANGING {
            settings.remove(&Path::new(SETTINGS).join(name));
        }
        let mut things = BTreeSet::new();
        for mount in Process::myself()?.mountinfo()?.0 {
            // Something may be mounted twice in one place.
            things.insert(format!("mount {} on {}", mount.mnt_id, mount.mount_point.display()));
        }
        for interface in fs::read_dir("/sys/class/net")? {
            things.insert(format!("interface {}", interface?.file_name().display()));
        }
        Ok(Self { settings, things, cgroups: sandbox::stale_cgroups()?.into_iter().collect() })
    }

    /// How it differs from what it was.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let settings = self.settings.iter().filter_map(|(path, value)| {
            // A module that was loaded since brings settings of its own.
            let old = before.settings.get(path)?;
            (old != value).then(|| format!("{} was {old:?} and is {value:?}", path.display()))
        });
        let added = self.things.difference(&before.things).map(|thing| format!("{thing} is new"));
        let gone = before.things.difference(&self.things).map(|thing| format!("{thing} is gone"));
        let cgroups = self.cgroups.difference(&before.cgroups).map(|path| format!("{} is left", path.display()));
        settings.chain(added).chain(gone).chain(cgroups).collect()
    }
}

/// Reads all settings below a folder. What nobody may write is no setting, and what can't be read is left out.
fn read_settings(folder: &Path, settings: &mut BTreeMap<PathBuf, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            read_settings(&path, settings);
            continue;
        }
        let mode = fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & WRITE == 0 || mode & READ == 0 {
            continue;
        }
        if let Ok(value) = fs::read(&path) {
            settings.insert(path, String::from_utf8_lossy(&value).trim().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(setting: &str, things: &[&str], cgroups: &[&str]) -> Machine {
        Machine {
            settings: BTreeMap::from([("panic".into(), setting.into())]),
            things: things.iter().map(ToString::to_string).collect(),
            cgroups: cgroups.iter().map(PathBuf::from).collect(),
        }
    }

    #[test]
    fn each_change_is_named() {
        let before = machine("0", &["eth0", "lo"], &["stale"]);
        assert!(machine("0", &["eth0", "lo"], &[]).changes_since(&before).is_empty());
        let changes = machine("10", &["lo", "veth"], &["stale", "left"]).changes_since(&before);
        assert_eq!(changes, ["panic was \"0\" and is \"10\"", "veth is new", "eth0 is gone", "left is left"]);
    }
}
