//! `cargo xtask demo`: what a pause container is for, shown on this machine, without a container engine.

use crate::{build, install, platform};
use anyhow::{Context, Result, ensure};
use procfs::process::{Process, Stat, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use xshell::Shell;

/// Show what pause is for: a PID namespace, orphans, and who reaps them
#[derive(clap::Args)]
pub struct Arguments {}

/// What happens in the namespace. Its PID 1 leaves a child behind and becomes the program; the child stands
/// for a container of the pod. At a line of input it starts a process with three children, at the next
/// that process dies.
const POD: &str = r#"
    exec 3<&0
    {
        read -r _ <&3
        sh -c 'sleep 60 & sleep 60 & sleep 60 & read -r _ <&3'
        read -r _ <&3
    } &
    exec 3<&- "$@"
"#;

/// How long a step may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to watch for what may never happen.
const SHORT_PATIENCE: Duration = Duration::from_millis(300);

/// Runs the command.
///
/// # Errors
/// Where the machine can't make namespaces, or where pause does not do what it is for.
pub fn run(shell: &Shell, _: &Arguments) -> Result<()> {
    let native = platform::native().context("pause has no port for this machine, so there is nothing to show on it")?;
    let binaries = build::build(shell, &[native])?;
    let pause = binaries[0].path.to_str().context("a path in UTF-8")?;

    println!("\nA pod's containers can share a PID namespace. Its first process, PID 1, inherits every process");
    println!("whose parent has died, and has to reap it when it dies too: else it stays in the process table");
    println!("as a zombie, for as long as the pod lives.");

    println!("\n=== With pause as PID 1 ===");
    let (zombies, end) = show(&[pause])?;
    ensure!(zombies == 0, "pause left {zombies} zombies");
    ensure!(end.is_some_and(|end| end.success()), "pause ended with {end:?}");

    println!("\n=== With a PID 1 that merely sleeps ===");
    let (zombies, _) = show(&["sleep", "infinity"])?;
    ensure!(zombies == 3, "it should have left 3 zombies, not {zombies}");
    Ok(())
}

/// Shows one PID 1 at work. Returns how many zombies it left, and how it ended if SIGTERM ended it.
fn show(program: &[&str]) -> Result<(usize, Option<ExitStatus>)> {
    let mut pod = Pod::start(program)?;
    let file_name = Path::new(program[0]).file_name().context("a file")?.to_string_lossy();
    // The kernel keeps the first 15 characters of a name.
    pod.wait_until("PID 1 is the program", PATIENCE, |pod| Ok(file_name.starts_with(&pod.init()?.comm)))?;

    pod.next_step()?;
    pod.wait_until("there is a family", PATIENCE, |pod| Ok(pod.members()?.len() == 6))?;
    pod.print("In a container of the pod, a process starts three others:")?;

    pod.next_step()?;
    pod.wait_until("the orphans are adopted", PATIENCE, |pod| Ok(pod.orphans()?.len() == 3))?;
    pod.print("It dies. PID 1 adopts its orphans:")?;

    for orphan in pod.orphans()? {
        send(&orphan, Signal::KILL)?;
    }
    let reaped = pod.wait_until("they are reaped", SHORT_PATIENCE, |pod| Ok(pod.orphans()?.is_empty()));
    pod.print(match reaped {
        Ok(()) => "The orphans die. PID 1 reaps them:",
        Err(_) => "The orphans die. Nobody reaps them:",
    })?;
    let zombies = pod.orphans()?.len();

    println!("The pod is to end: PID 1 gets SIGTERM.");
    send(&pod.init()?, Signal::TERM)?;
    let end = pod.end()?;
    match &end {
        Some(end) => println!("It ends, {end}."),
        None => println!("It does not react, and has to be killed."),
    }
    Ok((zombies, end))
}

/// A PID namespace with processes in it.
struct Pod {
    /// unshare(1), the parent of the namespace's PID 1. It ends as that one does, and takes it along.
    unshare: Child,
}

impl Pod {
    fn start(program: &[&str]) -> Result<Self> {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--kill-child"]);
        if !install::is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.args(["sh", "-c", POD, "sh"]).args(program).stdin(Stdio::piped());
        Ok(Pod { unshare: unshare.spawn().context("can't start unshare(1), which is part of util-linux")? })
    }

    /// Lets the next thing happen.
    fn next_step(&mut self) -> Result<()> {
        Ok(writeln!(self.unshare.stdin.as_mut().context("a pipe")?)?)
    }

    /// The namespace's PID 1.
    fn init(&self) -> Result<Stat> {
        let unshare = Process::new(self.unshare.id() as i32)?;
        let children = unshare.task_main_thread()?.children()?;
        Ok(Process::new(*children.first().context("unshare(1) has not forked")? as i32)?.stat()?)
    }

    /// All processes of the namespace, parents first. Each descends from PID 1.
    fn members(&self) -> Result<Vec<Stat>> {
        let all: Vec<_> = all_processes()?.flatten().filter_map(|process| process.stat().ok()).collect();
        let mut members = vec![self.init()?];
        let mut next = 0;
        while next < members.len() {
            let parent = members[next].pid;
            members.extend(all.iter().filter(|process| process.ppid == parent).cloned());
            next += 1;
        }
        Ok(members)
    }

    /// The children of PID 1 that it adopted.
    fn orphans(&self) -> Result<Vec<Stat>> {
        let init = self.init()?.pid;
        Ok(self.members()?.into_iter().filter(|process| process.ppid == init && process.comm == "sleep").collect())
    }

    /// Prints the namespace's process table, with the numbers that its members know themselves by.
    fn print(&self, what: &str) -> Result<()> {
        println!("\n{what}\n{:>6} {:>6}  {:<8} NAME", "PID", "PARENT", "STATE");
        let members = self.members()?;
        let inner = |pid: i32| -> Result<i32> {
            let numbers = Process::new(pid)?.status()?.nspid.unwrap_or_default();
            Ok(numbers.last().copied().unwrap_or_default())
        };
        for process in &members {
            let parent = if process.pid == members[0].pid { 0 } else { inner(process.ppid)? };
            let state = match process.state {
                'Z' => "ZOMBIE",
                _ => "sleeps",
            };
            println!("{:>6} {parent:>6}  {state:<8} {}", inner(process.pid)?, process.comm);
        }
        println!();
        Ok(())
    }

    /// Waits for a condition, for as long as that may take.
    fn wait_until(&self, what: &str, patience: Duration, condition: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        // A process that is just going may be missed: look again.
        while !condition(self).unwrap_or(false) {
            ensure!(start.elapsed() < patience, "gave up waiting until {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits for the end of PID 1. Returns how it ended, or nothing where it doesn't.
    fn end(mut self) -> Result<Option<ExitStatus>> {
        let start = Instant::now();
        while start.elapsed() < SHORT_PATIENCE {
            if let Some(end) = self.unshare.try_wait()? {
                return Ok(Some(end));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

/// Sends a signal to a process of the pod.
fn send(process: &Stat, signal: Signal) -> Result<()> {
    Ok(kill_process(Pid::from_raw(process.pid).context("a process number")?, signal)?)
}
