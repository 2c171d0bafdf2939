//! Every edge that a user of `cargo xtask` can meet: paths, streams, file systems, users, networks, ports and bad
//! input. Each works, or ends in one clear line and the right exit status.
//!
//! All cases share one copy of the sources, in a folder with a blank and a letter that is not ASCII, and what is
//! built there.

mod cargo;
mod checkout;
mod dist;
mod input;
mod interrupts;
mod machine;
mod owner;
mod place;
mod port;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use place::{Place, Skip};
use std::process::ExitCode;
use std::sync::Arc;

/// A case: the sentence that it proves, and how.
type Case = (&'static str, fn(&Place) -> anyhow::Result<()>);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They share a checkout.
    arguments.test_threads = Some(1);
    let place = match Place::new() {
        Ok(place) => Arc::new(place),
        Err(error) => {
            xtask::note!("error: can't copy the sources: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let cases = [
        cargo::CASES,
        checkout::CASES,
        dist::CASES,
        interrupts::CASES,
        machine::CASES,
        owner::CASES,
        port::CASES,
        input::CASES,
    ];
    let trials = cases.concat().into_iter().map(|(sentence, run)| {
        let place = place.clone();
        Trial::ignorable_test(sentence, move || match run(&place) {
            Ok(()) => Ok(Completion::Completed),
            Err(error) => match error.downcast_ref() {
                Some(Skip(reason)) => Ok(Completion::ignored_with(reason)),
                None => Err(Failed::from(format!("{error:#}"))),
            },
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
