//! What must follow from the answers: the contract's table.

use crate::answer::Answer;
use crate::life::{Call, Life, Lived};
use anyhow::{Context, Result, ensure};
use contract::{SYSTEM_CALLS, VERSION, WARNING};
use harness::Role;
use nix::libc;
use syscalls::Sysno;

/// The exit status where the handler of each signal can't be installed.
const STATUSES: [(i32, i32); 3] = [(libc::SIGTERM, 2), (libc::SIGINT, 1), (libc::SIGCHLD, 3)];

/// Fails where something else follows than the contract says.
///
/// # Errors
/// What that is.
pub fn judge(life: &Life, lived: &Lived) -> Result<()> {
    let Lived { calls, zombies, end, said, .. } = lived;
    let own = SYSTEM_CALLS.iter().find(|calls| calls.architecture == "amd64").context("it is documented")?.own;
    let undocumented = calls.iter().find(|call| !own.contains(&call.number.name()));
    ensure!(undocumented.is_none(), "it makes the call {undocumented:?}");

    let refused = calls.iter().find(|call| call.number == Sysno::rt_sigaction && call.answer.is_some());
    let status = match refused {
        None => 0,
        Some(call) => {
            let known = STATUSES.iter().find(|(signal, _)| *signal as u64 == call.first);
            known.context("it handles another signal")?.1
        }
    };
    ensure!(end.status.code() == Some(status), "it ended with {}, and should have exited with {status}", end.status);

    // Where a child was not there for it, it has not seen that it was.
    let is_blind = calls.iter().any(|call| call.number == Sysno::wait4 && is_no_child(call));
    ensure!(is_blind || zombies.iter().all(|&zombies| zombies == 0), "it sleeps, and has left a zombie");

    let to_stdout = life.arguments.contains(&"-v");
    let messages = if to_stdout { vec![VERSION] } else { messages(life, calls, refused.is_some())? };
    let expected = said_of(&messages, calls)?;
    let (expected_stdout, expected_stderr) =
        if to_stdout { (expected, String::new()) } else { (String::new(), expected) };
    ensure!(
        end.stdout == expected_stdout,
        "it said {:?} to stdout, and should have said {expected_stdout:?}",
        end.stdout
    );
    ensure!(*said == expected_stderr, "it said {said:?}, and should have said {expected_stderr:?}");
    Ok(())
}

fn is_no_child(call: &Call) -> bool {
    call.answer.is_some_and(|answer| answer.result() <= 0)
}

/// What it has to say to stderr in its life, one after the other.
fn messages(life: &Life, calls: &[Call], refused: bool) -> Result<Vec<&'static str>> {
    if refused {
        return Ok(Vec::new());
    }
    let asked = calls.iter().find(|call| call.number == Sysno::getpid).context("it does not ask for its number")?;
    let is_init = match asked.answer {
        Some(answer) => answer.result() == 1,
        None => life.role == Role::Init,
    };
    let warning = (!is_init).then_some(WARNING);
    Ok(warning.into_iter().chain(life.events.iter().filter_map(|event| event.message())).collect())
}

/// What comes of these messages. For each there is one poll; if that says that the file takes it, and nothing else, one
/// write follows at once, else none.
fn said_of(messages: &[&str], calls: &[Call]) -> Result<String> {
    let is_writing = |call: &&Call| [Sysno::poll, Sysno::write].contains(&call.number);
    let mut calls = calls.iter().filter(is_writing).peekable();
    let mut said = String::new();
    for message in messages {
        let poll = calls.next().filter(|call| call.number == Sysno::poll);
        let poll = poll.with_context(|| format!("it does not try to say {message:?}"))?;
        let is_ready = poll.answer.is_none_or(|answer| answer == Answer::Ready(libc::POLLOUT));
        let write = calls.next_if(|call| call.number == Sysno::write);
        ensure!(is_ready == write.is_some(), "of {message:?}, it is ready for it {is_ready}, the write is {write:?}");
        if let Some(write) = write {
            ensure!(write.third == message.len() as u64, "it writes {} bytes of {message:?}", write.third);
            if write.answer.is_none() {
                said += message;
            }
        }
    }
    let more = calls.next();
    ensure!(more.is_none(), "it says more than it has to: {more:?}");
    Ok(said)
}
