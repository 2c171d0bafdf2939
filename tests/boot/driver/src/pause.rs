//! The program under test, as a process that a row has started.

use crate::processes::{count_children, eventually, is_ready};
use crate::sys::{self, File, Pid};
use crate::text::{Result, Text, text};
use core::ffi::{CStr, c_int};
use core::fmt::{self, Display, Formatter};
use linux_raw_sys::general::{SIGKILL, SIGTERM};

/// How a process ended.
#[derive(PartialEq)]
pub enum End {
    /// It exited with this status.
    Status(c_int),
    /// It was killed by this signal.
    Signal(c_int),
}

impl From<c_int> for End {
    /// <https://man7.org/linux/man-pages/man2/wait.2.html>
    fn from(status: c_int) -> Self {
        match status & 0x7f {
            0 => End::Status(status >> 8 & 0xff),
            signal => End::Signal(signal),
        }
    }
}

impl Display for End {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        match self {
            End::Status(status) => write!(formatter, "exited with status {status}"),
            End::Signal(signal) => write!(formatter, "was killed by signal {signal}"),
        }
    }
}

/// A running pause. It is killed when this is dropped.
pub struct Pause {
    pid: Pid,
    end: Option<End>,
    stdout: File,
    stderr: File,
}

impl Pause {
    /// Starts it as PID 1 of a new PID namespace.
    pub fn start() -> Self {
        Self::start_with(true, &[c"/pause"], |_| ())
    }

    /// Starts it, as PID 1 of a new PID namespace or as an ordinary process, with these arguments. `prepare`
    /// runs in the process that then becomes pause, whose stderr it is given.
    pub fn start_with(as_first: bool, arguments: &[&CStr], prepare: impl FnOnce(File)) -> Self {
        let (stdout, its_stdout) = sys::pipe();
        let (stderr, its_stderr) = sys::pipe();
        let pid = if as_first { sys::fork_into_namespace() } else { sys::fork() };
        if pid == 0 {
            sys::duplicate(its_stdout, 1);
            sys::duplicate(its_stderr, 2);
            prepare(2);
            let error = sys::execute(c"/pause", arguments);
            if sys::is_writable(its_stderr) {
                sys::write_all(its_stderr, text!("execve: {error}").bytes());
            }
            sys::exit(127);
        }
        sys::close(its_stdout);
        sys::close(its_stderr);
        Self { pid, end: None, stdout, stderr }
    }

    /// Its number, in the driver's namespace.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has its handlers in place and sleeps.
    pub fn await_ready(&mut self) -> Result {
        eventually("pause to install its handlers and sleep", || {
            if self.has_ended() {
                return Err(self.tell());
            }
            Ok(is_ready(self.pid))
        })
    }

    /// Waits for its end, and for an exit status of 0.
    pub fn await_success(&mut self) -> Result {
        self.await_end(End::Status(0))
    }

    /// Waits for its end, and for this one.
    pub fn await_end(&mut self, expected: End) -> Result {
        eventually("pause to end", || Ok(self.has_ended()))?;
        if self.end == Some(expected) { Ok(()) } else { Err(self.tell()) }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: u32) {
        sys::kill(self.pid, signal).ok();
    }

    /// Sends SIGTERM and waits for an exit status of 0.
    pub fn terminate(&mut self) -> Result {
        self.signal(SIGTERM);
        self.await_success()
    }

    /// Closes the reader of its stderr.
    pub fn stop_listening(&mut self) {
        sys::close(self.stderr);
        self.stderr = File::MAX;
    }

    /// Compares what it has written to stdout since the last time.
    pub fn has_printed(&self, expected: &str) -> Result {
        compare("stdout", &read_available(self.stdout), expected)
    }

    /// Compares what it has written to stderr since the last time.
    pub fn has_said(&self, expected: &str) -> Result {
        compare("stderr", &read_available(self.stderr), expected)
    }

    fn has_ended(&mut self) -> bool {
        if self.end.is_none() {
            self.end = sys::reap(self.pid).map(End::from);
        }
        self.end.is_some()
    }

    /// The end that was not expected, with its last words.
    fn tell(&self) -> Text {
        let words = read_available(self.stderr);
        match &self.end {
            Some(end) => text!("pause {end}; stderr: {:?}", words.as_str().trim()),
            None => text!("pause runs"),
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        while !self.has_ended() {
            self.signal(SIGKILL);
            sys::nap();
        }
        sys::close(self.stdout);
        sys::close(self.stderr);
    }
}

/// Orphans that pause has adopted. They live until this is released.
pub struct Orphans {
    gate: File,
}

impl Orphans {
    /// Makes orphans in the namespace of `pid`, its PID 1, which adopts them.
    pub fn make(pid: Pid, count: usize) -> Result<Self> {
        let before = count_children(pid);
        let (barrier, gate) = sys::pipe();
        let parent = sys::fork();
        if parent == 0 {
            sys::close(gate);
            make_orphans(pid, count, barrier);
        }
        sys::close(barrier);
        let mut end = None;
        eventually("the parent of the orphans to end", || {
            end = sys::reap(parent).map(End::from);
            Ok(end.is_some())
        })?;
        if end != Some(End::Status(0)) {
            return Err(text!("the parent of the orphans can't join the namespace or fork"));
        }
        let orphans = Self { gate };
        match count_children(pid) - before {
            adopted if adopted == count => Ok(orphans),
            adopted => Err(text!("pause adopted {adopted} orphans of {count}")),
        }
    }

    /// Lets all of them end at once.
    pub fn release(self) {
        sys::close(self.gate);
    }
}

/// The life of the orphans' grandparent: each of its children leaves a child of its own behind.
fn make_orphans(pid: Pid, count: usize, barrier: File) -> ! {
    let path = text!("/proc/{pid}/ns/pid\0");
    let namespace = sys::open(CStr::from_bytes_until_nul(path.bytes()).expect("a path that ends"));
    sys::join_namespace(namespace.expect("a process has a namespace")).expect("one can join the namespace");
    for _ in 0..count {
        let parent = sys::fork();
        if parent == 0 {
            if sys::fork() == 0 {
                // Returns when the gate is closed.
                sys::read(barrier, &mut [0]).ok();
            }
            sys::exit(0);
        }
        sys::await_zombie(parent);
        sys::reap(parent);
    }
    sys::exit(0)
}

/// What is there to read.
fn read_available(file: File) -> Text {
    let mut text = Text::new(b"");
    while sys::is_readable(file) {
        let mut buffer = [0; 128];
        match sys::read(file, &mut buffer) {
            Ok(count @ 1..) => text.append(&buffer[..count]),
            _ => break,
        }
    }
    text
}

fn compare(name: &str, text: &Text, expected: &str) -> Result {
    match text.as_str() {
        actual if actual == expected => Ok(()),
        actual => Err(text!("{name} has {actual:?} instead of {expected:?}")),
    }
}
