//! `cargo xtask demo`: what a pause container is for, shown on this machine, without a container engine.

use anyhow::{Context, Result, ensure};
use harness::{Program, Role, Running, Start, Stream, wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::{Process, Stat, all_processes};
use std::ffi::OsString;
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;
use xshell::Shell;
use xtask::{build, command, platform, say};

/// Show what pause is for: a PID namespace, orphans, and who reaps them
#[derive(clap::Args)]
struct Arguments {}

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

/// How long to sleep between two looks.
const INTERVAL: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    command::main_of_proof("demo", run)
}

/// Runs the command.
fn run(shell: &Shell, _: &Arguments) -> Result<()> {
    let pause = build::program(shell, platform::native()?)?;

    say!("\nA pod's containers can share a PID namespace. Its first process, PID 1, inherits every process");
    say!("whose parent has died, and has to reap it when it dies too: else it stays in the process table");
    say!("as a zombie, for as long as the pod lives.");

    say!("\n=== With pause as PID 1 ===");
    let (zombies, end) = show(pause, &[])?;
    ensure!(zombies == 0, "pause left {zombies} zombies");
    ensure!(end.is_some_and(|end| end.success()), "pause ended with {end:?}");

    say!("\n=== With a PID 1 that merely sleeps ===");
    let (zombies, _) = show("sleep".into(), &["infinity"])?;
    ensure!(zombies == 3, "it should have left 3 zombies, not {zombies}");
    Ok(())
}

/// Shows one PID 1 at work. Returns how many zombies it left, and how it ended if SIGTERM ended it.
fn show(program: PathBuf, arguments: &[&str]) -> Result<(usize, Option<ExitStatus>)> {
    let name = program.file_name().context("a file")?.to_string_lossy().into_owned();
    let mut pod = Pod::start(program, arguments)?;
    // The kernel keeps the first 15 characters of a name.
    pod.wait_until("PID 1 is the program", PATIENCE, |pod| Ok(name.starts_with(&pod.init()?.comm)))?;

    pod.next_step()?;
    pod.wait_until("there is a family", PATIENCE, |pod| Ok(pod.members()?.len() == 6))?;
    pod.print("In a container of the pod, a process starts three others:")?;

    pod.next_step()?;
    pod.wait_until("the orphans are adopted", PATIENCE, |pod| Ok(pod.orphans()?.len() == 3))?;
    pod.print("It dies. PID 1 adopts its orphans:")?;

    for orphan in pod.orphans()? {
        kill(Pid::from_raw(orphan.pid), Signal::SIGKILL)?;
    }
    let reaped = pod.wait_until("they are reaped", SHORT_PATIENCE, |pod| Ok(pod.orphans()?.is_empty()));
    pod.print(match reaped {
        Ok(()) => "The orphans die. PID 1 reaps them:",
        Err(_) => "The orphans die. Nobody reaps them:",
    })?;
    let zombies = pod.orphans()?.len();

    say!("The pod is to end: PID 1 gets SIGTERM.");
    let end = pod.terminate()?;
    match &end {
        Some(end) => say!("It ends, {end}."),
        None => say!("It does not react, and has to be killed."),
    }
    Ok((zombies, end))
}

/// A PID namespace with processes in it.
struct Pod {
    /// Its PID 1, which takes the others along when it ends.
    init: Running,
}

impl Pod {
    fn start(program: PathBuf, arguments: &[&str]) -> Result<Self> {
        let path = std::env::var("PATH").context("there is no PATH to find programs in")?;
        let condition = Start {
            stdin: Stream::Pipe,
            stderr: Stream::File(stderr().as_fd().try_clone_to_owned()?),
            environment: [format!("PATH={path}")].into_iter().collect(),
            wrapper: ["/bin/sh", "-c", POD, "sh"].map(OsString::from).into(),
            ..Start::new(Role::Init).arguments(arguments.iter().copied())
        };
        let program = Program::new("PID 1", program);
        Ok(Self { init: condition.spawn(&program)? })
    }

    /// Lets the next thing happen.
    fn next_step(&mut self) -> Result<()> {
        Ok(writeln!(self.init.stdin.as_mut().context("a pipe")?)?)
    }

    /// The namespace's PID 1.
    fn init(&self) -> Result<Stat> {
        Ok(Process::new(self.init.pid())?.stat()?)
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
        let init = self.init.pid();
        Ok(self.members()?.into_iter().filter(|process| process.ppid == init && process.comm == "sleep").collect())
    }

    /// Prints the namespace's process table, with the numbers that its members know themselves by.
    fn print(&self, what: &str) -> Result<()> {
        say!("\n{what}\n{:>6} {:>6}  {:<8} NAME", "PID", "PARENT", "STATE");
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
            say!("{:>6} {parent:>6}  {state:<8} {}", inner(process.pid)?, process.comm);
        }
        say!("");
        Ok(())
    }

    /// Waits for a condition, for as long as that may take.
    fn wait_until(&self, what: &str, patience: Duration, condition: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        // A process that is just going may be missed: look again.
        let is_so = || Ok(condition(self).unwrap_or(false));
        ensure!(wait::within(patience, INTERVAL, is_so)?, "gave up waiting until {what}");
        Ok(())
    }

    /// Sends PID 1 SIGTERM. Returns how it ended, or nothing where it doesn't.
    fn terminate(mut self) -> Result<Option<ExitStatus>> {
        self.init.signal(Signal::SIGTERM as i32)?;
        wait::within(SHORT_PATIENCE, INTERVAL, || Ok(self.init.poll_status()?.is_some()))?;
        self.init.poll_status()
    }
}
