//! The conditions in which the program is started, and what can come while it runs.

use anyhow::{Context, Result, ensure};
use contract::{INTERRUPT, TERMINATED};
use harness::{Role, Start, Stream, process, wait};
use nix::libc;
use std::ffi::c_int;
use std::fmt;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// A child dies.
    ChildDies,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Terminate, Self::Interrupt, Self::ChildDies];

    /// The signal that the program gets.
    pub fn signal(self) -> c_int {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::Interrupt => libc::SIGINT,
            Self::ChildDies => libc::SIGCHLD,
        }
    }

    /// What the program says before it ends on account of it, where it does.
    pub fn message(self) -> Option<&'static str> {
        match self {
            Self::Terminate => Some(TERMINATED),
            Self::Interrupt => Some(INTERRUPT),
            Self::ChildDies => None,
        }
    }

    /// Has it happen to a process. The signal has been sent when this returns; a tracer's next request sees it.
    ///
    /// # Errors
    /// Where there is no such process, or no child that could die.
    pub fn happen(self, pid: i32) -> Result<()> {
        let kill = |pid, signal| {
            // SAFETY: no memory is handed over; the process is this one's child, or its child.
            ensure!(unsafe { libc::kill(pid, signal) } == 0, "kill: {}", std::io::Error::last_os_error());
            Ok(())
        };
        if self != Self::ChildDies {
            return kill(pid, self.signal());
        }
        let children = process::children(pid)?;
        let child = children.into_iter().find(|&child| !process::is_zombie(child)).context("it has no child left")?;
        kill(child, libc::SIGKILL)?;
        wait::until("its child is dead", Duration::ZERO, || Ok(!process::is_alive(child)))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::ChildDies => "the death of a child",
        })
    }
}

/// What the program's stderr is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    /// A pipe that takes messages.
    Open,
    /// A pipe with not a byte left.
    Full,
    /// A pipe whose reader is gone.
    Gone,
}

/// How the program is started.
#[derive(Clone, Copy)]
pub struct Condition {
    /// What it is in its PID namespace.
    pub role: Role,
    /// What its stderr is.
    pub stderr: Stderr,
    /// Whether every signal is blocked: the mask survives exec.
    pub blocked: bool,
}

/// All conditions.
#[rustfmt::skip]
pub static CONDITIONS: [Condition; 8] = [
    Condition { role: Role::Init,     stderr: Stderr::Open, blocked: false },
    Condition { role: Role::Init,     stderr: Stderr::Full, blocked: false },
    Condition { role: Role::Init,     stderr: Stderr::Gone, blocked: false },
    Condition { role: Role::Init,     stderr: Stderr::Open, blocked: true },
    Condition { role: Role::Ordinary, stderr: Stderr::Open, blocked: false },
    Condition { role: Role::Ordinary, stderr: Stderr::Full, blocked: false },
    Condition { role: Role::Ordinary, stderr: Stderr::Gone, blocked: false },
    Condition { role: Role::Ordinary, stderr: Stderr::Open, blocked: true },
];

impl Condition {
    /// How to start the program like that, with that stderr and so many children that can die.
    ///
    /// # Errors
    /// Where this process can't have so many files.
    pub fn start(&self, stderr: &Channel, children: usize) -> Result<Start> {
        let stderr = Stream::File(stderr.writer.try_clone()?.into());
        Ok(Start { stderr, block: self.blocked, sleeping_children: children, ..Start::new(self.role) })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let role = match self.role {
            Role::Init => "as PID 1",
            Role::Ordinary => "as another process",
        };
        let stderr = match self.stderr {
            Stderr::Open => "open",
            Stderr::Full => "full",
            Stderr::Gone => "gone",
        };
        let blocked = if self.blocked { ", started with signals blocked" } else { "" };
        write!(formatter, "{role}, with stderr {stderr}{blocked}")
    }
}

/// The pipe of a stderr, for one program after the other. It is made before any program is started: a copy of an end
/// that a process keeps on its way to exec would leave a pipe with a reader.
pub struct Channel {
    writer: PipeWriter,
    reader: Option<PipeReader>,
    /// How much is in there when the program has said nothing.
    filling: usize,
}

impl Channel {
    /// A pipe of that kind.
    ///
    /// # Errors
    /// Where there can't be any more.
    pub fn new(kind: Stderr) -> Result<Self> {
        let (reader, mut writer) = pipe()?;
        let mut filling = 0;
        if kind == Stderr::Full {
            // SAFETY: no memory is handed over.
            filling = usize::try_from(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) })?;
            writer.write_all(&vec![0; filling])?;
        }
        let reader = (kind != Stderr::Gone).then_some(reader);
        Ok(Self { writer, reader, filling })
    }

    /// What the program has said. It is not there any more afterwards.
    ///
    /// # Errors
    /// Where that can't be read, or is no text.
    pub fn take(&mut self) -> Result<String> {
        let Some(reader) = &mut self.reader else { return Ok(String::new()) };
        let mut there: c_int = 0;
        // SAFETY: the kernel writes one number.
        let known = unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &raw mut there) };
        ensure!(known == 0, "FIONREAD: {}", std::io::Error::last_os_error());
        let mut said = vec![0; usize::try_from(there)? - self.filling];
        reader.read_exact(&mut said)?;
        String::from_utf8(said).context("it said something that is no text")
    }
}
