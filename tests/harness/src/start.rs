//! How a program is started: the condition of the process that becomes it.

use crate::filter::Filter;
use crate::landlock::Rules;
use crate::privileges::{Privileges, Root};
use crate::{Program, Running, Strings, assistant};
use anyhow::{Result, ensure};
use nix::libc;
use nix::unistd::geteuid;
use std::ffi::{CStr, CString, OsStr, OsString, c_int};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

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
    /// A pipe. Of stdout and stderr, it is read when the program has exited.
    Pipe,
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
    /// What the program is in its PID namespace.
    pub role: Role,
    /// argv[0]; `None` for an empty argv.
    pub name: Option<&'static str>,
    /// The arguments behind it.
    pub arguments: Strings,
    /// The environment, and nothing else is in it.
    pub environment: Strings,
    /// The folder that it starts in, to which a relative path of the program's file belongs; `None` for this process's.
    pub folder: Option<PathBuf>,
    /// Standard input.
    pub stdin: Stream,
    /// Standard output.
    pub stdout: Stream,
    /// Standard error.
    pub stderr: Stream,
    /// Block every signal.
    pub block: bool,
    /// Ignore every signal.
    pub ignore: bool,
    /// Have this signal pending.
    pub pending: Option<c_int>,
    /// Have that many children that died already.
    pub dead_children: usize,
    /// Have that many children that sleep until they are killed, or the program is gone.
    pub sleeping_children: usize,
    /// Resource limits.
    pub limits: Vec<(u32, u64)>,
    /// Have a child that makes orphans on command.
    pub assistant: bool,
    /// Start it by means of this command, which executes it. The first word is a path.
    pub wrapper: Vec<OsString>,
    /// What it may not do and see.
    pub privileges: Privileges,
    /// Options of the emulator, where there is one.
    pub emulator_options: Vec<String>,
    /// Have it stop before its first instruction, with this process as its tracer.
    pub traced: bool,
    /// Other namespaces that are new for it: `CLONE_NEW…`.
    pub namespaces: c_int,
    /// Start it from within the cgroup whose file `cgroup.procs` this is, so that what the kernel needs for it is
    /// charged there.
    pub cgroup: Option<OwnedFd>,
    /// Have it stop until SIGCONT, before it becomes the program: for another tracer.
    pub stopped: bool,
    /// Kill it on any system call but these; and on none, where there is no list.
    pub only: Option<Vec<&'static str>>,
    /// Have Landlock deny it all but its own file.
    pub landlock: bool,
}

impl Start {
    /// An ordinary start in that role.
    pub fn new(role: Role) -> Self {
        Start {
            role,
            name: Some("/pause"),
            arguments: Strings::default(),
            environment: Strings::default(),
            folder: None,
            stdin: Stream::Closed,
            stdout: Stream::Pipe,
            stderr: Stream::Pipe,
            block: false,
            ignore: false,
            pending: None,
            dead_children: 0,
            sleeping_children: 0,
            limits: Vec::new(),
            assistant: false,
            wrapper: Vec::new(),
            privileges: Privileges::default(),
            emulator_options: Vec::new(),
            traced: false,
            namespaces: 0,
            cgroup: None,
            stopped: false,
            only: None,
            landlock: false,
        }
    }

    /// With these arguments.
    pub fn arguments<S: AsRef<[u8]>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments = arguments.into_iter().collect();
        self
    }

    /// With an assistant.
    pub fn assisted(mut self) -> Self {
        self.assistant = true;
        self
    }

    /// Starts the program, and waits until it is ready.
    ///
    /// # Errors
    /// Where it can't be started or does not become ready.
    pub fn ready(self, program: &Program) -> Result<Running> {
        let mut running = self.spawn(program)?;
        running.wait_until_ready()?;
        Ok(running)
    }

    /// Starts the program.
    ///
    /// # Errors
    /// Where that can't be done.
    pub fn spawn(self, program: &Program) -> Result<Running> {
        let root = if self.privileges.bare_root { Some(Root::of(program)?) } else { None };
        let place = |file: &Path| if root.is_some() { Root::place(file) } else { Ok(file.into()) };
        let mut words = self.wrapper;
        if let Some(emulator) = &program.emulator {
            words.push(place(emulator)?.into());
            words.extend(self.emulator_options.into_iter().map(OsString::from));
            // How an emulator is told the program's name.
            words.extend(["-0".into(), self.name.unwrap_or_default().into()]);
        }
        words.push(place(&program.file)?.into());
        let file = c_string(&words[0])?;
        if words.len() == 1 {
            words = self.name.map(OsString::from).into_iter().collect();
        }
        let folder = self.folder.map(|folder| c_string(folder.as_os_str())).transpose()?;
        let words: Strings = words.iter().map(|word| word.as_bytes()).collect();
        let argv = Strings::array(&words, &self.arguments);
        let envp = Strings::array(&self.environment, &Strings::default());

        let stdin = Ends::of_input(self.stdin)?;
        let (stdout, stderr) = (Ends::of_output(self.stdout)?, Ends::of_output(self.stderr)?);
        let filter = match (&self.only, &program.profile) {
            (Some(calls), _) => Some(Filter::only(&program.name, calls)?),
            (None, Some(profile)) => Some(Filter::read(profile)?),
            (None, None) => None,
        };
        let rules = if self.landlock { Some(Rules::of(&program.file)?) } else { None };
        let assistant = if self.assistant { Some(assistant::prepare()?) } else { None };
        let flags = match self.role {
            Role::Init if geteuid().is_root() => libc::CLONE_NEWPID,
            Role::Init => libc::CLONE_NEWUSER | libc::CLONE_NEWPID,
            Role::Ordinary => 0,
        };
        let child = Child {
            folder: folder.as_deref(),
            file: &file,
            argv: &argv,
            envp: &envp,
            streams: [&stdin, &stdout, &stderr].map(|ends| ends.child.as_ref().map(AsRawFd::as_raw_fd)),
            assistant: assistant.as_ref().map(|(exec, _)| exec),
            block: self.block,
            ignore: self.ignore,
            pending: self.pending,
            dead_children: self.dead_children,
            sleeping_children: self.sleeping_children,
            limits: &self.limits,
            privileges: self.privileges,
            root: root.as_ref(),
            traced: self.traced,
            stopped: self.stopped,
            rules: rules.as_ref(),
            filter: filter.as_ref(),
        };
        let flags = flags | self.namespaces;
        let mut stack = vec![0; STACK];
        let started = Instant::now();
        // SAFETY: the child calls nothing but system calls, on memory that was prepared here, until it
        // becomes another program.
        let pid = unsafe {
            match &self.cgroup {
                Some(processes) => child.start_in(processes, flags, &mut stack)?,
                None => child.start(flags, &mut stack),
            }
        };
        ensure!(pid > 0, "clone: {}", std::io::Error::last_os_error());
        let assistant = assistant.map(|(exec, commands)| exec.started(commands));
        let streams = [stdin, stdout, stderr].map(|ends| ends.harness);
        Ok(Running::new(pid, started, program.emulator.is_some(), streams, assistant, root.map(Root::keep)))
    }
}

fn c_string(word: &OsStr) -> Result<CString> {
    Ok(CString::new(word.as_bytes())?)
}

/// Both ends of a stream.
pub struct Ends {
    /// What the program gets.
    pub child: Option<OwnedFd>,
    /// What stays here, to be kept while the program runs.
    pub harness: Option<OwnedFd>,
}

impl Ends {
    fn of_input(stream: Stream) -> Result<Self> {
        // What one end of a pipe is to an output, the other is to an input.
        Self::of(stream, |(read, write)| (write, read))
    }

    /// Those of a stream that a program writes to.
    ///
    /// # Errors
    /// Where there can be no pipe.
    pub fn of_output(stream: Stream) -> Result<Self> {
        Self::of(stream, |ends| ends)
    }

    /// `sort` takes the ends of a pipe, to read from and to write to, and returns the harness's and the child's.
    fn of(stream: Stream, sort: fn((OwnedFd, OwnedFd)) -> (OwnedFd, OwnedFd)) -> Result<Self> {
        Ok(match stream {
            Stream::Closed => Ends { child: None, harness: None },
            Stream::File(file) => Ends { child: Some(file), harness: None },
            Stream::Pipe => {
                let (harness, child) = sort(pipe()?);
                Ends { child: Some(child), harness: Some(harness) }
            }
            Stream::Broken => Ends { child: Some(sort(pipe()?).1), harness: None },
            Stream::Full => {
                let (read, write) = pipe()?;
                fill(&write)?;
                let (harness, child) = sort((read, write));
                Ends { child: Some(child), harness: Some(harness) }
            }
        })
    }
}

/// A pipe that does not survive exec: its reading end and its writing end.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = std::io::pipe()?;
    Ok((read.into(), write.into()))
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

/// The exit status of a process that could not become the program.
pub const NOT_EXECUTED: c_int = 126;

/// How many bytes of stack the new process has until it becomes the program; its own children get copies.
const STACK: usize = 64 * 1024;

/// All that the new process needs before it becomes the program.
struct Child<'a> {
    folder: Option<&'a CStr>,
    file: &'a CStr,
    argv: &'a [*const libc::c_char],
    envp: &'a [*const libc::c_char],
    streams: [Option<RawFd>; 3],
    assistant: Option<&'a assistant::Exec>,
    block: bool,
    ignore: bool,
    pending: Option<c_int>,
    dead_children: usize,
    sleeping_children: usize,
    limits: &'a [(u32, u64)],
    privileges: Privileges,
    root: Option<&'a Root>,
    traced: bool,
    stopped: bool,
    rules: Option<&'a Rules>,
    filter: Option<&'a Filter>,
}

impl Child<'_> {
    /// Starts it, in new namespaces if the flags say so, and waits until it is the program. Until then it uses this
    /// process's memory: a copy would take longer to make than some programs take to start. One that is to stop before
    /// gets a copy, for nobody could wake it up otherwise.
    ///
    /// # Safety
    /// As of [`fork`].
    unsafe fn start(&self, flags: c_int, stack: &mut [u8]) -> c_int {
        extern "C" fn run(child: *mut libc::c_void) -> c_int {
            // SAFETY: it points to a `Child`, and this is its process.
            unsafe { (*child.cast::<Child>()).become_program() }
        }
        let borrow = if self.stopped { 0 } else { libc::CLONE_VM | libc::CLONE_VFORK };
        let flags = flags | borrow | libc::SIGCHLD;
        let child = (&raw const *self).cast_mut().cast();
        // SAFETY: the stack is the child's alone, and all that it reads outlives its use of it.
        unsafe { libc::clone(run, stack.as_mut_ptr_range().end.cast(), flags, child) }
    }

    /// The same from within a cgroup, as container runtimes do it: an intermediate process enters the cgroup and
    /// makes the child, for this process to be its parent.
    ///
    /// # Safety
    /// As of [`fork`].
    unsafe fn start_in(&self, processes: &OwnedFd, flags: c_int, stack: &mut [u8]) -> Result<c_int> {
        let (read, write) = pipe()?;
        let mut child: c_int = -1;
        // SAFETY: system calls alone; the kernel reads and writes the child's number.
        unsafe {
            match fork() {
                -1 => {}
                0 => {
                    if libc::write(processes.as_raw_fd(), c"0".as_ptr().cast(), 1) == 1 {
                        child = self.start(flags | libc::CLONE_PARENT, stack);
                    }
                    libc::write(write.as_raw_fd(), (&raw const child).cast(), size_of::<c_int>());
                    libc::_exit(0)
                }
                intermediate => {
                    libc::read(read.as_raw_fd(), (&raw mut child).cast(), size_of::<c_int>());
                    libc::waitpid(intermediate, std::ptr::null_mut(), 0);
                }
            }
        }
        ensure!(child > 0, "can't start a process in that cgroup");
        Ok(child)
    }

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
                match fork() {
                    0 => assistant.become_assistant(),
                    -1 => libc::_exit(125),
                    _ => {}
                }
            }
            for _ in 0..self.dead_children {
                match fork() {
                    0 => libc::_exit(0),
                    -1 => libc::_exit(125),
                    // Wait for its death, but leave the zombie.
                    child => {
                        let mut info: libc::siginfo_t = std::mem::zeroed();
                        libc::waitid(libc::P_PID, child as _, &mut info, libc::WEXITED | libc::WNOWAIT);
                    }
                }
            }
            let parent = libc::getpid();
            for _ in 0..self.sleeping_children {
                match fork() {
                    0 => sleep(parent),
                    -1 => libc::_exit(125),
                    _ => {}
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
                // A tracer can't do without SIGTRAP.
                set_mask(if self.traced { !(1 << (libc::SIGTRAP - 1)) } else { u64::MAX });
            }
            if let Some(folder) = self.folder
                && libc::chdir(folder.as_ptr()) != 0
            {
                libc::_exit(125);
            }
            if let Some(signal) = self.pending {
                libc::raise(signal);
            }
            for &(resource, limit) in self.limits {
                let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
                libc::setrlimit(resource as _, &limit);
            }
            if !self.privileges.drop(self.root) {
                libc::_exit(125);
            }
            if self.traced {
                libc::ptrace(libc::PTRACE_TRACEME);
            }
            if self.stopped {
                libc::raise(libc::SIGSTOP);
            }
            if self.rules.is_some_and(|rules| !rules.apply()) {
                libc::_exit(125);
            }
            // Last, since it allows no more than what follows.
            if self.filter.is_some_and(|filter| !filter.apply()) {
                libc::_exit(125);
            }
            libc::execve(self.file.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
            libc::_exit(NOT_EXECUTED)
        }
    }
}

/// Forks. The C library's own fork would wait for locks that another thread may hold.
///
/// # Safety
/// The child is a copy of this thread alone: it may make system calls and touch its own memory.
unsafe fn fork() -> c_int {
    // SAFETY: without a stack of its own the child goes on here, as after fork.
    unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD as usize, 0, 0, 0, 0) as c_int }
}

/// Sleeps until it is killed or its parent is gone, and keeps no file open that somebody may wait for the end of.
///
/// # Safety
/// Only in a process of its own.
unsafe fn sleep(parent: libc::pid_t) -> ! {
    // SAFETY: system calls without memory.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // The parent may have gone before.
        if libc::getppid() != parent {
            libc::_exit(0);
        }
        loop {
            libc::pause();
        }
    }
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
