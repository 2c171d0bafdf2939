//! Starts programs as they are measured: as PID 1 of a namespace of their own, or under the eyes of a tracer.

use super::Program;
use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pause};
use procfs::process::{Process, Status};
use std::fs::{File, read_to_string};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before it is called a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// The signals that a program has to be ready for.
const HANDLED: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD];

/// What the instruction looks like that makes a system call, as it stands in memory.
const SYSTEM_CALL: &[u8] = if cfg!(target_arch = "x86_64") {
    &[0x0f, 0x05]
} else if cfg!(target_arch = "aarch64") {
    &[0x01, 0x00, 0x00, 0xd4]
} else {
    &[]
};

impl Program {
    /// A command that starts it with these arguments, no environment and no place to write to.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(&self.path);
        // Programs of different paths get a stack of the same size.
        command.arg0("pause").args(arguments).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The same, as what a container has for its PID 1.
    pub fn init_command(&self) -> Command {
        self.command(self.arguments.iter().map(String::as_str))
    }
}

/// A process that was started. Dropping it kills it.
pub struct Running {
    child: Child,
    /// How many children it has of its own.
    own_children: usize,
    /// Whether the kernel shows that it is ready.
    shows_handlers: bool,
}

/// What an orphan does before it is adopted.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Orphans {
    /// It dies, so that all are there to be reaped at once.
    Dead,
    /// It lives on.
    Alive,
}

impl Running {
    fn new(child: Child, program: &Program) -> Self {
        Running { child, own_children: program.own_children, shows_handlers: program.shows_handlers }
    }

    /// Starts a program as PID 1 of a new namespace, and waits until it sleeps.
    pub fn start(program: &Program) -> Result<Self> {
        let (running, _) = Self::spawn(program)?;
        running.wait_until_asleep()?;
        Ok(running)
    }

    /// Starts a program as PID 1 of a new namespace. Returns when that was, too.
    pub fn spawn(program: &Program) -> Result<(Self, Instant)> {
        // A new namespace is for the children of this thread, and a thread makes one in its life.
        let (child, start) = in_thread(|| {
            unshare(CloneFlags::CLONE_NEWPID).context("can't make a PID namespace")?;
            let start = Instant::now();
            Ok((program.init_command().spawn()?, start))
        })?;
        Ok((Running::new(child, program), start))
    }

    /// Its number outside of its namespace.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// What the kernel says of it.
    pub fn process(&self) -> Result<Process> {
        Ok(Process::new(self.pid().as_raw())?)
    }

    /// How often it has been switched to another process.
    pub fn wake_ups(&self) -> Result<u64> {
        let Status { voluntary_ctxt_switches: Some(one), nonvoluntary_ctxt_switches: Some(other), .. } =
            self.process()?.status()?
        else {
            bail!("the kernel does not count context switches");
        };
        Ok(one + other)
    }

    /// Waits until its handlers are in place.
    pub fn wait_until_ready(&self) -> Result<()> {
        ensure!(self.shows_handlers, "it fetches signals with sigtimedwait, and nothing shows when it is ready to");
        wait_until("it is ready", Duration::ZERO, || is_ready(self.pid()))
    }

    /// Waits until it is ready, sleeps, and stays asleep.
    pub fn wait_until_asleep(&self) -> Result<()> {
        if self.shows_handlers {
            self.wait_until_ready()?;
        }
        let mut before = u64::MAX;
        wait_until("it sleeps", Duration::from_millis(5), || {
            let wake_ups = self.wake_ups()?;
            let asleep = wake_ups == before && self.process()?.stat()?.state == 'S';
            before = wake_ups;
            // A child of its own is pause, which SIGTERM has to find ready.
            let own_children = self.children()?.into_iter().take(self.own_children);
            let ready = own_children.filter(|&child| is_ready(child).unwrap_or(false)).count();
            Ok(asleep && ready == self.own_children)
        })
    }

    /// Its children, zombies included.
    pub fn children(&self) -> Result<Vec<Pid>> {
        let children = self.process()?.task_main_thread()?.children()?;
        Ok(children.into_iter().map(|child| Pid::from_raw(child as i32)).collect())
    }

    /// Has it adopt that many orphans, all at once.
    pub fn adopt(&self, count: usize, orphans: Orphans) -> Result<()> {
        let namespace = File::open(format!("/proc/{}/ns/pid", self.pid()))?;
        let state = match orphans {
            Orphans::Dead => "dead",
            Orphans::Alive => "alive",
        };
        let status = in_thread(|| {
            setns(namespace, CloneFlags::CLONE_NEWPID).context("can't enter its PID namespace")?;
            Ok(Command::new("/proc/self/exe").args(["bench-orphans", &count.to_string(), state]).status()?)
        })?;
        ensure!(status.success(), "can't make {count} orphans");
        Ok(())
    }

    /// Waits until it has reaped every orphan.
    pub fn wait_until_childless(&self) -> Result<()> {
        wait_until("its orphans are reaped", Duration::from_millis(1), || {
            Ok(self.children()?.len() <= self.own_children)
        })?;
        self.wait_until_asleep()
    }

    /// Sends it SIGTERM. Returns how long it takes to be gone.
    pub fn terminate(mut self) -> Result<Duration> {
        let start = Instant::now();
        kill(self.pid(), Signal::SIGTERM)?;
        while self.child.try_wait()?.is_none() {
            ensure!(start.elapsed() < Duration::from_secs(1), "SIGTERM does not end it");
            thread::yield_now();
        }
        Ok(start.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Those of a traced program, which has no namespace of its own, would outlive it.
        for child in self.children().unwrap_or_default() {
            let _ = kill(child, Signal::SIGKILL);
        }
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs something in a thread of its own, whose namespaces it may change.
fn in_thread<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
}

/// Waits for a condition, looking every so often.
fn wait_until(what: &str, interval: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        ensure!(start.elapsed() < PATIENCE, "gave up waiting until {what}");
        match interval {
            Duration::ZERO => thread::yield_now(),
            _ => thread::sleep(interval),
        }
    }
    Ok(())
}

/// Whether a process has a handler for each signal, or blocks it to fetch it.
fn is_ready(pid: Pid) -> Result<bool> {
    // Parsing all of the file would take longer than some programs take to start.
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let set = |name| {
        let line = status.lines().find_map(|line: &str| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap_or_default().trim(), 16).context("the kernel shows no signal masks")
    };
    let handled = set("SigCgt:")? | set("SigBlk:")?;
    Ok(HANDLED.iter().all(|&signal| handled & 1 << (signal as u64 - 1) != 0))
}

/// What a program does from its first instruction until it is ready.
pub struct Trace {
    /// Instructions, outside of the kernel.
    pub instructions: u64,
    /// System calls.
    pub system_calls: u64,
}

/// A program, stopped before its first instruction.
fn start_traced(program: &Program) -> Result<Running> {
    let mut command = program.init_command();
    // SAFETY: between fork and exec, the child makes one system call.
    unsafe { command.pre_exec(|| Ok(ptrace::traceme()?)) };
    let running = Running::new(command.spawn()?, program);
    waitpid(running.pid(), None)?;
    Ok(running)
}

/// Runs a program step by step until it is ready.
pub fn trace(program: &Program) -> Result<Trace> {
    ensure!(!SYSTEM_CALL.is_empty(), "nobody has written down what a system call looks like on this machine");
    let running = start_traced(program)?;
    let pid = running.pid();
    let mut trace = Trace { instructions: 0, system_calls: 0 };
    loop {
        let address = ptrace::syscall_info(pid)?.instruction_pointer;
        let word = ptrace::read(pid, address as *mut _)?.to_ne_bytes();
        ptrace::step(pid, None)?;
        match waitpid(pid, None)? {
            WaitStatus::Stopped(..) => trace.instructions += 1,
            status => bail!("it ended before it was ready: {status:?}"),
        }
        if word.starts_with(SYSTEM_CALL) {
            trace.system_calls += 1;
            if is_ready(pid)? {
                return Ok(trace);
            }
        }
    }
}

/// Runs a program until it sleeps. Returns how many page faults that took.
pub fn page_faults(program: &Program) -> Result<u64> {
    let running = start_traced(program)?;
    let before = running.process()?.stat()?.minflt;
    ptrace::detach(running.pid(), None)?;
    running.wait_until_asleep()?;
    Ok(running.process()?.stat()?.minflt - before)
}

/// Kills a process that is not a child of this one. Returns how long it takes until it is reaped.
pub fn kill_orphan(orphan: Pid) -> Result<Duration> {
    let start = Instant::now();
    kill(orphan, Signal::SIGKILL)?;
    loop {
        match kill(orphan, None) {
            Err(Errno::ESRCH) => return Ok(start.elapsed()),
            _ => ensure!(start.elapsed() < PATIENCE, "nobody reaps an orphan"),
        }
        thread::yield_now();
    }
}

/// Processes that become orphans when this one ends.
#[derive(clap::Args)]
pub struct OrphansArguments {
    count: usize,
    state: Orphans,
}

/// Makes children and leaves them behind.
pub fn run_orphans(arguments: &OrphansArguments) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..arguments.count {
        // SAFETY: this process has one thread, so that the child may do what it may.
        match unsafe { fork() }.context("can't fork")? {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child if arguments.state == Orphans::Alive => loop {
                pause();
            },
            // SAFETY: the call does not return.
            ForkResult::Child => unsafe { nix::libc::_exit(0) },
        }
    }
    if arguments.state == Orphans::Dead {
        for child in children {
            waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        }
    }
    Ok(())
}
