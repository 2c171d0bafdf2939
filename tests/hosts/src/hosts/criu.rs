//! CRIU: a container of runc that is dumped and restored.

use super::bundle::{check_page, running, start};
use crate::busybox::MAKE_ORPHANS;
use crate::command::{self, Daemon, read};
use crate::host::{Check, DEAFNESS, Fixture, Host, ZOMBIES, broken_by, host};
use crate::pause::{Pod, Visible, check_status};
use crate::recipe::{BACK, INSTALL, Page};
use anyhow::{Context, Result};
use xshell::{Shell, cmd};

pub const CRIU: Host = Host {
    absent_from: &[("bookworm", "has a CRIU that is too old for today's kernels")],
    ..host("criu", "CRIU, with runc", &["criu", "iptables", "procps", "runc", "skopeo", "umoci"], &[], checks)
};

const REAPS: Check =
    broken_by(ZOMBIES, "orphans that die while it is frozen, or with its restore, are reaped after it");
const PENDING: Check = broken_by(DEAFNESS, "its exit status is 0 after a SIGTERM that was pending in its checkpoint");

/// Makes orphans that die at once, outside of the frozen cgroup. CRIU needs the leader of their session in the container.
const DIE: &str = "nsenter --target $(pidof pause) --pid setsid sh -c 'for i in $(seq 50); do (true &); done; sleep 1'";

fn checks(fixture: &mut Fixture) -> Result<()> {
    let shell = fixture.shell;
    if let Err(error) = read(cmd!(shell, "criu check")) {
        fixture.findings.skipped = Some(format!("CRIU doesn't work on this machine: {error}"));
        return Ok(());
    }
    let page = Page::of_host(fixture.repository, "criu")?;
    let section = |name| Page::section(fixture.repository, "docs/hosts/criu.md", name);
    let (first, restored) = (section("Checkpoint")?, section("Restore")?);
    let failed = page.check_fails(shell);
    page.apply(shell, INSTALL)?;
    read(cmd!(shell, "install -D /bin/busybox bundle/rootfs/bin/busybox"))?;
    let make_orphans = || read(cmd!(shell, "runc exec pause {MAKE_ORPHANS...}"));

    let is_restoring = || command::succeeds(cmd!(shell, "pgrep --exact criu"));
    let pid = |_: &Daemon| running(shell, "runc", "pause").filter(|_| !is_restoring());
    let (mut container, _) = start(shell, &first, "dumped", &pid)?;
    make_orphans()?;
    dump(shell, &page, &mut container, || read(cmd!(shell, "sh -c {DIE}")).map(drop))?;

    let (mut container, pause) = start(shell, &restored, "restored", &pid)?;
    let pod = Visible(pause);
    // CRIU interrupts a `sleep`, so they may have ended.
    pod.children()?.into_iter().for_each(|(pid, _)| drop(pod.kill(&[pid])));
    let reaped = command::becomes_so(|| Ok(pod.children()?.is_empty()))?.then_some(()).context("some remain");
    check_page(fixture, &restored, failed, (&mut container, pause), (&REAPS, reaped), make_orphans)?;
    read(cmd!(shell, "runc delete --force pause"))?;

    let (mut container, _) = start(shell, &first, "pending", &pid)?;
    dump(shell, &page, &mut container, || page.apply(shell, BACK).map(drop))?;
    fixture.check(&PENDING, check_status(Daemon::start(restored.command(shell, "")?, "ended")?.wait()?, 0));
    Ok(())
}

/// Does something while the container is frozen, and dumps it as the page does.
fn dump(shell: &Shell, page: &Page, container: &mut Daemon, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
    shell.remove_path("checkpoint")?;
    read(cmd!(shell, "runc pause pause"))?;
    let dumped = meanwhile().and_then(|()| page.apply(shell, "Dump"));
    // If that has failed: on cgroup v1, nothing can kill a frozen process.
    command::succeeds(cmd!(shell, "runc resume pause"));
    dumped.and_then(|_| container.wait()).map(drop)
}
