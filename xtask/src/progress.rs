//! Progress of a long command on standard error.

use crate::note;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

/// A bar on a terminal, and a line per step elsewhere.
pub struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
}

impl Progress {
    /// Starts at the first of this many steps.
    pub fn new(steps: usize) -> Self {
        let template = "{spinner} {bar:20} {pos}/{len} {msg} ({elapsed})";
        let is_terminal = stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new(steps as u64) } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, is_terminal }
    }

    /// Begins the next step.
    pub fn step(&self, step: impl Display) {
        if self.is_terminal {
            // The first one begins at 0.
            if !self.bar.message().is_empty() {
                self.bar.inc(1);
            }
            self.bar.set_message(step.to_string());
        } else {
            note!("{step}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
