//! Pause, and orphans for it, as processes that a case starts.

use crate::proc::{count_children, is_ready, wait_until};
use crate::sys::{self, File, Pid};
use crate::{Result, Text, text};
use core::ffi::{CStr, c_int};
use linux_raw_sys::general::{CLONE_NEWPID, POLLIN, POLLOUT, SIGKILL};

#[derive(Clone, Copy, PartialEq)]
pub enum Role {
    /// PID 1 of a new PID namespace.
    Init,
    Ordinary,
}

/// A running pause. It is killed when this is dropped.
pub struct Pause {
    pub pid: Pid,
    /// Wait status: <https://man7.org/linux/man-pages/man2/wait.2.html>
    status: Option<c_int>,
    stdout: File,
    stderr: File,
}

impl Pause {
    /// Starts it. `prepare` runs in the process that becomes pause. It isn't a function pointer: see [`sys::write_all`].
    pub fn start(role: Role, arguments: &[&CStr], prepare: impl FnOnce()) -> Self {
        let (stdout, child_stdout) = sys::pipe();
        let (stderr, child_stderr) = sys::pipe();
        let pid = sys::fork(if role == Role::Init { CLONE_NEWPID } else { 0 });
        if pid == 0 {
            sys::duplicate(child_stdout, 1);
            sys::duplicate(child_stderr, 2);
            prepare();
            let error = sys::execute(c"/pause", arguments);
            if sys::poll(child_stderr, POLLOUT) {
                sys::write_all(child_stderr, text!("execve: {error}").as_bytes());
            }
            sys::exit(127);
        }
        [child_stdout, child_stderr].into_iter().for_each(sys::close);
        Self { pid, status: None, stdout, stderr }
    }

    /// Starts it without arguments, and waits until it is ready.
    pub fn ready(role: Role, prepare: impl FnOnce()) -> Result<Self> {
        Self::start(role, &[c"/pause"], prepare).wait_until_ready()
    }

    pub fn wait_until_ready(mut self) -> Result<Self> {
        wait_until(|| if self.has_ended() { Err(self.outcome()) } else { Ok(is_ready(self.pid)) })?;
        Ok(self)
    }

    pub fn signal(&self, signal: u32) {
        sys::kill(self.pid, signal);
    }

    pub fn wait_for(mut self, status: c_int) -> Result<Self> {
        wait_until(|| Ok(self.has_ended()))?;
        if self.status == Some(status) { Ok(self) } else { Err(self.outcome()) }
    }

    /// Sends a signal. Waits until it has exited with status 0, and compares its further output.
    pub fn exits_on(self, signal: u32, stderr: &str) -> Result {
        self.signal(signal);
        self.wait_for(0)?.has_written("", stderr)
    }

    /// Compares its output since the last time, without blanks around it.
    pub fn has_written(&self, stdout: &str, stderr: &str) -> Result {
        for (name, file, expected) in [("stdout", self.stdout, stdout), ("stderr", self.stderr, stderr)] {
            let (text, expected) = (read_available(file), expected.trim());
            let actual = text.trim();
            if actual != expected {
                return Err(text!("{name} is {actual:?} instead of {expected:?}"));
            }
        }
        Ok(())
    }

    pub fn reaps_orphans(self) -> Result<Self> {
        sys::close(make_orphans(self.pid)?);
        self.wait_until_childless()
    }

    /// Waits until it has neither living children nor zombies.
    pub fn wait_until_childless(self) -> Result<Self> {
        wait_until(|| Ok(count_children(self.pid, "") == 0))?;
        Ok(self)
    }

    fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = sys::reap(self.pid);
        }
        self.status.is_some()
    }

    fn outcome(&self) -> Text {
        let status = self.status.unwrap_or_default();
        text!("pause ended with wait status {status:#x}; stderr: {:?}", read_available(self.stderr).trim())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        while !self.has_ended() {
            self.signal(SIGKILL);
            sys::nap();
        }
        [self.stdout, self.stderr].into_iter().for_each(sys::close);
    }
}

pub const ORPHANS: usize = 300;

/// Makes [`ORPHANS`] orphans in the namespace of its PID 1, which adopts them. They exit when the file is closed.
pub fn make_orphans(pid: Pid) -> Result<File> {
    let before = count_children(pid, "");
    let (barrier, gate) = sys::pipe();
    let grandparent = sys::fork(0);
    if grandparent == 0 {
        sys::close(gate);
        be_grandparent(pid, barrier);
    }
    sys::close(barrier);
    sys::wait_for_zombie(grandparent);
    match (sys::reap(grandparent), count_children(pid, "") - before) {
        (Some(0), ORPHANS) => Ok(gate),
        (status, adopted) => Err(text!("{adopted} orphans of {ORPHANS}; their grandparent's status: {status:?}")),
    }
}

/// Each child of this process leaves an orphan.
fn be_grandparent(pid: Pid, barrier: File) -> ! {
    let path = text!("/proc/{pid}/ns/pid\0");
    let namespace = sys::open(CStr::from_bytes_until_nul(path.as_bytes()).expect("it ends with a zero"));
    sys::join_namespace(namespace.expect("a process has a PID namespace")).expect("root may join it");
    for _ in 0..ORPHANS {
        let parent = sys::fork(0);
        if parent == 0 {
            if sys::fork(0) == 0 {
                // Returns when the gate is closed.
                sys::read(barrier, &mut [0]).ok();
            }
            sys::exit(0);
        }
        sys::wait_for_zombie(parent);
        sys::reap(parent);
    }
    sys::exit(0)
}

fn read_available(file: File) -> Text {
    let mut text = Text::new();
    while sys::poll(file, POLLIN) {
        let mut buffer = [0; 128];
        match sys::read(file, &mut buffer) {
            Ok(count @ 1..) => drop(text.try_push_str(str::from_utf8(&buffer[..count]).unwrap_or_default())),
            _ => break,
        }
    }
    text
}
