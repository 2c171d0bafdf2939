//! How a program is started: the state of the process that becomes it.

use crate::privileges::{Privileges, Root};
use crate::{Child, OrphanSpawner, Output, Program, filter, landlock, orphan_spawner};
use anyhow::{Result, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::prctl::set_no_new_privs;
use nix::unistd::geteuid;
use seccompiler::BpfProgram;
use std::ffi::{CString, OsString, c_char, c_int};
use std::io::Write;
use std::mem::take;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// PID 1 of a new namespace.
    Init,
    /// One process among others, which adopts the orphans among its descendants.
    #[default]
    Ordinary,
}

#[derive(Default)]
pub enum Stream {
    /// Stdout and stderr are read when the program has exited.
    Pipe,
    #[default]
    Closed,
    /// A full pipe, which isn't read.
    Full,
    /// A pipe whose reader is gone.
    Broken,
    File(OwnedFd),
}

/// How to start the program. Everything is inherited across exec, like the leftovers of a container runtime or a shell.
#[derive(Default)]
pub struct Spawn {
    pub role: Role,
    /// argv[0]; `None` for an empty argv.
    pub name: Option<&'static str>,
    /// The other arguments.
    pub arguments: Vec<CString>,
    pub environment: Vec<CString>,
    pub stdin: Option<OwnedFd>,
    pub stdout: Stream,
    pub stderr: Stream,
    /// Block every signal.
    pub block: bool,
    /// Ignore every signal.
    pub ignore: bool,
    pub pending: Option<c_int>,
    pub dead_children: usize,
    /// Number of children that sleep until they are killed, or the program is gone.
    pub sleeping_children: usize,
    /// Resources (`RLIMIT_…`) and their soft and hard limits.
    pub limits: Vec<(u32, u64)>,
    /// Have a child that makes orphans on command.
    pub orphan_spawner: bool,
    /// A command that executes the program. The first word is a path.
    pub wrapper: Vec<OsString>,
    /// Privileges that it lacks.
    pub privileges: Privileges,
    pub emulator_options: Vec<String>,
    /// Stop before its first instruction, with this process as its tracer.
    pub traced: bool,
    /// Other new namespaces: `CLONE_NEW…`.
    pub namespaces: c_int,
    /// The file `cgroup.procs` of the cgroup to start it in, so that the kernel's memory for it is charged there.
    pub cgroup: Option<OwnedFd>,
    /// Stop until SIGCONT before becoming the program, for another tracer.
    pub stopped: bool,
    /// Seccomp allow-list; any other call kills the process. `None`: no filter.
    pub only: Option<Vec<&'static str>>,
    /// Landlock denies everything but its own file.
    pub landlock: bool,
}

impl Spawn {
    pub fn new(role: Role) -> Self {
        Spawn { role, name: Some("/pause"), stdout: Stream::Pipe, stderr: Stream::Pipe, ..Self::default() }
    }

    pub fn arguments<S: AsRef<[u8]>>(self, arguments: impl IntoIterator<Item = S>) -> Self {
        Self { arguments: c_strings(arguments), ..self }
    }

    pub fn assisted(self) -> Self {
        Self { orphan_spawner: true, ..self }
    }

    pub fn ready(self, program: &Program) -> Result<Child> {
        let privileges = self.privileges;
        let mut child = self.spawn(program)?;
        child.wait_until_ready()?;
        privileges.ensure_gone(child.pid)?;
        Ok(child)
    }

    pub fn run(self, program: &Program) -> Result<Output> {
        self.spawn(program)?.end()
    }

    pub fn spawn(mut self, program: &Program) -> Result<Child> {
        let root = if self.privileges.bare_root { Some(Root::of(program)?) } else { None };
        let visible = |file: &Path| if root.is_some() { Root::path_inside(file) } else { Ok(file.into()) };
        let mut words = take(&mut self.wrapper);
        if let Some(emulator) = &program.emulator {
            words.push(visible(emulator)?.into());
            words.extend(program.cpu.iter().flat_map(|cpu| ["-cpu".into(), cpu.into()]));
            words.extend(take(&mut self.emulator_options).into_iter().map(OsString::from));
            // The emulator takes the program's name as an option.
            words.extend(["-0".into(), self.name.unwrap_or_default().into()]);
        }
        words.push(visible(&program.file)?.into());
        let mut words = c_strings(words.iter().map(|word| word.as_bytes()));
        let file = words[0].clone();
        if words.len() == 1 {
            words = c_strings(self.name);
        }
        let pointers = |strings: &[&[CString]]| {
            let pointers = strings.iter().copied().flatten().map(|string| string.as_ptr());
            pointers.chain([std::ptr::null()]).collect::<Vec<_>>()
        };

        let [stdout, stderr] = [take(&mut self.stdout), take(&mut self.stderr)].map(StdioPipe::new);
        let (stdout, stderr) = (stdout?, stderr?);
        let filter = match (&self.only, &program.profile) {
            (Some(calls), _) => Some(filter::only(&program.name, calls)?),
            (None, Some(profile)) => Some(filter::read(profile)?),
            (None, None) => None,
        };
        let (commands, socket) = if self.orphan_spawner { Some(UnixStream::pair()?).unzip() } else { (None, None) };
        let new_process = NewProcess {
            file,
            argv: pointers(&[&words, &self.arguments]),
            envp: pointers(&[&self.environment]),
            streams: [&self.stdin, &stdout.child, &stderr.child].map(|file| file.as_ref().map(AsRawFd::as_raw_fd)),
            orphan_spawner: commands.map(OwnedFd::from),
            root: root.as_ref(),
            landlock: if self.landlock { Some(landlock::only(&program.file)?) } else { None },
            filter,
            spawn: &self,
        };
        let flags = self.namespaces
            | match self.role {
                Role::Init if geteuid().is_root() => libc::CLONE_NEWPID,
                Role::Init => libc::CLONE_NEWUSER | libc::CLONE_NEWPID,
                Role::Ordinary => 0,
            };
        let started = Instant::now();
        // SAFETY: Until the child becomes another program, it only makes system calls, on memory that was prepared here.
        let pid = unsafe {
            match &self.cgroup {
                Some(processes) => new_process.start_in(processes, flags)?,
                None => new_process.start(flags),
            }
        };
        ensure!(pid > 0, "clone: {}", std::io::Error::last_os_error());
        drop(new_process);
        let (is_emulated, status, orphan_spawner) = (program.emulator.is_some(), None, None);
        let (stdout, stderr) = (stdout.harness, stderr.harness);
        let mut child = Child { pid, started, is_emulated, status, stdout, stderr, orphan_spawner, _root: root };
        child.orphan_spawner = socket.map(OrphanSpawner::connect).transpose()?;
        Ok(child)
    }
}

/// Copies strings for exec. Each ends before its first NUL.
pub fn c_strings<S: AsRef<[u8]>>(strings: impl IntoIterator<Item = S>) -> Vec<CString> {
    let text = |string: S| string.as_ref().split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
    strings.into_iter().map(|string| CString::new(text(string)).unwrap_or_default()).collect()
}

pub struct StdioPipe {
    pub child: Option<OwnedFd>,
    pub harness: Option<OwnedFd>,
}

impl StdioPipe {
    pub fn new(stream: Stream) -> Result<Self> {
        let (read, mut write) = match stream {
            Stream::Closed => return Ok(Self { child: None, harness: None }),
            Stream::File(file) => return Ok(Self { child: Some(file), harness: None }),
            Stream::Pipe | Stream::Full | Stream::Broken => std::io::pipe()?,
        };
        if matches!(stream, Stream::Full) {
            fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            while write.write(&[b'x'; 4096]).is_ok() {}
            while write.write(b"x").is_ok() {}
            fcntl(&write, FcntlArg::F_SETFL(OFlag::empty()))?;
        }
        let harness = (!matches!(stream, Stream::Broken)).then_some(read.into());
        Ok(Self { child: Some(write.into()), harness })
    }
}

/// Exit statuses of a process that could not become the program, or not be prepared for it.
pub const NOT_EXECUTED: c_int = 126;
const NOT_PREPARED: c_int = 125;

/// Bytes of stack of the new process until it becomes the program.
const STACK: usize = 64 * 1024;

/// Everything that the new process needs before it becomes the program.
struct NewProcess<'a> {
    spawn: &'a Spawn,
    file: CString,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    streams: [Option<RawFd>; 3],
    /// Its commands.
    orphan_spawner: Option<OwnedFd>,
    root: Option<&'a Root>,
    landlock: Option<OwnedFd>,
    filter: Option<BpfProgram>,
}

impl NewProcess<'_> {
    /// Starts it with these flags of clone(2), and waits until it is the program. Until then it shares this process's
    /// memory: a copy would take longer than some programs take to start. One that stops before gets a copy.
    unsafe fn start(&self, flags: c_int) -> c_int {
        extern "C" fn run(new: *mut libc::c_void) -> c_int {
            // SAFETY: It points to a `NewProcess`, and this is the process.
            unsafe { (*new.cast::<NewProcess>()).become_program() }
        }
        let share = if self.spawn.stopped { 0 } else { libc::CLONE_VM | libc::CLONE_VFORK };
        let mut stack = [0_u8; STACK];
        let new = (&raw const *self).cast_mut().cast();
        // SAFETY: The stack is the child's alone, and everything that it reads outlives its use of it.
        unsafe { libc::clone(run, stack.as_mut_ptr_range().end.cast(), flags | share | libc::SIGCHLD, new) }
    }

    /// Starts it within a cgroup, as runtimes do: an intermediate process enters the cgroup and makes the child.
    unsafe fn start_in(&self, processes: &OwnedFd, flags: c_int) -> Result<c_int> {
        let (read, write) = std::io::pipe()?;
        let mut child: c_int = -1;
        // SAFETY: Only system calls; the kernel reads and writes the child's number.
        unsafe {
            match fork() {
                -1 => {}
                0 => {
                    if libc::write(processes.as_raw_fd(), c"0".as_ptr().cast(), 1) == 1 {
                        child = self.start(flags | libc::CLONE_PARENT);
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

    unsafe fn become_program(&self) -> ! {
        let spawn = self.spawn;
        // SAFETY: Only system calls, on memory that the parent prepared.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // PID 1 adopts orphans anyway.
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
            set_dispositions(libc::SIG_DFL);
            set_mask(0);
            if let Some(commands) = &self.orphan_spawner
                && fork_or_exit() == 0
            {
                orphan_spawner::exec(commands);
            }
            for _ in 0..spawn.dead_children {
                match fork_or_exit() {
                    0 => libc::_exit(0),
                    child => orphan_spawner::wait_for_death(child),
                }
            }
            let parent = libc::getpid();
            for _ in 0..spawn.sleeping_children {
                if fork_or_exit() == 0 {
                    sleep(parent);
                }
            }
            for (target, stream) in self.streams.iter().enumerate() {
                match stream {
                    Some(stream) => libc::dup2(*stream, target as c_int),
                    None => libc::close(target as c_int),
                };
            }
            if spawn.ignore {
                set_dispositions(libc::SIG_IGN);
            }
            if spawn.block || spawn.pending.is_some() {
                // A tracer needs SIGTRAP.
                set_mask(if spawn.traced { !(1 << (libc::SIGTRAP - 1)) } else { u64::MAX });
            }
            if let Some(signal) = spawn.pending {
                libc::raise(signal);
            }
            for &(resource, limit) in &spawn.limits {
                libc::setrlimit(resource as _, &libc::rlimit { rlim_cur: limit, rlim_max: limit });
            }
            require(spawn.privileges.drop(self.root).is_ok());
            if spawn.traced {
                libc::ptrace(libc::PTRACE_TRACEME);
            }
            if spawn.stopped {
                libc::raise(libc::SIGSTOP);
            }
            if let Some(rules) = &self.landlock {
                require(set_no_new_privs().is_ok());
                require(libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) == 0);
            }
            // Last, since it allows nothing but execve.
            require(self.filter.as_ref().is_none_or(|filter| seccompiler::apply_filter(filter).is_ok()));
            libc::execve(self.file.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
            libc::_exit(NOT_EXECUTED)
        }
    }
}

fn require(is_done: bool) {
    if !is_done {
        // SAFETY: Only the process that could not be prepared ends.
        unsafe { libc::_exit(NOT_PREPARED) };
    }
}

unsafe extern "C" {
    /// Forks without waiting for locks that another thread may hold (POSIX.1-2024). The child is a copy of this thread
    /// alone: it may make system calls and use its own memory. clone(2) takes its arguments in another order on s390x.
    #[link_name = "_Fork"]
    fn fork() -> c_int;
}

unsafe fn fork_or_exit() -> c_int {
    // SAFETY: The caller's promise is the same.
    let child = unsafe { fork() };
    require(child >= 0);
    child
}

/// Sleeps until it is killed or its parent is gone, with no file open: others may wait for a file's end.
unsafe fn sleep(parent: libc::pid_t) -> ! {
    // SAFETY: System calls without memory.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // The parent may be gone already.
        if libc::getppid() != parent {
            libc::_exit(0);
        }
        loop {
            libc::pause();
        }
    }
}

/// Sets the disposition of every signal, including the two that the C library reserves.
unsafe fn set_dispositions(disposition: libc::sighandler_t) {
    // The kernel's structure begins with the disposition, and isn't longer than this on any architecture.
    let action: [libc::sighandler_t; 8] = [disposition, 0, 0, 0, 0, 0, 0, 0];
    for signal in 1..=64 {
        // SAFETY: The kernel reads the action. It refuses SIGKILL and SIGSTOP.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0, size_of::<u64>()) };
    }
}

/// Blocks these signals and no others.
unsafe fn set_mask(mask: u64) {
    // SAFETY: The kernel reads the mask.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0, size_of::<u64>()) };
}
