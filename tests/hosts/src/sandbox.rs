//! Sandboxes for daemons and containers. None leaves a process, mount, address, cgroup or file, whatever ends it.
//!
//! A sandboxed command has its own mount, network, PID, IPC, UTS and cgroup namespaces, and a child of every cgroup
//! hierarchy. Its root is an overlay over a release of Debian; its writes stay in memory. It sees the repository,
//! read-only, and no network except its own loopback. The supervisor, outside, makes and removes the cgroups; PID 1, in
//! the sandbox, makes the mounts and reaps the command's orphans.

use anyhow::{Context, Result, ensure};
use procfs::process::Process;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xshell::{Shell, cmd};
use xtask::status;

/// Files and directories of the machine that a sandbox sees, read-only, with their places in the sandbox.
pub type BindMounts = Vec<(PathBuf, String)>;

/// The package that sets up the loopback interface.
pub const PACKAGE: &str = "iproute2";

/// Mount namespace of the machine, for a process in a sandbox.
const OUTSIDE: &str = "/proc/1/fd/4";

/// Runs a command in a new sandbox over `root`. Returns its standard output, and prints its standard error at the end.
pub fn run(root: &Path, mounts: &BindMounts, command: &[&OsStr]) -> Result<String> {
    // In a new session, the supervisor outlives an interrupt, and cleans up.
    let mut supervisor = Command::new("setsid");
    supervisor.args(["sh", "-c", include_str!("supervisor.sh"), "supervisor", include_str!("init.sh")]).arg(root);
    supervisor.args(mounts.iter().flat_map(|(source, place)| [source.as_os_str(), place.as_ref()]));
    supervisor.arg("--").args(command).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut supervisor = supervisor.spawn().context("can't run setsid")?;
    // If this process dies, the pipe closes, and the sandbox ends.
    let _pipe = supervisor.stdin.take();
    let output = supervisor.wait_with_output()?;
    status!("{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the sandbox of {command:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// A cargo with the sandbox's network and processes, and the machine's files and variables. The machine's container
/// storage is hidden: skopeo keeps a cache there.
pub fn outside(directory: &Path) -> Result<Command> {
    const HIDE: &str = "[ ! -d /var/lib/containers ] || mount -t tmpfs tmpfs /var/lib/containers
        cd \"$0\"
        exec \"$@\"";
    let variables = Process::new(1)?.environ()?;
    let cargo = variables.get(OsStr::new("CARGO")).context("cargo runs this command")?;
    let mut command = Command::new("nsenter");
    command.args([&format!("--mount={OUTSIDE}"), "unshare", "--mount", "sh", "-ec", HIDE]).arg(directory).arg(cargo);
    command.env_clear().envs(&variables).stdin(Stdio::null());
    Ok(command)
}

/// Reads the state of the machine that no sandbox may change: settings of the kernel, mounts, network interfaces and
/// cgroups. It leaves out settings that change by themselves (`perf_sample_event_took` in
/// <https://github.com/torvalds/linux/blob/v6.12/kernel/events/core.c>).
pub fn machine_state(shell: &Shell) -> Result<BTreeSet<String>> {
    const SCRIPT: &str = r#"
        find /proc/sys -type f -perm -600 ! -name ns_last_pid ! -name perf_event_max_sample_rate -exec grep -sH '' {} +
        findmnt -rno ID,TARGET
        ls -d /sys/class/net/*
        for cgroup in $(findmnt -rno TARGET -t cgroup,cgroup2 | sed 's,$,/pause-hosts-*,'); do
            [ ! -d $cgroup ] || [ -e /proc/${cgroup##*-} ] || echo $cgroup
        done
        "#;
    let state = cmd!(shell, "sh -c {SCRIPT}").quiet().output()?;
    Ok(String::from_utf8_lossy(&state.stdout).lines().map(String::from).collect())
}

pub fn changes(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    // A kernel module that was loaded adds settings.
    let added = after.difference(before).filter(|state| !state.starts_with("/proc/sys/"));
    let describe = |change, state| format!("a host or another program has changed the machine: {change}: {state}");
    let removed = before.difference(after).map(|state| describe("no longer", state));
    removed.chain(added.map(|state| describe("new", state))).collect()
}
