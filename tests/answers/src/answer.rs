//! What a kernel can answer.

use nix::errno::Errno::{self, *};
use nix::libc;
use std::fmt;
use syscalls::Sysno;

/// An answer that is given in the kernel's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The call fails.
    Error(Errno),
    /// It returns this.
    Value(u16),
    /// A poll of one file: what the file is ready for.
    Ready(i16),
}

/// What a filter answers in the kernel's place, whatever the call.
const BY_FILTER: [Errno; 2] = [EPERM, ENOSYS];

/// The errors of each call, beside those of a filter: its manual page's, section 2.
fn errors(call: Sysno) -> &'static [Errno] {
    match call {
        Sysno::rt_sigaction | Sysno::rt_sigprocmask => &[EFAULT, EINVAL],
        Sysno::wait4 => &[ECHILD, EINTR, EINVAL, ESRCH],
        Sysno::poll => &[EFAULT, EINTR, EINVAL, ENOMEM],
        Sysno::write => &[EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EIO, ENOSPC, EPIPE],
        Sysno::pause => &[EINTR],
        _ => &[],
    }
}

/// What a file can be ready for, where it was asked about POLLOUT.
const READY: [i16; 4] = [libc::POLLOUT, libc::POLLERR, libc::POLLHUP, libc::POLLNVAL];

/// All that can be answered to a call, `length` being how much it wants to write. The kernel itself gives the rest: that
/// a handler is in place, or what was written.
pub fn answers(call: Sysno, length: u16) -> Vec<Answer> {
    let errors = errors(call).iter().chain(&BY_FILTER).map(|&error| Answer::Error(error));
    let others = match call {
        // None has changed its state; or another one was there, and is reaped.
        Sysno::wait4 => [0, 1000].map(Answer::Value).to_vec(),
        Sysno::getpid => [1, 2, 1000].map(Answer::Value).to_vec(),
        Sysno::write => [0, 1, length - 1].map(Answer::Value).to_vec(),
        Sysno::poll => {
            let all = 0..1 << READY.len();
            let bits = |set: usize| READY.iter().enumerate().filter(move |(bit, _)| set & 1 << bit != 0);
            all.map(|set| Answer::Ready(bits(set).fold(0, |ready, (_, bit)| ready | bit))).collect()
        }
        _ => Vec::new(),
    };
    errors.chain(others).collect()
}

impl Answer {
    /// What is in the result's register.
    pub fn result(self) -> i64 {
        match self {
            Self::Error(error) => -(error as i64),
            Self::Value(value) => value.into(),
            // How many files are ready for something.
            Self::Ready(ready) => (ready != 0).into(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Error(error) => write!(formatter, "{error:?}"),
            Self::Value(value) => write!(formatter, "{value}"),
            Self::Ready(ready) => write!(formatter, "revents {ready:#x}"),
        }
    }
}
