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

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{chdir, pivot_root, setsid};
use procfs::process::Process;
use std::env::{args_os, current_dir, set_current_dir, var_os};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};
use std::thread::{sleep, spawn};
use std::time::Duration;
use xshell::{Shell, cmd};
use xtask::note;

/// This program, even if another build has replaced its file.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The Debian package that sets up the loopback interface.
pub const PACKAGE: &str = "iproute2";

/// Where programs are.
pub const PATH: &str = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The variable that tells a sandbox's processes where the mount namespace outside of it is.
const OUTSIDE: &str = "PAUSE_E2E_OUTSIDE";

/// As arguments, they turn this executable into a process of a sandbox. The root, what it is shown, and the command
/// follow.
const KEEPER: &str = "--sandbox-keeper";
const INIT: &str = "--sandbox-init";

/// The longest that a sandbox lives.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Files and folders of the machine that a sandbox is shown, read-only, each at a place below its root.
pub type Shown = [(PathBuf, String)];

/// What begins the name of every sandbox's cgroups; the keeper's process number ends it.
const CGROUP: &str = "pause-e2e-";

/// The cgroup controllers that runtimes look for in a version 1 hierarchy of their own.
const CONTROLLERS: [&str; 8] = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];

/// What this machine keeps for its own containers, and a sandbox must not see.
const HIDDEN: [&str; 5] =
    ["var/lib/cni", "var/lib/containerd", "var/lib/containers", "var/lib/docker", "var/lib/kubelet"];

/// Runs this program with `command` as its arguments in a new sandbox over `root`, which is shown some more. Returns
/// what it wrote to standard output.
///
/// # Errors
/// Where there can be no sandbox, or the command fails.
pub fn read(shell: &Shell, root: &Path, shown: &Shown, command: &[&OsStr]) -> Result<String> {
    let mut keeper = Command::new(THIS_PROGRAM)
        .arg(KEEPER)
        .arg(root)
        .arg(serde_json::to_string(shown)?)
        .args(command)
        .current_dir(shell.current_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = String::new();
    keeper.stdout.take().expect("a pipe").read_to_string(&mut output)?;
    // The pipe to its standard input closes only now, or when this process dies.
    let status = keeper.wait()?;
    ensure!(status.success(), "the sandbox of {command:?} failed: {status}");
    Ok(output)
}

/// A cargo with the sandbox's network and processes, and the files and variables of the machine outside, which has
/// everything that a build needs. The machine's container storage is hidden: skopeo keeps a cache there.
pub fn outside(folder: &Path) -> Result<Command> {
    let namespace = File::open(var_os(OUTSIDE).context("this is no sandbox")?)?;
    let folder = CString::new(folder.as_os_str().as_bytes())?;
    let variables = Process::new(1)?.environ()?;
    let mut command = Command::new(variables.get(OsStr::new("CARGO")).context("cargo runs this command")?);
    command.env_clear().envs(&variables).stdin(Stdio::null());
    // SAFETY: system calls only, which is all that is safe between fork and exec.
    unsafe {
        command.pre_exec(move || {
            setns(&namespace, CloneFlags::CLONE_NEWNS)?;
            unshare(CloneFlags::CLONE_NEWNS)?;
            remount("/", MsFlags::MS_PRIVATE | MsFlags::MS_REC)?;
            match mount(Some("tmpfs"), "/var/lib/containers", Some("tmpfs"), MsFlags::empty(), None::<&str>) {
                Ok(()) | Err(Errno::ENOENT) => Ok(chdir(folder.as_c_str())?),
                Err(error) => Err(error.into()),
            }
        });
    }
    Ok(command)
}

/// Becomes a process of a sandbox, where this executable was started as one. Does not return then.
pub fn run_if_asked() {
    let words: Vec<OsString> = args_os().skip(1).collect();
    let [stage, root, shown, command @ ..] = words.as_slice() else { return };
    let stage = match stage.to_str() {
        Some(KEEPER) => keep,
        Some(INIT) => init,
        _ => return,
    };
    match stage(Path::new(root), shown, command) {
        Ok(status) => exit(status),
        Err(error) => {
            note!("error: {error:#}");
            exit(1)
        }
    }
}

/// Makes the cgroups, runs init in them, and removes them. Returns init's exit status.
fn keep(root: &Path, shown: &OsStr, command: &[OsString]) -> Result<i32> {
    // A ^C on the terminal ends the caller. This process hears of it through the pipe.
    setsid()?;
    let cgroups = Cgroups::create()?;
    let mut doors = cgroups.doors()?;
    unshare(CloneFlags::CLONE_NEWPID)?;
    let mut init = Command::new(THIS_PROGRAM);
    init.arg(INIT).arg(root).arg(shown).args(command);
    // SAFETY: system calls only, which is all that is safe between fork and exec.
    unsafe {
        init.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            // 0 stands for the process that writes.
            doors.iter_mut().try_for_each(|door| door.write_all(b"0"))
        });
    }
    let status = init.status()?;
    Ok(status.code().unwrap_or(128 + status.signal().unwrap_or_default()))
}

/// Sets the place up, and reaps until the command ends. Returns its exit status. Runs as PID 1.
fn init(root: &Path, shown: &OsStr, command: &[OsString]) -> Result<i32> {
    let outside = File::open("/proc/self/ns/mnt")?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWCGROUP,
    )?;
    let repository = current_dir()?;
    let shown: Vec<_> = serde_json::from_slice(shown.as_bytes())?;
    change_root(root, &repository, &shown).context("can't change to the sandbox's root")?;
    // The end of this process ends every other one in its PID namespace.
    spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        exit(128 + Signal::SIGKILL as i32)
    });
    spawn(|| {
        sleep(LIMIT);
        note!("error: the sandbox was not done within {} minutes", LIMIT.as_secs() / 60);
        exit(128 + Signal::SIGKILL as i32)
    });

    let child = Command::new(THIS_PROGRAM)
        .args(command)
        .current_dir(repository)
        .env_clear()
        .envs([("PATH", PATH), ("HOME", "/root")])
        .env(OUTSIDE, format!("/proc/1/fd/{}", outside.as_raw_fd()))
        .stdin(Stdio::null())
        .spawn()?;
    let is_child = |pid: nix::unistd::Pid| pid.as_raw().cast_unsigned() == child.id();
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if is_child(pid) => return Ok(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if is_child(pid) => return Ok(128 + signal as i32),
            Ok(_) | Err(Errno::EINTR) => (),
            Err(error) => bail!("can't wait for the sandboxed command: {error}"),
        }
    }
}

/// Makes an overlay over `lower` the root, with file systems of its own for all that must not be shared.
fn change_root(lower: &Path, repository: &Path, shown: &Shown) -> Result<()> {
    remount("/", MsFlags::MS_PRIVATE | MsFlags::MS_REC)?;
    // From here the option needs no path, in which some characters would be its own.
    set_current_dir(lower)?;
    mount_new("tmpfs", Path::new("/run"), "mode=755")?;
    let root = Path::new("/run/root");
    for folder in ["/run/upper", "/run/work", "/run/root"] {
        fs::create_dir(folder)?;
    }
    mount_new("overlay", root, "lowerdir=.,upperdir=/run/upper,workdir=/run/work")
        .context("this kernel can't mount an overlay file system")?;
    let hidden = HIDDEN.map(|folder| ("tmpfs", folder, "mode=755"));
    let own = [
        ("proc", "proc", ""),
        ("sysfs", "sys", ""),
        ("tmpfs", "run", "mode=755"),
        ("tmpfs", "tmp", "mode=1777"),
        ("tmpfs", "dev/shm", "mode=1777"),
    ];
    bind(Path::new("/dev"), &root.join("dev"))?;
    for (kind, folder, data) in own.into_iter().chain(hidden) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder)?;
        mount_new(kind, &folder, data)?;
    }
    show(repository, &root.join(repository.strip_prefix("/")?))?;
    for (source, place) in shown {
        show(source, &root.join(place))?;
    }
    mount_cgroups(&root.join("sys/fs/cgroup"))?;

    // The new root lands on top of the old one, which then goes.
    set_current_dir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    set_current_dir("/")?;
    // What container engines expect of a root.
    remount("/", MsFlags::MS_SHARED | MsFlags::MS_REC)?;
    let shell = Shell::new()?;
    cmd!(shell, "ip link set lo up").env("PATH", PATH).quiet().run()?;
    Ok(())
}

/// Mounts a new file system of that kind.
fn mount_new(kind: &str, folder: &Path, data: &str) -> Result<()> {
    mount(Some(kind), folder, Some(kind), MsFlags::empty(), Some(data))
        .with_context(|| format!("can't mount {kind} on {}", folder.display()))
}

/// Shows a file or a folder in a second place, which is made, and where nobody can change it.
fn show(source: &Path, place: &Path) -> Result<()> {
    match source.is_dir() {
        true => fs::create_dir_all(place)?,
        false => {
            fs::create_dir_all(place.parent().context("a place in a folder")?)?;
            File::create(place)?;
        }
    }
    bind(source, place).with_context(|| format!("can't show {}", source.display()))?;
    Ok(remount(place, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY)?)
}

/// Shows a folder, with all that is mounted below, in a second place.
fn bind(folder: &Path, place: &Path) -> nix::Result<()> {
    mount(Some(folder), place, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
}

/// Changes what is mounted somewhere.
fn remount(place: impl AsRef<Path>, flags: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, place.as_ref(), None::<&str>, flags, None::<&str>)
}

/// Mounts this process's part of the cgroup hierarchies.
fn mount_cgroups(folder: &Path) -> Result<()> {
    if is_unified()? {
        mount_new("cgroup2", folder, "")?;
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
    mount_new("tmpfs", folder, "mode=755")?;
    let controllers = CONTROLLERS.map(|name| (name, name));
    for (name, data) in controllers.into_iter().chain([("systemd", "none,name=systemd")]) {
        let folder = folder.join(name);
        fs::create_dir(&folder)?;
        mount_new("cgroup", &folder, data)?;
    }
    Ok(())
}

/// Whether this machine has the one hierarchy of cgroup version 2 and no other.
fn is_unified() -> Result<bool> {
    Ok(Process::myself()?.cgroups()?.0.iter().all(|hierarchy| hierarchy.hierarchy == 0))
}

/// The cgroup in which sandboxes have theirs, in each hierarchy.
fn parents() -> Result<Vec<PathBuf>> {
    let unified = is_unified()?;
    let this = Process::myself()?;
    let mounts = this.mountinfo()?.0;
    let mut parents = Vec::new();
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
        parents.push(mount.mount_point.join(own));
    }
    Ok(parents)
}

/// The cgroups of sandboxes whose keeper was killed, or could not remove them.
///
/// # Errors
/// Where they can't be listed.
pub fn stale_cgroups() -> Result<Vec<PathBuf>> {
    let mut stale = Vec::new();
    for parent in parents()? {
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            let name = entry.file_name();
            let keeper = name.to_str().and_then(|name| name.strip_prefix(CGROUP));
            if keeper.is_some_and(|keeper| !Path::new("/proc").join(keeper).exists()) {
                stale.push(entry.path());
            }
        }
    }
    Ok(stale)
}

/// A cgroup in each hierarchy.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    /// Makes them: children of this process's own cgroups in version 1. In version 2 a cgroup with
    /// processes has no controllers for its children, the root alone excepted.
    fn create() -> Result<Self> {
        let unified = is_unified()?;
        for stale in stale_cgroups()? {
            // Another keeper may be doing the same.
            let _ = remove(&stale);
        }
        let mut folders = Self(Vec::new());
        for parent in parents()? {
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
                note!("warning: the cgroup {} remains: {error}", folder.display());
            }
        }
    }
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
