//! systemd-nspawn, bubblewrap and LXC: hosts that know no images, and take the root file system of one.

use super::bundle::{INTERRUPT, unpack};
use crate::busybox::MAKE_ORPHANS;
use crate::command::{self, Foreground, GRACE, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::REFERENCE;
use crate::pause;
use anyhow::{Context, Result, ensure};
use harness::process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::{Cmd, Shell, cmd};

/// One row of the table.
pub const NSPAWN: Host = Host {
    name: "nspawn",
    title: "systemd-nspawn",
    packages: &[
        "systemd-container",
        // systemd-container leaves open whose it is, and debootstrap then takes none.
        "dbus",
        "skopeo",
        "umoci",
    ],
    absent_from: &[],
    crates: &[],
    version: &[&["systemd-nspawn", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| checks(scene, &Nspawn),
};
/// One row of the table.
pub const BUBBLEWRAP: Host = Host {
    name: "bubblewrap",
    title: "bubblewrap",
    packages: &["bubblewrap", "skopeo", "umoci"],
    absent_from: &[],
    crates: &[],
    version: &[&["bwrap", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| checks(scene, &Bubblewrap),
};
/// One row of the table.
pub const LXC: Host = Host {
    name: "lxc",
    title: "LXC",
    packages: &["lxc", "skopeo", "umoci"],
    absent_from: &[],
    crates: &[],
    version: &[&["lxc-start", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| checks(scene, &Lxc),
};

const LOCKED: Check = Check {
    name: "it runs on a root that can't be written to, without capabilities or new privileges",
    broken_by: &[],
};
const VERSION: Check = Check { name: "it says its version to -v", broken_by: &[] };

/// The root file system.
const ROOT: &str = "/tmp/image/rootfs";

/// A host of that kind.
trait Kind {
    /// Sets up what is neither the root file system nor a command line.
    fn prepare(&self) -> Result<()>;

    /// The command that runs another one in the root file system, in the foreground.
    fn run<'a>(&self, shell: &'a Shell, command: &[&str]) -> Cmd<'a>;

    /// Ends the container with SIGTERM, as one does it there.
    fn stop(&self, shell: &Shell, host: Pid, program: Pid) -> Result<()>;
}

struct Nspawn;

impl Kind for Nspawn {
    fn prepare(&self) -> Result<()> {
        // A tree without /usr is none for it, and what can't be written to needs all places to mount something on.
        make_folders(&["dev", "proc", "run", "sys", "tmp", "usr"])
    }

    fn run<'a>(&self, shell: &'a Shell, command: &[&str]) -> Cmd<'a> {
        // Without systemd there is nobody to register with.
        let options = ["--quiet", "--register=no", "--keep-unit", "--timezone=off", "--resolv-conf=off"];
        let locks = ["--read-only", "--drop-capability=all", "--no-new-privileges=yes"];
        cmd!(shell, "systemd-nspawn {options...} {locks...} --kill-signal=SIGTERM --directory {ROOT} {command...}")
    }

    fn stop(&self, _: &Shell, host: Pid, _: Pid) -> Result<()> {
        Ok(kill(host, Signal::SIGTERM)?)
    }
}

struct Bubblewrap;

impl Kind for Bubblewrap {
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    fn run<'a>(&self, shell: &'a Shell, command: &[&str]) -> Cmd<'a> {
        let user = ["--unshare-user", "--uid", "65535", "--gid", "65535"];
        cmd!(shell, "bwrap --unshare-all {user...} --as-pid-1 --cap-drop ALL --ro-bind {ROOT} / {command...}")
    }

    fn stop(&self, _: &Shell, _: Pid, program: Pid) -> Result<()> {
        // It passes nothing on.
        Ok(kill(program, Signal::SIGTERM)?)
    }
}

struct Lxc;

impl Kind for Lxc {
    fn prepare(&self) -> Result<()> {
        make_folders(&["dev", "proc", "sys"])?;
        let configuration = format!(
            "lxc.uts.name = pause
lxc.rootfs.path = dir:{ROOT}
lxc.rootfs.options = ro
lxc.init.cmd = /pause
lxc.init.uid = 65535
lxc.init.gid = 65535
lxc.signal.halt = SIGTERM
lxc.cap.keep = none
lxc.no_new_privs = 1
lxc.net.0.type = empty
lxc.console.path = none
"
        );
        fs::create_dir_all("/var/lib/lxc/pause")?;
        Ok(fs::write("/var/lib/lxc/pause/config", configuration)?)
    }

    fn run<'a>(&self, shell: &'a Shell, command: &[&str]) -> Cmd<'a> {
        cmd!(shell, "lxc-start --foreground --name pause -- {command...}")
    }

    fn stop(&self, shell: &Shell, _: Pid, _: Pid) -> Result<()> {
        let grace = GRACE.as_secs().to_string();
        // It fails where the container does not end, which is for the checks to see.
        command::succeeds(cmd!(shell, "lxc-stop --name pause --nokill --timeout {grace}"));
        Ok(())
    }
}

fn make_folders(names: &[&str]) -> Result<()> {
    Ok(names.iter().try_for_each(|name| fs::create_dir(Path::new(ROOT).join(name)))?)
}

fn checks(scene: &mut Scene, host: &impl Kind) -> Result<()> {
    let shell = scene.shell;
    // Version 2 of cgroups alone: newer ones take no other, even where the machine mounts both.
    read(cmd!(shell, "mount -t cgroup2 cgroup2 /sys/fs/cgroup"))?;
    unpack(shell, scene.archive, REFERENCE, "image")?;
    host.prepare()?;

    let (mut container, program) = start(shell, host, "terminated")?;
    pause::wait_until_ready(program)?;
    scene.check(&LOCKED, check_locked(program));
    pause::check_reaping(scene, program, || {
        let target = program.to_string();
        // Another program in the same PID namespace. Its files are the machine's.
        read(cmd!(shell, "nsenter --target {target} --pid {MAKE_ORPHANS...}"))?;
        Ok(())
    })?;
    let begin = Instant::now();
    host.stop(shell, Pid::from_raw(container.number()), Pid::from_raw(program))?;
    let status = container.wait()?;
    pause::check_stop(scene, begin.elapsed(), status, &container.log()?);
    if status.is_none() {
        kill(Pid::from_raw(program), Signal::SIGKILL)?;
        container.wait()?;
    }

    let (mut container, program) = start(shell, host, "interrupted")?;
    pause::wait_until_ready(program)?;
    kill(Pid::from_raw(program), Signal::SIGINT)?;
    let status = container.wait()?;
    scene.check(&INTERRUPT, (status == Some(0)).then_some(()).with_context(|| format!("it is {status:?}")));

    let said = read(host.run(shell, &["/pause", "-v"]));
    scene.check(&VERSION, said.and_then(|said| pause::check_version(&said)));
    Ok(())
}

/// Starts the program. Returns the host's process, which ends with the program's exit status, and the number of the
/// program's.
fn start(shell: &Shell, host: &impl Kind, name: &'static str) -> Result<(Foreground, i32)> {
    let container = Foreground::start(host.run(shell, &["/pause"]), name)?;
    let program = || find(container.number());
    command::becomes_so(|| Ok(program().is_some()))?;
    let program = program().with_context(|| format!("it does not start: {}", container.log().unwrap_or_default()))?;
    Ok((container, program))
}

/// The process of that name below another one.
fn find(pid: i32) -> Option<i32> {
    let is_it = |pid: i32| Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.comm == "pause");
    process::children(pid).ok()?.into_iter().find_map(|child| if is_it(child) { Some(child) } else { find(child) })
}

fn check_locked(program: i32) -> Result<()> {
    let process = Process::new(program)?;
    let status = process.status()?;
    let privileges = status.capeff == 0 && status.capbnd == Some(0) && status.nonewprivs == Some(1);
    ensure!(privileges, "its status is {status:?}");
    let mounts = process.mountinfo()?.0;
    let root = mounts.iter().find(|mount| mount.mount_point == Path::new("/")).context("it has no root")?;
    ensure!(root.mount_options.contains_key("ro"), "its root's options are {:?}", root.mount_options);
    Ok(())
}
