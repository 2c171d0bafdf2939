//! What must follow from what came.

use crate::{Channel, Condition, Event, Stderr};
use anyhow::{Result, ensure};
use contract::WARNING;
use harness::{Role, Running, process};
use std::os::unix::process::ExitStatusExt;

/// Something that came.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// What it was.
    pub event: Event,
    /// Whether the program's handler was in place, or the signal blocked until it would be. Else it meets the kernel's
    /// default.
    pub handled: bool,
    /// Whether the one before was still on its way then.
    pub together: bool,
}

/// How the program has to end.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It exits with 0.
    Exits,
    /// One of these events kills it, as is the kernel's default.
    IsKilled(Vec<Event>),
    /// It does not end.
    Sleeps,
}

/// Fails where a program that was let go does not do what must follow. It is ended by SIGTERM if it has to sleep.
///
/// # Errors
/// Where something else follows: what that was.
pub fn judge(mut running: Running, condition: &Condition, sent: &[Sent], stderr: &mut Channel) -> Result<()> {
    let fate = fate(condition, sent);
    let mut sent = sent.to_vec();
    if fate == Fate::Sleeps {
        running.wait_until_asleep()?;
        let zombies = process::zombies(running.pid())?;
        ensure!(zombies == 0, "it sleeps, and has left {zombies} zombies");
        let event = Event::Terminate;
        event.happen(running.pid())?;
        sent.push(Sent { event, handled: true, together: false });
    }
    let end = running.end()?;
    let said = stderr.take()?;
    match &fate {
        Fate::IsKilled(events) => {
            let is_one = |signal| events.iter().any(|event| event.signal() == signal);
            ensure!(end.status.signal().is_some_and(is_one), "it was not killed but ended with {}", end.status);
        }
        _ => ensure!(end.status.code() == Some(0), "it ended with {}", end.status),
    }
    let texts = texts(condition, &fate, &sent);
    ensure!(texts.contains(&said), "it said {said:?}, and should have said one of {texts:?}");
    ensure!(end.stdout.is_empty(), "it said {:?} to stdout", end.stdout);
    Ok(())
}

fn fate(condition: &Condition, sent: &[Sent]) -> Fate {
    let ends = |sent: &&Sent| sent.event.message().is_some();
    let fatal: Vec<_> = match condition.role {
        // The kernel protects PID 1 from what it does not handle.
        Role::Init => Vec::new(),
        Role::Ordinary => sent.iter().filter(ends).filter(|sent| !sent.handled).map(|sent| sent.event).collect(),
    };
    if !fatal.is_empty() {
        Fate::IsKilled(fatal)
    } else if sent.iter().filter(ends).any(|sent| sent.handled) {
        Fate::Exits
    } else {
        Fate::Sleeps
    }
}

/// What the program may have said, all of it: whole messages.
fn texts(condition: &Condition, fate: &Fate, sent: &[Sent]) -> Vec<String> {
    if condition.stderr != Stderr::Open {
        return vec![String::new()];
    }
    let mut warnings = vec![""];
    if condition.role == Role::Ordinary {
        warnings.push(WARNING);
        if *fate == Fate::Sleeps {
            warnings.remove(0);
        }
    }
    let mut ending: Vec<_> = sent.iter().filter(|sent| sent.handled && sent.event.message().is_some()).collect();
    // Where several are pending, the kernel delivers the lower number first: the other's handler is on top of that one's,
    // and runs.
    if ending.iter().any(|sent| sent.together) {
        ending.sort_by_key(|sent| sent.event.signal());
        ending.drain(..ending.len() - 1);
    }
    // A handler that runs blocks its own signal and no other.
    ending.dedup_by_key(|sent| sent.event);
    let messages: Vec<_> = ending.iter().filter_map(|sent| sent.event.message()).collect();
    let messages = match (&messages[..], fate) {
        // It may have been killed before it could say so.
        (said, Fate::IsKilled(_)) => vec![String::new(), said.concat()],
        // The second handler may have run before the first one came to its message. It always comes to its own.
        (&[first, second], _) => vec![second.into(), format!("{first}{second}")],
        (said, _) => vec![said.concat()],
    };
    warnings.iter().flat_map(|warning| messages.iter().map(move |message| format!("{warning}{message}"))).collect()
}
