//! Waiting for something that another process does.

use anyhow::{Result, ensure};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How many seconds anything may take before it is called a hang: a generous minute, for emulators are slow and so
/// are machines that do something else.
static PATIENCE: AtomicU64 = AtomicU64::new(60);

/// How long anything may take before it is called a hang.
pub fn patience() -> Duration {
    Duration::from_secs(PATIENCE.load(Relaxed))
}

/// Sets how many seconds anything may take, where it is known to hang.
pub fn set_patience(seconds: u64) {
    PATIENCE.store(seconds, Relaxed);
}

/// How soon to look again at first.
const FIRST: Duration = Duration::from_micros(10);

/// Waits until something is so, looking as often as `interval` says and at first more often, or all the time where that
/// is zero. Returns whether it became so within `limit`.
///
/// # Errors
/// Where that can't be known.
pub fn within(limit: Duration, interval: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    let start = Instant::now();
    let mut pause = FIRST;
    while start.elapsed() < limit {
        if is_so()? {
            return Ok(true);
        }
        match interval {
            Duration::ZERO => std::thread::yield_now(),
            _ => std::thread::sleep(pause.min(interval)),
        }
        pause = pause.saturating_mul(2);
    }
    is_so()
}

/// Waits until something is so. `what` ends the sentence "gave up waiting until".
///
/// # Errors
/// Where it does not become so, or that can't be known.
pub fn until(what: &str, interval: Duration, is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    ensure!(within(patience(), interval, is_so)?, "gave up waiting until {what}");
    Ok(())
}
