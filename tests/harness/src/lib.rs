//! Starts a pause program in any condition that a process can be in, and watches it.

use crate::common::Program;
use crate::{assistant, assistant::Assistant};
use anyhow::{Context, Result, bail, ensure};
use procfs::process::{ProcState, Process as Proc, Status};
use std::ffi::{CStr, CString, c_int};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long anything may take before it is called a hang: `PAUSE_PATIENCE` seconds, or else a generous
/// minute, for emulators are slow and so are machines that do something else.
pub static PATIENCE: LazyLock<Duration> = LazyLock::new(|| {
    let seconds = std::env::var("PAUSE_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
});

/// What a program is in its PID namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// PID 1 of a new one.
    Init,
    /// One process among others, which adopts the orphans among its descendants.
    Ordinary,
}

/// What a standard stream of the program is.
pub enum Stream {
    /// A pipe that is read when the program has exited.
    Captured,
    /// No open file at all.
    Closed,
    /// A pipe that nobody reads, with not a byte left.
    Full,
    /// A pipe whose reader is gone.
    Broken,
    /// This file.
    File(OwnedFd),
}

/// How to start the program. Everything is inherited across exec, as a container runtime's or a shell's
/// leftovers are.
pub struct Start {
    pub role: Role,
    /// argv[0]; `None` for an empty argv.
    pub name: Option<&'static str>,
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    pub stdout: Stream,
    pub stderr: Stream,
    /// Block every signal.
    pub block: bool,
    /// Ignore every signal.
    pub ignore: bool,
    /// Have this signal pending.
    pub pending: Option<c_int>,
    /// Have that many children that died already.
    pub dead_children: usize,
    /// Resource limits.
    pub limits: Vec<(u32, u64)>,
    /// Have a child that makes orphans on command.
    pub assistant: bool,
    /// Start it by means of this command, which executes it.
    pub wrapper: Vec<String>,
}

impl Start {
    /// An ordinary start in that role.
    pub fn new(role: Role) -> Self {
        Start {
            role,
            name: Some("/pause"),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdout: Stream::Captured,
            stderr: Stream::Captured,
            block: false,
            ignore: false,
            pending: None,
            dead_children: 0,
            limits: Vec::new(),
            assistant: false,
            wrapper: Vec::new(),
        }
    }

    /// With these arguments.
    pub fn arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// With an assistant.
    pub fn assisted(mut self) -> Self {
        self.assistant = true;
        self
    }

    /// Starts the program, and waits until it is ready.
    pub fn ready(self, program: &Program) -> Result<Running> {
        let mut running = self.spawn(program)?;
        running.wait_until_ready()?;
        Ok(running)
    }

    /// Starts the program.
    pub fn spawn(self, program: &Program) -> Result<Running> {
        let mut words = self.wrapper;
        if program.is_emulated() {
            // -0 is how an emulator is told the program's name.
            words.extend(program.command[..1].iter().cloned());
            words.extend(["-0".into(), self.name.unwrap_or_default().into()]);
            words.extend(program.command[1..].iter().cloned());
        } else {
            words.extend(program.command.iter().cloned());
        }
        let file = CString::new(words[0].as_str())?;
        if words.len() == 1 {
            words = self.name.map(str::to_string).into_iter().collect();
        }
        words.extend(self.arguments);
        let argv = words.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let envp = self.environment.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let mut argv: Vec<_> = argv.iter().map(|word| word.as_ptr()).collect();
        argv.push(std::ptr::null());
        let mut envp: Vec<_> = envp.iter().map(|variable| variable.as_ptr()).collect();
        envp.push(std::ptr::null());

        let (stdout, stderr) = (Descriptor::open(self.stdout)?, Descriptor::open(self.stderr)?);
        let assistant = if self.assistant { Some(assistant::prepare()?) } else { None };
        let flags = match self.role {
            Role::Init if is_root() => libc::CLONE_NEWPID,
            Role::Init => libc::CLONE_NEWUSER | libc::CLONE_NEWPID,
            Role::Ordinary => 0,
        };
        let child = Child {
            file: &file,
            argv: &argv,
            envp: &envp,
            streams: [
                None,
                stdout.child.as_ref().map(AsRawFd::as_raw_fd),
                stderr.child.as_ref().map(AsRawFd::as_raw_fd),
            ],
            assistant: assistant.as_ref().map(|(exec, _)| exec),
            block: self.block,
            ignore: self.ignore,
            pending: self.pending,
            dead_children: self.dead_children,
            limits: &self.limits,
        };
        // SAFETY: the child calls nothing but system calls, on memory that was prepared here, until it
        // becomes another program.
        let pid = unsafe { fork(flags) };
        match pid {
            -1 => bail!("clone: {}", std::io::Error::last_os_error()),
            // SAFETY: this is that child.
            0 => unsafe { child.become_program() },
            _ => {}
        }
        let assistant = assistant.map(|(exec, commands)| exec.started(commands));
        Ok(Running { pid, status: None, stdout: stdout.harness, stderr: stderr.harness, assistant })
    }
}

/// Whether this process may make namespaces without a user namespace around them.
fn is_root() -> bool {
    // SAFETY: there is nothing to get wrong.
    unsafe { libc::geteuid() == 0 }
}

/// Both ends of a stream: what the program gets, and what the test keeps.
struct Descriptor {
    child: Option<OwnedFd>,
    harness: Option<OwnedFd>,
}

impl Descriptor {
    fn open(stream: Stream) -> Result<Self> {
        Ok(match stream {
            Stream::Closed => Descriptor { child: None, harness: None },
            Stream::File(file) => Descriptor { child: Some(file), harness: None },
            Stream::Captured => {
                let (read, write) = pipe()?;
                Descriptor { child: Some(write), harness: Some(read) }
            }
            Stream::Broken => Descriptor { child: Some(pipe()?.1), harness: None },
            Stream::Full => {
                let (read, write) = pipe()?;
                fill(&write)?;
                Descriptor { child: Some(write), harness: Some(read) }
            }
        })
    }
}

/// A pipe: its reading end and its writing end.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors, which nobody else owns.
    unsafe {
        ensure!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) == 0, std::io::Error::last_os_error());
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Writes to a pipe until it takes no more, and leaves it in blocking mode.
fn fill(pipe: &OwnedFd) -> Result<()> {
    let (pipe, page) = (pipe.as_raw_fd(), [b'x'; 4096]);
    // SAFETY: the kernel reads one page.
    unsafe {
        let flags = libc::fcntl(pipe, libc::F_GETFL);
        libc::fcntl(pipe, libc::F_SETFL, flags | libc::O_NONBLOCK);
        while libc::write(pipe, page.as_ptr().cast(), page.len()) > 0 {}
        while libc::write(pipe, page.as_ptr().cast(), 1) > 0 {}
        ensure!(libc::fcntl(pipe, libc::F_SETFL, flags) == 0, std::io::Error::last_os_error());
    }
    Ok(())
}

/// All that the new process needs before it becomes the program.
struct Child<'a> {
    file: &'a CStr,
    argv: &'a [*const libc::c_char],
    envp: &'a [*const libc::c_char],
    streams: [Option<RawFd>; 3],
    assistant: Option<&'a assistant::Exec>,
    block: bool,
    ignore: bool,
    pending: Option<c_int>,
    dead_children: usize,
    limits: &'a [(u32, u64)],
}

impl Child<'_> {
    /// # Safety
    /// Only in a process of its own: it changes all there is to change.
    unsafe fn become_program(&self) -> ! {
        // SAFETY: nothing but system calls, on memory that the parent prepared.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // PID 1 adopts orphans anyway.
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
            set_dispositions(libc::SIG_DFL);
            set_mask(0);
            if let Some(assistant) = self.assistant {
                match fork(0) {
                    0 => assistant.become_assistant(),
                    -1 => libc::_exit(125),
                    _ => {}
                }
            }
            for _ in 0..self.dead_children {
                match fork(0) {
                    0 => libc::_exit(0),
                    -1 => libc::_exit(125),
                    // Wait for its death, but leave the zombie.
                    child => {
                        let mut info: libc::siginfo_t = std::mem::zeroed();
                        libc::waitid(libc::P_PID, child as _, &mut info, libc::WEXITED | libc::WNOWAIT);
                    }
                }
            }
            for (target, stream) in self.streams.iter().enumerate() {
                match stream {
                    Some(stream) => libc::dup2(*stream, target as c_int),
                    None => libc::close(target as c_int),
                };
            }
            if self.ignore {
                set_dispositions(libc::SIG_IGN);
            }
            if self.block || self.pending.is_some() {
                set_mask(u64::MAX);
            }
            if let Some(signal) = self.pending {
                libc::raise(signal);
            }
            for &(resource, limit) in self.limits {
                let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
                libc::setrlimit(resource as _, &limit);
            }
            libc::execve(self.file.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
            libc::_exit(126)
        }
    }
}

/// Forks, into new namespaces if the flags say so. The C library's own fork would wait for locks that
/// another thread may hold.
///
/// # Safety
/// The child is a copy of this thread alone: it may make system calls and touch its own memory.
unsafe fn fork(flags: c_int) -> c_int {
    // SAFETY: without a stack of its own the child goes on here, as after fork.
    unsafe { libc::syscall(libc::SYS_clone, (flags | libc::SIGCHLD) as usize, 0, 0, 0, 0) as c_int }
}

/// Sets the disposition of every signal, also of the two that the C library keeps for itself.
unsafe fn set_dispositions(disposition: libc::sighandler_t) {
    // The kernel's own structure begins with the disposition, and is nowhere longer than this.
    let action: [libc::sighandler_t; 8] = [disposition, 0, 0, 0, 0, 0, 0, 0];
    for signal in 1..=64 {
        // SAFETY: the kernel reads the action. SIGKILL and SIGSTOP stay as they are.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0, size_of::<u64>()) };
    }
}

/// Blocks the signals of that set and no others; likewise.
unsafe fn set_mask(mask: u64) {
    // SAFETY: the kernel reads the mask.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0, size_of::<u64>()) };
}

/// A program that was started. Dropping it kills it.
pub struct Running {
    /// Its number outside of its namespace.
    pub pid: c_int,
    status: Option<c_int>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Its child, where one was asked for.
    pub assistant: Option<Assistant>,
}

/// How a program ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    pub outcome: Outcome,
    pub stdout: String,
    pub stderr: String,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Outcome {
    Exited(c_int),
    Killed(c_int),
}

impl Running {
    /// What the kernel says of it.
    pub fn proc_status(&self) -> Result<Status> {
        Ok(Proc::new(self.pid)?.status()?)
    }

    /// Waits until the handlers of SIGTERM, SIGINT and SIGCHLD are in place.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let handlers =
            [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD].iter().fold(0, |set, signal| set | 1 << (signal - 1));
        self.wait_until("its handlers are in place", |running| Ok(running.proc_status()?.sigcgt & handlers == handlers))
    }

    /// Waits until it sleeps.
    pub fn wait_until_asleep(&mut self) -> Result<()> {
        self.wait_until("it sleeps", |running| Ok(Proc::new(running.pid)?.stat()?.state()? == ProcState::Sleeping))
    }

    /// Waits until its children are all of these and no others, alive or dead.
    pub fn wait_until_childless(&mut self) -> Result<()> {
        let expected = usize::from(self.assistant.is_some());
        self.wait_until("its orphans are reaped", |running| Ok(running.children()?.len() <= expected))
    }

    /// Its children, zombies included.
    pub fn children(&self) -> Result<Vec<u32>> {
        Ok(Proc::new(self.pid)?.task_main_thread()?.children()?)
    }

    /// Waits for a condition; the program may not end meanwhile.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let start = Instant::now();
        loop {
            if let Some(outcome) = self.poll_outcome()? {
                bail!("it ended ({outcome:?}) before {what}; stderr: {:?}", read(self.stderr.take())?);
            }
            if condition(self)? {
                return Ok(());
            }
            ensure!(start.elapsed() < *PATIENCE, "gave up waiting until {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends it a signal from outside of its namespace.
    pub fn signal(&self, signal: c_int) -> Result<()> {
        // SAFETY: the process is this one's child and not yet waited for, so the number is its own.
        ensure!(unsafe { libc::kill(self.pid, signal) } == 0, std::io::Error::last_os_error());
        Ok(())
    }

    /// Waits for its end.
    pub fn end(mut self) -> Result<End> {
        let start = Instant::now();
        let outcome = loop {
            if let Some(outcome) = self.poll_outcome()? {
                break outcome;
            }
            ensure!(start.elapsed() < *PATIENCE, "it did not end; {:?}", self.proc_status().map(|status| status.state));
            std::thread::sleep(Duration::from_millis(1));
        };
        Ok(End { outcome, stdout: read(self.stdout.take())?, stderr: read(self.stderr.take())? })
    }

    /// Sends it SIGTERM and waits for its end.
    pub fn terminate(self) -> Result<End> {
        self.signal(libc::SIGTERM)?;
        self.end()
    }

    fn poll_outcome(&mut self) -> Result<Option<Outcome>> {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: the kernel writes a status; the process is this one's child.
            match unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } {
                0 => return Ok(None),
                -1 => return Err(std::io::Error::last_os_error()).context("waitpid"),
                _ => self.status = Some(status),
            }
        }
        Ok(self.status.map(|status| {
            if libc::WIFEXITED(status) {
                Outcome::Exited(libc::WEXITSTATUS(status))
            } else {
                Outcome::Killed(libc::WTERMSIG(status))
            }
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            // SAFETY: the process is this one's child and not yet waited for.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// All that is in a pipe whose writer is gone; of a full one, what the program may have added.
fn read(pipe: Option<OwnedFd>) -> Result<String> {
    let mut text = String::new();
    if let Some(pipe) = pipe {
        File::from(pipe).read_to_string(&mut text)?;
    }
    Ok(text.trim_start_matches('x').into())
}
