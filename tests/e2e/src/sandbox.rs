//! A place for daemons and containers, of which nothing remains: neither processes, mounts, addresses,
//! cgroups nor files, whatever ends it.
//!
//! A sandboxed command is this program again, in new mount, network, PID, IPC, UTS and cgroup namespaces and
//! in its own child of every cgroup hierarchy. Its root is an overlay over the machine's: what it writes
//! stays in memory. It reaches the repository, read-only, and no network but its own loopback.
//!
//! Three processes stand between the caller and the command. The keeper, outside, makes the cgroups and
//! removes them at the end. The init is PID 1: it sets the place up, and with it all the others die. The
//! command itself is an ordinary child of init, which reaps what the command's daemons leave behind. The
//! keeper's and init's standard input is a pipe that the caller holds: its end tells that the caller is gone.

use crate::install;
use anyhow::{Context, Result, bail, ensure};
use procfs::process::Process;
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, mount_remount, unmount,
};
use rustix::process::{Signal, WaitOptions, pivot_root, set_parent_process_death_signal, setsid, wait};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio, exit};
use std::thread::{sleep, spawn};
use std::time::Duration;
use xshell::{Shell, cmd};

/// This program, even if another build has replaced its file.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The longest that a sandbox lives.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// What begins the name of every sandbox's cgroups; the keeper's process number ends it.
const CGROUP: &str = "pause-xtask-";

/// The cgroup controllers that runtimes look for in a version 1 hierarchy of their own.
const CONTROLLERS: [&str; 8] = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];

/// What this machine keeps for its own containers, and a sandbox must not see.
const HIDDEN: [&str; 8] = [
    "etc/cni",
    "etc/containerd",
    "etc/containers",
    "etc/docker",
    "var/lib/cni",
    "var/lib/containerd",
    "var/lib/containers",
    "var/lib/docker",
];

/// A process of the sandbox.
#[derive(clap::Args)]
pub struct Arguments {
    stage: Stage,
    root: PathBuf,
    #[arg(trailing_var_arg = true)]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Stage {
    Keeper,
    Init,
}

/// Runs this program with `command` as its arguments in a new sandbox over `root`. Returns what it wrote to
/// standard output.
///
/// # Errors
/// Where there can be no sandbox, or the command fails.
pub fn read(shell: &Shell, root: &Path, command: &[&str]) -> Result<String> {
    ensure!(install::is_root(), "a sandbox needs namespaces, mounts and cgroups of its own; run this as root");
    install::ensure(shell, "ip", &["iproute2"], "set up the loopback of a sandbox")?;
    let mut keeper = Command::new(THIS_PROGRAM)
        .args(["sandbox", "keeper"])
        .arg(root)
        .args(command)
        .current_dir(shell.current_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = String::new();
    keeper.stdout.take().expect("a pipe").read_to_string(&mut output)?;
    // The pipe to its standard input closes only now, or when this process dies.
    let status = keeper.wait()?;
    ensure!(status.success(), "the sandbox of `{}` failed: {status}", command.join(" "));
    Ok(output)
}

/// Runs a process of the sandbox.
///
/// # Errors
/// Where the place can't be set up.
pub fn run(arguments: &Arguments) -> Result<()> {
    let status = match arguments.stage {
        Stage::Keeper => keep(&arguments.root, &arguments.command)?,
        Stage::Init => init(&arguments.root, &arguments.command)?,
    };
    exit(status.code().unwrap_or(128 + status.signal().unwrap_or_default()))
}

/// Makes the cgroups, runs init in them, and removes them.
fn keep(root: &Path, command: &[OsString]) -> Result<ExitStatus> {
    // A ^C on the terminal ends the caller. This process hears of it through the pipe.
    setsid()?;
    let cgroups = Cgroups::create()?;
    let mut doors = cgroups.doors()?;
    // SAFETY: this process has one thread and shares nothing.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID)? };
    let mut init = Command::new(THIS_PROGRAM);
    init.args(["sandbox", "init"]).arg(root).args(command);
    // SAFETY: system calls only, which is all that is safe between fork and exec.
    unsafe {
        init.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // 0 stands for the process that writes.
            doors.iter_mut().try_for_each(|door| door.write_all(b"0"))
        });
    }
    Ok(init.status()?)
}

/// Sets the place up, and reaps until the command ends. Runs as PID 1.
fn init(root: &Path, command: &[OsString]) -> Result<ExitStatus> {
    let namespaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // SAFETY: this process has one thread still and shares nothing.
    unsafe { unshare_unsafe(namespaces)? };
    let repository = std::env::current_dir()?;
    change_root(root, &repository).context("can't change to the sandbox's root")?;
    // The end of this process ends every other one in its PID namespace.
    spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        exit(128 + Signal::KILL.as_raw())
    });
    spawn(|| {
        sleep(LIMIT);
        eprintln!("error: the sandbox was not done within {} minutes", LIMIT.as_secs() / 60);
        exit(128 + Signal::KILL.as_raw())
    });

    let child = Command::new(THIS_PROGRAM)
        .args(command)
        .current_dir(repository)
        .env_clear()
        .envs([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")])
        .stdin(Stdio::null())
        .spawn()?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() as u32 == child.id() => {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(_) | Err(Errno::INTR) => (),
            Err(error) => bail!("can't wait for the sandboxed command: {error}"),
        }
    }
}

/// Makes an overlay over `lower` the root, with file systems of its own for all that must not be shared.
fn change_root(lower: &Path, repository: &Path) -> Result<()> {
    let none = MountFlags::empty();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tmpfs", "/run", "tmpfs", none, c"mode=755")?;
    let root = Path::new("/run/root");
    for folder in ["/run/upper", "/run/work", "/run/root"] {
        fs::create_dir(folder)?;
    }
    let layers = format!("lowerdir={},upperdir=/run/upper,workdir=/run/work", lower.display());
    mount("overlay", root, "overlay", none, CString::new(layers)?.as_c_str())
        .context("this kernel can't mount an overlay file system")?;
    let hidden = HIDDEN.map(|folder| ("tmpfs", folder, c"mode=755"));
    let own = [
        ("proc", "proc", c""),
        ("sysfs", "sys", c""),
        ("tmpfs", "run", c"mode=755"),
        ("tmpfs", "tmp", c"mode=1777"),
        ("tmpfs", "dev/shm", c"mode=1777"),
    ];
    mount_bind_recursive("/dev", root.join("dev"))?;
    for (kind, folder, data) in own.into_iter().chain(hidden) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)?;
        mount(kind, &folder, kind, none, data).with_context(|| format!("can't mount {}", folder.display()))?;
    }
    let inside = root.join(repository.strip_prefix("/")?);
    fs::create_dir_all(&inside)?;
    mount_bind_recursive(repository, &inside)?;
    mount_remount(&inside, MountFlags::BIND | MountFlags::RDONLY, "")?;
    mount_cgroups(&root.join("sys/fs/cgroup"))?;

    // The new root lands on top of the old one, which then goes.
    std::env::set_current_dir(root)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    // What container engines expect of a root.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    let shell = Shell::new()?;
    cmd!(shell, "ip link set lo up").quiet().run()?;
    Ok(())
}

/// Mounts this process's part of the cgroup hierarchies.
fn mount_cgroups(folder: &Path) -> Result<()> {
    let none = MountFlags::empty();
    if is_unified()? {
        mount("cgroup2", folder, "cgroup2", none, c"")?;
        // A cgroup gives controllers to its children only while no process is in it:
        // https://github.com/torvalds/linux/blob/v6.12/Documentation/admin-guide/cgroup-v2.rst#no-internal-process-constraint
        fs::create_dir(folder.join("init"))?;
        fs::write(folder.join("init/cgroup.procs"), "0")?;
        for controller in fs::read_to_string(folder.join("cgroup.controllers"))?.split_whitespace() {
            fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
        return Ok(());
    }
    // Version 1 only, even if the machine mounts both: crun refuses a mixture.
    mount("tmpfs", folder, "tmpfs", none, c"mode=755")?;
    let systemd = ("systemd", c"none,name=systemd".to_owned());
    let controllers = CONTROLLERS.map(|name| (name, CString::new(name).expect("no NUL in a name")));
    for (name, data) in controllers.into_iter().chain([systemd]) {
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        mount("cgroup", &folder, "cgroup", none, data.as_c_str())
            .with_context(|| format!("can't mount the cgroup hierarchy {name}"))?;
    }
    Ok(())
}

/// Whether this machine has the one hierarchy of cgroup version 2 and no other.
fn is_unified() -> Result<bool> {
    Ok(Process::myself()?.cgroups()?.0.iter().all(|hierarchy| hierarchy.hierarchy == 0))
}

/// A cgroup in each hierarchy.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    /// Makes them: children of this process's own cgroups in version 1. In version 2 a cgroup with
    /// processes has no controllers for its children, the root alone excepted.
    fn create() -> Result<Self> {
        let unified = is_unified()?;
        let this = Process::myself()?;
        let mounts = this.mountinfo()?.0;
        let mut folders = Self(Vec::new());
        for hierarchy in this.cgroups()? {
            let names = |key: &String| hierarchy.controllers.iter().any(|controller| controller == key);
            let is_its = |mount: &&procfs::process::MountInfo| match hierarchy.hierarchy {
                0 => mount.fs_type == "cgroup2",
                _ => {
                    mount.fs_type == "cgroup"
                        && mount.super_options.iter().any(|(key, value)| match value {
                            Some(value) => names(&format!("{key}={value}")),
                            None => names(key),
                        })
                }
            };
            let Some(mount) = mounts.iter().find(is_its) else { continue };
            let own = if unified { "" } else { hierarchy.pathname.trim_start_matches('/') };
            let parent = mount.mount_point.join(own);
            remove_stale(&parent)?;
            let folder = parent.join(format!("{CGROUP}{}", std::process::id()));
            fs::create_dir(&folder).with_context(|| format!("can't make the cgroup {}", folder.display()))?;
            // A new cpuset of version 1 is empty and takes no process.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if !unified && parent.join(file).exists() {
                    fs::write(folder.join(file), fs::read(parent.join(file))?)?;
                }
            }
            folders.0.push(folder);
        }
        Ok(folders)
    }

    /// The files through which a process enters.
    fn doors(&self) -> Result<Vec<File>> {
        let open = |folder: &PathBuf| Ok(OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?);
        self.0.iter().map(open).collect()
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for folder in &self.0 {
            if let Err(error) = remove(folder) {
                eprintln!("warning: the cgroup {} remains: {error}", folder.display());
            }
        }
    }
}

/// Removes what a keeper that was killed left behind.
fn remove_stale(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let keeper = entry.file_name().to_string_lossy().strip_prefix(CGROUP).map(|pid| Path::new("/proc").join(pid));
        if keeper.is_some_and(|keeper| !keeper.exists()) {
            // Another keeper may be doing the same.
            let _ = remove(&entry.path());
        }
    }
    Ok(())
}

/// Removes a cgroup and those below it. No process is in them any more, but the kernel may not be through.
fn remove(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    for _ in 0..50 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => sleep(Duration::from_millis(20)),
            done => return done,
        }
    }
    fs::remove_dir(folder)
}
