//! systemd-nspawn, bubblewrap and LXC: hosts that know no images, and take the root file system of one.

use super::bundle::INTERRUPT;
use crate::busybox::MAKE_ORPHANS;
use crate::command::{self, Foreground, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::pause;
use crate::recipe::{BACK, CHECK, ENDS, INSTALL, INSTALLS, Page};
use anyhow::{Context, Result, ensure};
use harness::process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};

/// One row of the table.
pub const NSPAWN: Host = Host {
    name: "nspawn",
    title: "systemd-nspawn",
    packages: &[
        "systemd-container",
        // systemd-container leaves open whose it is, and debootstrap then takes none.
        "dbus",
        "procps",
        "skopeo",
        "umoci",
    ],
    absent_from: &[],
    crates: &[],
    version: &[&["systemd-nspawn", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| {
        let page = Page::of_host(scene.repository, "systemd-nspawn")?.replace("systemd-nspawn ", NSPAWN_HERE);
        checks(scene, &page, "", 0)
    },
};
/// One row of the table.
pub const BUBBLEWRAP: Host = Host {
    name: "bubblewrap",
    title: "bubblewrap",
    packages: &["bubblewrap", "procps", "skopeo", "umoci"],
    absent_from: &[],
    crates: &[],
    version: &[&["bwrap", "--version"]],
    stand_ins: STAND_INS,
    checks: |scene| checks(scene, &Page::of_host(scene.repository, "bubblewrap")?, "", 0),
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
    checks: |scene| checks(scene, &Page::of_host(scene.repository, "lxc")?, " -- /pause", 65535),
};

const LOCKED: Check = Check {
    name: "it runs on a root that can't be written to, without capabilities or new privileges",
    broken_by: &[],
};
const VERSION: Check = Check { name: "it says its version to -v", broken_by: &[] };

/// Without systemd there is nothing to register with.
const NSPAWN_HERE: &str = "systemd-nspawn --quiet --register=no --keep-unit --timezone=off --resolv-conf=off ";

/// Runs what a page says. `program` comes before other arguments than the page's; `user` is the program's outside of a
/// user namespace.
fn checks(scene: &mut Scene, page: &Page, program: &str, user: u32) -> Result<()> {
    let shell = scene.shell;
    // Version 2 of cgroups alone: newer ones take no other, even where the machine mounts both.
    read(cmd!(shell, "mount -t cgroup2 cgroup2 /sys/fs/cgroup"))?;
    let failed = page.check_fails(shell);
    page.apply(shell, INSTALL)?;

    let (mut container, pid) = start(shell, page, "interrupted")?;
    pause::wait_until_ready(pid)?;
    kill(Pid::from_raw(pid), Signal::SIGINT)?;
    let status = container.wait()?;
    scene.check(&INTERRUPT, (status == Some(0)).then_some(()).with_context(|| format!("it is {status:?}")));
    let said = read(page.command(shell, &format!("{program} -v"))?);
    scene.check(&VERSION, said.and_then(|said| pause::check_version(&said)));

    let (mut container, pid) = start(shell, page, "terminated")?;
    pause::wait_until_ready(pid)?;
    scene.check(&INSTALLS, failed.and_then(|()| page.apply(shell, CHECK)).map(drop));
    scene.check(&LOCKED, check_locked(pid, user));
    pause::check_reaping(scene, pid, || {
        let target = pid.to_string();
        // Another program in the same PID namespace. Its files are the machine's.
        read(cmd!(shell, "nsenter --target {target} --pid {MAKE_ORPHANS...}"))?;
        Ok(())
    })?;
    let begin = Instant::now();
    let back = page.apply(shell, BACK);
    let status = container.wait()?;
    pause::check_stop(scene, begin.elapsed(), status, &container.log()?);
    scene.check(&ENDS, back.and_then(|_| page.check_fails(shell)));
    Ok(())
}

/// Runs the page's container. Returns the host's process, which ends with the program's exit status, and the number of the
/// program's.
fn start(shell: &Shell, page: &Page, name: &'static str) -> Result<(Foreground, i32)> {
    let container = Foreground::start(page.command(shell, "")?, name)?;
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

fn check_locked(program: i32, user: u32) -> Result<()> {
    let process = Process::new(program)?;
    let status = process.status()?;
    let privileges =
        status.euid == user && status.capeff == 0 && status.capbnd == Some(0) && status.nonewprivs == Some(1);
    ensure!(privileges, "its status is {status:?}");
    let mounts = process.mountinfo()?.0;
    let root = mounts.iter().find(|mount| mount.mount_point == Path::new("/")).context("it has no root")?;
    ensure!(root.mount_options.contains_key("ro"), "its root's options are {:?}", root.mount_options);
    Ok(())
}
