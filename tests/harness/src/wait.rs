//! Waiting for another process.
//!
//! `PAUSE_TIME_FACTOR` multiplies every time-out and pause, for a machine that is slow or busy: `PAUSE_TIME_FACTOR=5`.

use anyhow::{Context, Result, ensure};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

static FACTOR: LazyLock<f64> = LazyLock::new(|| {
    let factor = std::env::var("PAUSE_TIME_FACTOR").ok().and_then(|factor| factor.parse().ok());
    factor.filter(|factor| (0.01..1e6).contains(factor)).unwrap_or(1.0)
});

/// Seconds after which a process counts as hung. Emulators are slow.
static TIMEOUT: AtomicU64 = AtomicU64::new(60);

const TIMED_OUT: &str = "gave up waiting until";

pub fn scaled(duration: Duration) -> Duration {
    duration.mul_f64(*FACTOR)
}

pub fn timeout() -> Duration {
    scaled(Duration::from_secs(TIMEOUT.load(Relaxed)))
}

/// Sets the time-out, for programs that are expected to hang.
pub fn set_timeout(seconds: u64) {
    TIMEOUT.store(seconds, Relaxed);
}

/// Waits for a condition for up to `limit`, which isn't scaled, checking it every `interval` and at first more often, or
/// all the time if that is zero. Returns whether it came true.
pub fn within(limit: Duration, interval: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
    let (start, mut pause) = (Instant::now(), Duration::from_micros(10));
    while start.elapsed() < limit {
        if condition()? {
            return Ok(true);
        }
        match interval {
            Duration::ZERO => thread::yield_now(),
            _ => thread::sleep(pause.min(interval)),
        }
        pause = pause.saturating_mul(2);
    }
    condition()
}

/// Waits for a condition. `what` ends the sentence "gave up waiting until".
pub fn until(what: &str, interval: Duration, condition: impl FnMut() -> Result<bool>) -> Result<()> {
    ensure!(within(timeout(), interval, condition)?, "{TIMED_OUT} {what}");
    Ok(())
}

/// Waits for a value. `what` is as for [`until`].
pub fn until_some<T>(what: &str, interval: Duration, mut get: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let mut value = None;
    until(what, interval, || {
        value = get()?;
        Ok(value.is_some())
    })?;
    value.context("it is there")
}

pub fn is_timeout(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains(TIMED_OUT)
}
