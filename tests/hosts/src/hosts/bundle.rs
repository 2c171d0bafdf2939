//! Hosts that run a file system unpacked from the image: crun, runc and youki, locked up as tightly as a runtime can, and
//! systemd-nspawn, bubblewrap and LXC; and those of docs/embedding.md, which take the file without an image.

use crate::busybox::{self, MAKE_ORPHANS, ORPHANS};
use crate::command::{self, Daemon, read};
use crate::host::{Check, Fixture, Host, broken_by, check, host};
use crate::images::{self, LINK};
use crate::pause::{self, Visible, check_status};
use crate::recipe::{BACK, CHECK, ENDS, INSTALL, INSTALLS, Page, RUN};
use anyhow::{Context, Result, ensure};
use harness::process;
use mutation::Mutant;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use procfs::process::Process;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Instant;
use xshell::{Shell, cmd};
use xtask::{image, platform, seccomp};

pub const CRUN: Host = host("crun", "crun", &["crun", "skopeo", "strace", "umoci"], &["crun --version"], |it| {
    check_bundle(it, "crun-runc", &[], (&KILL, 128 + 9))
});
pub const RUNC: Host = host("runc", "runc", &["runc", "skopeo", "strace", "umoci"], &["runc --version"], |it| {
    check_bundle(it, "crun-runc", &[], (&KILL, 128 + 9))
});
pub const YOUKI: Host = Host {
    cargo_install: Some(("youki", "v1,v2,seccomp")),
    ..host("youki", "youki", &["skopeo", "umoci"], &["youki --version"], |it| {
        // Its calls: `container_init_process` in
        // <https://github.com/youki-dev/youki/blob/v0.7.0/crates/libcontainer/src/process/init/process.rs>
        let calls = ["sendmsg", "accept4", "recvfrom", "socket", "connect"];
        // Its exit status: `handle_foreground` in
        // <https://github.com/youki-dev/youki/blob/v0.7.0/crates/youki/src/commands/run.rs>
        check_bundle(it, "youki", &calls, (&KILLED, 9))
    })
};
// systemd-container accepts any package as its dbus, and debootstrap then installs none.
const NSPAWN_PACKAGES: &[&str] = &["systemd-container", "dbus", "procps", "skopeo", "umoci"];
pub const NSPAWN: Host = host("nspawn", "systemd-nspawn", NSPAWN_PACKAGES, &["systemd-nspawn --version"], |it| {
    // Without systemd there is nothing to register with.
    let here = "systemd-nspawn --quiet --register=no --keep-unit --timezone=off --resolv-conf=off ";
    let page = Page::of_host(it.repository, "systemd-nspawn")?.replace("systemd-nspawn ", here);
    check_root(it, &page, Some(""), Some(0))
});
pub const SYSTEMD: Host = Host {
    absent_from: &[("bookworm", "has a systemd without PrivatePIDs=")],
    ..host("systemd", "systemd", NSPAWN_PACKAGES, &["systemctl --version"], |it| {
        // As PID 1 of a container with the sandbox's files.
        const BOOT: &str = "mount -t cgroup2 cgroup2 /sys/fs/cgroup; mount --bind / /mnt; exec systemd-nspawn \
            --register=no --keep-unit --timezone=off --resolv-conf=off --bind /tmp --boot --directory /mnt";
        const ENTER: &str = "nsenter --all --target $(pgrep --exact systemd) systemctl ";
        let is_up = || command::succeeds(cmd!(it.shell, "sh -c").arg(format!("{ENTER} is-active basic.target")));
        Daemon::start(cmd!(it.shell, "sh -c {BOOT}"), "boot")?.wait_until_up(is_up)?;
        let page = Page::section(it.repository, "docs/embedding.md", "systemd")?.replace("systemctl ", ENTER);
        let log = "[Service]\nStandardError=append:/tmp/terminated.log";
        check_root(it, &page.replace("[Service]", log), None, Some(0))
    })
};
const BUBBLEWRAP_PACKAGES: &[&str] = &["bubblewrap", "procps", "skopeo", "umoci"];
pub const BUBBLEWRAP: Host = host("bubblewrap", "bubblewrap", BUBBLEWRAP_PACKAGES, &["bwrap --version"], |it| {
    check_root(it, &Page::of_host(it.repository, "bubblewrap")?, Some(""), Some(0))
});
pub const LXC: Host = host("lxc", "LXC", &["lxc", "skopeo", "umoci"], &["lxc-start --version"], |it| {
    check_root(it, &Page::of_host(it.repository, "lxc")?, Some(" -- /pause"), Some(65535))
});
pub const MACHINE: Host = Host {
    absent_from: if cfg!(target_arch = "x86_64") { &[] } else { &[("bookworm", X86), ("trixie", X86), ("sid", X86)] },
    controls: SILENCE,
    ..host("machine", "a machine, with qemu", &["linux-image-cloud-amd64", "qemu-system-x86", "cpio"], &[], |it| {
        it.check(
            &BOOTS,
            Page::section(it.repository, "docs/embedding.md", "A machine")?.apply(it.shell, RUN).map(drop),
        );
        Ok(())
    })
};
const X86: &str = "has no amd64 kernel for this machine";
const SILENCE: &[&Mutant] = &[&Mutant { name: "taking what follows for a part of the argument" }];
const BOOTS: Check = broken_by(SILENCE, "as /init of an initramfs it prints its version if the argument is -v");
pub const FILE: Host =
    host("file", "the file", &["crun", "runc", "procps", "skopeo", "umoci"], &["crun --version"], |it| {
        let page = |section| Page::section(it.repository, "docs/embedding.md", section);
        let (bundle, unshare, kata) = (page("crun and runc")?, page("unshare")?, page("Kata Containers")?);
        it.check(&KATA, kata.apply(it.shell, RUN).map(drop));
        it.setting = ", with crun";
        check_root(it, &bundle, None, Some(65535))?;
        it.setting = ", with runc";
        check_root(it, &renamed(&bundle, ARCHIVE, "other").replace("crun ", "runc "), None, Some(65535))?;
        it.setting = ", with unshare";
        check_root(it, &unshare, Some(""), None)
    });

/// The tightest confinement in which it runs.
pub const LOCKED: Check =
    check("it runs as user 65535, without capabilities or new privileges, and needs the calls in its seccomp profile");
pub const INTERRUPT: Check = check("its exit status is 0 after SIGINT");
const KILL: Check = check("its exit status is 137 after SIGKILL");
const KILLED: Check = check("its exit status is SIGKILL's number after SIGKILL");
const LINKED: Check = check("the archive for an air-gapped node has it under a second name, which runs");
const READ_ONLY: Check = check("it runs on a read-only root, without capabilities or new privileges");
const ALONE: Check = check("its root file system is that file and nothing else");
const KATA: Check = check("the bundle for Kata Containers has it as the only file, which its configuration runs");
const VERSION: Check = check("it prints its version if the argument is -v");

/// A call that the profile allows, and the program's exit status without it.
pub const MISSED: (&str, i32) = ("rt_sigaction", 2);

/// The pages' source of the image, and their bundle.
pub const ARCHIVE: &str = "oci-archive:dist/pause.oci.tar";
pub const BUNDLE: &str = "bundle";

/// The bundle of the pod's other container, and its name.
pub const OTHER: &str = "busybox";

/// Checks an OCI runtime by this page. `calls` are those that it makes once the filter is loaded, and that the shipped
/// profile does not allow; `killed` is its exit status if the program is killed.
fn check_bundle(fixture: &mut Fixture, page: &str, calls: &[&str], killed: (&Check, i32)) -> Result<()> {
    let (shell, busybox) = (fixture.shell, busybox::pack(fixture.shell)?);
    let mut profile: Value = serde_json::from_slice(&fs::read(fixture.archive.with_file_name(seccomp::FILE))?)?;
    // The last rule is for a runtime that starts the program.
    let start_names = profile["syscalls"][1]["names"].as_array_mut().context("the profile has two rules")?;
    start_names.extend(calls.iter().map(|call| json!(call)));
    let runtime = fixture.host.name;
    let page = Page::of_host(fixture.repository, page)?.replace("crun ", &format!("{runtime} "));
    let other = renamed(&page, &format!("docker-archive:{busybox}"), OTHER);
    let failed = page.check_fails(shell);
    page.apply(shell, INSTALL)?;
    other.apply(shell, INSTALL)?;
    let missed = lock_up(shell, &page, profile, "SCMP_ACT_KILL_PROCESS")?.and(check_start(shell, runtime));

    let pid = |_: &Daemon| running(shell, runtime, "pause");
    let kill = |signal: Signal| {
        let signal = signal.as_str();
        read(cmd!(shell, "{runtime} kill pause {signal}")).map(drop)
    };
    let (mut container, pause) = start(shell, &page, "pause", &pid)?;
    let locked = check_locked(pause, 65535, 2).and(missed);
    edit(OTHER, |config| join(config, pause))?;
    Daemon::start(other.command(shell, "")?, OTHER)?.wait_until_up(|| running(shell, runtime, OTHER).is_some())?;
    let orphans = || read(cmd!(shell, "{runtime} exec {OTHER} {MAKE_ORPHANS...}"));
    if check_page(fixture, &page, failed, (&mut container, pause), (&LOCKED, locked), orphans)?.is_none() {
        kill(Signal::SIGKILL)?;
        container.wait()?;
    }
    for ((check, expected), signal) in [((&INTERRUPT, 0), Signal::SIGINT), (killed, Signal::SIGKILL)] {
        let (mut container, _) = start(shell, &page, "pause", &pid)?;
        kill(signal)?;
        fixture.check(check, check_status(container.wait()?, expected));
    }

    let air_gap = format!("oci-archive:dist/{}/{}", images::LINKED, image::air_gap_archive(platform::native()?));
    let linked = renamed(&page, &air_gap, "linked");
    linked.apply(shell, INSTALL)?;
    edit("linked", |config| {
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!([format!("/{LINK}"), "-v"]);
    })?;
    let output = read(linked.command(shell, "")?);
    fixture.check(&LINKED, output.and_then(|output| pause::check_version(&output)));
    Ok(())
}

/// PID of a running container's program.
pub fn running(shell: &Shell, runtime: &str, id: &str) -> Option<i32> {
    let state = cmd!(shell, "{runtime} state {id}").quiet().ignore_stderr().read().ok()?;
    let state: Value = serde_json::from_str(&state).ok()?;
    // youki refuses to signal a container before that.
    state["pid"].as_i64().filter(|_| state["status"] == "running")?.try_into().ok()
}

/// Checks a host that takes a root file system. `program` comes before arguments that are not the page's, if the host
/// takes any; `user` is the program's outside of a user namespace, if it is locked up.
fn check_root(fixture: &mut Fixture, page: &Page, program: Option<&str>, user: Option<u32>) -> Result<()> {
    let shell = fixture.shell;
    // Version 2 of cgroups alone: newer hosts accept nothing else, even if the machine mounts both.
    const MOUNT: &str = "findmnt -t cgroup2 -M /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup";
    read(cmd!(shell, "sh -c {MOUNT}"))?;
    let failed = page.check_fails(shell);
    page.apply(shell, INSTALL)?;

    let is_service = fixture.host.name == "systemd"; // which runs it, instead of the page's command
    let pid = |container: &Daemon| find(if is_service { 1 } else { container.pid() });
    let (mut container, pause) = start(shell, page, "interrupted", &pid)?;
    nix::sys::signal::kill(Pid::from_raw(pause), Signal::SIGINT)?;
    fixture.check(&INTERRUPT, check_status(container.wait()?, 0));
    if let Some(program) = program {
        let output = read(page.command(shell, &format!("{program} -v"))?);
        fixture.check(&VERSION, output.and_then(|output| pause::check_version(&output)));
    }

    let (mut container, pause) = start(shell, page, "terminated", &pid)?;
    let target = pause.to_string();
    let files = read(cmd!(shell, "ls /proc/{target}/root"))?;
    let confined = match user {
        Some(user) => (&READ_ONLY, check_locked(pause, user, 0)),
        None => (&ALONE, (files == "pause").then_some(()).context("there are others")),
    };
    // A second program in the same PID namespace, from the machine's files.
    let orphans = || read(cmd!(shell, "nsenter --target {target} --pid {MAKE_ORPHANS...}"));
    check_page(fixture, page, failed, (&mut container, pause), confined, orphans)?;
    Ok(())
}

/// Runs a page's container until the program is ready. `pid` finds its process. Returns the host's process, which ends
/// with the program's exit status, and the program's PID.
pub fn start(
    shell: &Shell,
    page: &Page,
    name: &'static str,
    pid: &dyn Fn(&Daemon) -> Option<i32>,
) -> Result<(Daemon, i32)> {
    let container = Daemon::start(page.command(shell, "")?, name)?;
    container.wait_until_up(|| pid(&container).is_some())?;
    let pid = pid(&container).context("it has ended")?;
    pause::wait_until_ready(pid)?;
    Ok((container, pid))
}

/// Checks the page and the program while its container runs, and ends it. Returns its exit status. `failed` is the result
/// of the page's check before the installation.
pub fn check_page(
    fixture: &mut Fixture,
    page: &Page,
    failed: Result<()>,
    (container, pid): (&mut Daemon, i32),
    (locked, is_locked): (&Check, Result<()>),
    make_orphans: impl FnOnce() -> Result<String>,
) -> Result<Option<i32>> {
    let shell = fixture.shell;
    fixture.check(&INSTALLS, failed.and_then(|()| page.apply(shell, CHECK)).map(drop));
    fixture.check(locked, is_locked);
    pause::check_reaping(fixture, &Visible(pid), ORPHANS, make_orphans)?;
    let begin = Instant::now();
    let back = page.apply(shell, BACK);
    let status = container.wait()?;
    pause::check_stop(fixture, begin.elapsed(), status, &container.log()?);
    fixture.check(&ENDS, back.and_then(|_| page.check_fails(shell)));
    Ok(status)
}

/// The process of the program below another one.
fn find(pid: i32) -> Option<i32> {
    let is_it = |pid: i32| Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.comm == "pause");
    process::children(pid).ok()?.into_iter().find_map(|child| if is_it(child) { Some(child) } else { find(child) })
}

/// Checks a process's confinement: its user, no capabilities, a read-only root, and its mode of seccomp.
fn check_locked(program: i32, user: u32, seccomp: u32) -> Result<()> {
    let process = Process::new(program)?;
    let status = process.status()?;
    let is_locked = status.euid == user
        && (status.capeff, status.capbnd) == (0, Some(0))
        && status.nonewprivs == Some(1)
        && status.seccomp >= Some(seccomp);
    ensure!(is_locked, "its status is {status:?}");
    let mounts = process.mountinfo()?.0;
    let root = mounts.iter().find(|mount| mount.mount_point == Path::new("/")).context("it has no root")?;
    ensure!(root.mount_options.contains_key("ro"), "its root's options are {:?}", root.mount_options);
    Ok(())
}

/// The same page for another image, whose bundle and container have another name.
pub fn renamed(page: &Page, archive: &str, name: &str) -> Page {
    let page = page.clone().replace(ARCHIVE, archive);
    page.replace(" bundle", &format!(" {name}")).replace(" pause", &format!(" {name}"))
}

/// Changes a bundle's configuration.
pub fn edit(bundle: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let file = Path::new(bundle).join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&file)?)?;
    change(&mut config);
    Ok(fs::write(file, serde_json::to_vec(&config)?)?)
}

/// Takes away all that the program does not need; `kill` is the runtime's name for killing it at any other call. Returns
/// whether the program misses a call that the profile does not allow.
pub fn lock_up(shell: &Shell, page: &Page, mut profile: Value, kill: &str) -> Result<Result<()>> {
    let change = |profile: &Value| {
        edit(BUNDLE, |config| {
            config["root"]["readonly"] = json!(true);
            config["process"]["terminal"] = json!(false);
            config["process"]["noNewPrivileges"] = json!(true);
            config["process"]["capabilities"] = json!({});
            config["linux"]["seccomp"] = json!(profile);
        })
    };
    let (missed, expected) = MISSED;
    change(&seccomp::without(&profile, missed))?;
    let status = Daemon::start(page.command(shell, "")?, "confined")?.wait()?;
    profile["defaultAction"] = json!(kill);
    change(&profile)?;
    Ok(check_status(status, expected).with_context(|| format!("its status without {missed}")))
}

/// The calls of the profile's last rule, by those who make them. `cargo xtask hosts` sees the first two rows.
const START: &str = include_str!("start.txt");

fn start_calls(by: &str) -> impl Iterator<Item = &'static str> {
    let rows = START.lines().filter_map(|row| row.split_once(": ")).filter(move |(name, _)| name.contains(by));
    rows.flat_map(|(_, calls)| calls.split(' '))
}

/// Fails unless a runtime makes all calls of its row after it has loaded the filter, with and without new privileges.
/// Those that no row has would kill it.
fn check_start(shell: &Shell, runtime: &str) -> Result<()> {
    const TRACE: &str = include_str!("start.sh");
    if start_calls(runtime).next().is_none() {
        return Ok(());
    }
    let file = Path::new(BUNDLE).join("config.json");
    let (config, mut made) = (fs::read(&file)?, String::new());
    for locked in [true, false] {
        edit(BUNDLE, |config| {
            config["process"]["args"] = json!(["/pause", "-v"]);
            config["process"]["noNewPrivileges"] = json!(locked);
        })?;
        made += &(cmd!(shell, "sh -c {TRACE} {runtime} run --bundle {BUNDLE} traced").quiet().read()? + "\n");
    }
    fs::write(file, config)?;
    let unseen: Vec<_> = start_calls(runtime).filter(|&call| !made.lines().any(|seen| seen == call)).collect();
    ensure!(unseen.is_empty(), "once the filter is loaded it does not call {unseen:?}");
    Ok(())
}

#[test]
fn the_profile_lists_the_calls_of_a_start() {
    use std::collections::BTreeSet;
    let profile: Value = serde_json::from_str(seccomp::PROFILE).unwrap();
    let listed = profile["syscalls"][1]["names"].as_array().unwrap().iter().filter_map(Value::as_str);
    assert_eq!(BTreeSet::from_iter(listed), BTreeSet::from_iter(start_calls("")));
}

/// Puts a container into the PID namespace of process `pause`.
fn join(config: &mut Value, pause: i32) {
    config["process"]["terminal"] = json!(false);
    // youki finds itself in /proc to mount it, and another namespace's /proc has it under another PID:
    // <https://github.com/youki-dev/youki/blob/v0.7.0/crates/libcontainer/src/rootfs/mount.rs>
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "cgroup");
    }
    for namespace in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
        if namespace["type"] == "pid" {
            namespace["path"] = json!(format!("/proc/{pause}/ns/pid"));
        }
    }
}
