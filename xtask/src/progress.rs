//! Progress of a long command on standard error: one line that changes on a terminal, otherwise a line per step.

use crate::status;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Progress {
    steps: usize,
    done: AtomicUsize,
}

impl Progress {
    pub fn new(steps: usize) -> Self {
        Self { steps, done: AtomicUsize::new(0) }
    }

    /// Begins the next step.
    pub fn step(&self, step: impl Display) {
        let done = self.done.fetch_add(1, Ordering::Relaxed);
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r\x1b[2K{done}/{} {step}", self.steps);
        } else {
            status!("{step}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r\x1b[2K");
        }
    }
}
