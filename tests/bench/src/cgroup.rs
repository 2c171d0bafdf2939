//! The memory that the kernel charges to a pod's cgroup. The kubelet reports it.

use anyhow::{Context, Result};
use harness::wait;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// The versions of cgroups: root, file with the usage, file with the limit, and no limit.
static VERSIONS: [[&str; 4]; 2] = [
    ["/sys/fs/cgroup", "memory.current", "memory.high", "max"],
    ["/sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "-1"],
];

const PAGE: u64 = 4096;

/// A memory cgroup, which is removed when this is dropped.
pub struct Cgroup {
    path: PathBuf,
    usage: PathBuf,
    limit: PathBuf,
    unlimited: &'static str,
}

impl Cgroup {
    pub fn new() -> Result<Self> {
        let make = |&[root, usage, limit, unlimited]: &[&'static str; 4]| {
            let path = PathBuf::from(root).join(format!("pause-bench-{}", std::process::id()));
            fs::create_dir(&path).ok()?;
            let cgroup = Self { usage: path.join(usage), limit: path.join(limit), unlimited, path };
            cgroup.usage.exists().then_some(cgroup)
        };
        VERSIONS.iter().find_map(make).context("can't make a cgroup with a memory controller")
    }

    /// Opens the file that takes process IDs.
    pub fn processes(&self) -> Result<OwnedFd> {
        Ok(File::options().write(true).open(self.path.join("cgroup.procs"))?.into())
    }

    /// Number of bytes that its processes are charged, if all ran on this thread's processor.
    pub fn charged(&self) -> Result<u64> {
        let usage = || anyhow::Ok(fs::read_to_string(&self.usage)?.trim().parse::<u64>()?);
        // Each processor charges 64 pages in advance. If a limit below the usage is set, the kernel gives back the
        // unused ones of that processor. If all are used, it may refuse the limit.
        let _ = fs::write(&self.limit, usage()?.saturating_sub(PAGE).to_string());
        let charged = usage()?;
        fs::write(&self.limit, self.unlimited)?;
        Ok(charged)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A killed process stays in it for a moment.
        let remove = || Ok(fs::remove_dir(&self.path).is_ok());
        let _ = wait::within(wait::scaled(Duration::from_secs(1)), Duration::from_millis(1), remove);
    }
}

/// Keeps this thread, and the processes that it starts, on one processor.
pub fn stay_on_one_processor() -> Result<()> {
    let thread = Pid::from_raw(0);
    let allowed = sched_getaffinity(thread)?;
    let mut one = CpuSet::new();
    one.set((0..CpuSet::count()).find(|&index| allowed.is_set(index) == Ok(true)).context("no processor is allowed")?)?;
    Ok(sched_setaffinity(thread, &one)?)
}
