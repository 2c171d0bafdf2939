//! A memory cgroup for one pod, and what the kernel charges to it. That is what the kubelet reports.

use anyhow::{Context, Result, bail};
use harness::wait;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use procfs::process::Process;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Where cgroups are made that charge memory, and what their files are called.
struct Controller {
    /// The root of the hierarchy.
    root: PathBuf,
    /// The file that tells how many bytes are charged.
    usage: &'static str,
    /// The file that limits them.
    limit: &'static str,
    /// What to write into it for no limit.
    unlimited: &'static str,
}

/// What the names of these cgroups begin with; the number of the process that makes them follows.
const PREFIX: &str = "pause-bench-";

/// What the kernel counts in, on most machines; elsewhere, it rounds.
const PAGE: u64 = 4096;

impl Controller {
    /// Finds it: in the second version of cgroups, else in the first; both can be there.
    fn find() -> Result<Self> {
        let mounts = Process::myself()?.mountinfo()?;
        let mounts: Vec<_> = mounts.into_iter().collect();
        let second = mounts.iter().find(|mount| {
            // Where it is not handed down, the cgroups below have none.
            let handed_down = fs::read_to_string(mount.mount_point.join("cgroup.subtree_control"));
            mount.fs_type == "cgroup2"
                && handed_down.is_ok_and(|names| names.split_whitespace().any(|name| name == "memory"))
        });
        if let Some(mount) = second {
            let root = mount.mount_point.clone();
            return Ok(Self { root, usage: "memory.current", limit: "memory.high", unlimited: "max" });
        }
        let first = mounts.iter().find(|mount| mount.fs_type == "cgroup" && mount.super_options.contains_key("memory"));
        match first {
            Some(mount) => Ok(Self {
                root: mount.mount_point.clone(),
                usage: "memory.usage_in_bytes",
                limit: "memory.limit_in_bytes",
                unlimited: "-1",
            }),
            None => bail!("no cgroups that charge memory can be made here"),
        }
    }
}

/// Prepares for cgroups: removes those that processes have left behind that were killed.
///
/// # Errors
/// Where none can be made here.
pub fn prepare() -> Result<()> {
    for entry in fs::read_dir(Controller::find()?.root)? {
        let entry = entry?;
        let owner = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if owner.is_some_and(|owner: i32| !Path::new(&format!("/proc/{owner}")).exists()) {
            // Another process may be at it too.
            let _ = fs::remove_dir(entry.path());
        }
    }
    Cgroup::new().map(|_| ())
}

/// A memory cgroup of its own for one program. It goes when it is dropped, after its processes.
pub struct Cgroup {
    controller: Controller,
    path: PathBuf,
}

impl Cgroup {
    /// Makes it; a process has at most one.
    ///
    /// # Errors
    /// Where that can't be done.
    pub fn new() -> Result<Self> {
        let controller = Controller::find()?;
        let path = controller.root.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("can't make the cgroup {}", path.display()))?;
        Ok(Self { controller, path })
    }

    /// The file that takes processes in.
    ///
    /// # Errors
    /// Where it can't be opened.
    pub fn processes(&self) -> Result<OwnedFd> {
        let file = self.path.join("cgroup.procs");
        Ok(File::options().write(true).open(&file).with_context(|| format!("can't open {}", file.display()))?.into())
    }

    /// How many bytes are charged to it, by processes that ran on this thread's processor alone: [`on_one_processor`].
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn charged(&self) -> Result<u64> {
        // Each processor charges 64 pages in advance. A limit below what is charged has the one that sets it give
        // back at once what nobody has used. Where that is nothing, the limit may be refused, and all is counted.
        let advance = self.usage()?;
        let _ = self.limit(&advance.saturating_sub(PAGE).to_string());
        let charged = self.usage()?;
        self.limit(self.controller.unlimited)?;
        Ok(charged)
    }

    fn usage(&self) -> Result<u64> {
        let file = self.path.join(self.controller.usage);
        let text = fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
        Ok(text.trim().parse()?)
    }

    fn limit(&self, limit: &str) -> Result<()> {
        let file = self.path.join(self.controller.limit);
        fs::write(&file, limit).with_context(|| format!("can't write {}", file.display()))
    }
}

/// Does something in a thread that stays on one processor, as all processes do that it starts.
///
/// # Errors
/// As it does, or where threads can't be kept on a processor.
pub fn on_one_processor<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let thread = Pid::from_raw(0);
    let stay_and_run = || {
        let allowed = sched_getaffinity(thread)?;
        let mut one = CpuSet::new();
        one.set((0..CpuSet::count()).find(|&index| allowed.is_set(index) == Ok(true)).context("a processor")?)?;
        sched_setaffinity(thread, &one)?;
        run()
    };
    thread::scope(|scope| scope.spawn(stay_and_run).join().expect("no panic"))
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was killed is in it until it is gone. What stays nevertheless, the next run removes.
        let removed = || Ok(fs::remove_dir(&self.path).is_ok());
        let _ = wait::within(Duration::from_secs(1), Duration::from_millis(1), removed);
    }
}
