//! What `cargo xtask push` and `cargo xtask verify` promise, seen at a real registry of the run, on the loopback
//! device alone.

mod forge;
mod push;
mod registry;
mod scene;
mod stand_in;
mod verify;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use scene::Scene;
use std::process::ExitCode;
use std::sync::Arc;
use xshell::Shell;
use xtask::needs::Needs;

/// A case: the sentence that it proves, and how.
type Case = (&'static str, fn(&Scene) -> anyhow::Result<()>);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They build in one folder.
    arguments.test_threads = Some(1);
    let missing = provide().err().map(|error| format!("{error:#}"));
    if let Some(reason) = &missing {
        xtask::note!("What takes a registry is skipped: {reason}");
    }
    let scene = match Scene::new() {
        Ok(scene) => Arc::new(scene),
        Err(error) => {
            xtask::note!("error: can't build an image: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let trial = |(sentence, run): Case, missing: Option<String>| {
        let scene = scene.clone();
        Trial::ignorable_test(sentence, move || match missing {
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => run(&scene).map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:#}"))),
        })
    };
    let with_registry = [push::CASES, verify::CASES_WITH_REGISTRY].concat();
    let without = [push::CASES_WITHOUT_REGISTRY, verify::CASES].concat();
    let trials = with_registry.into_iter().map(|case| trial(case, missing.clone()));
    let trials = trials.chain(without.into_iter().map(|case| trial(case, None)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Sees to it that there are a registry, and what makes certificates.
fn provide() -> anyhow::Result<()> {
    let mut needs = Needs::of("cargo test --package publish");
    needs.file("docker-registry", "docker-registry", "push to a registry");
    needs.file("openssl", "openssl", "make certificates");
    needs.provide(&Shell::new()?)
}
