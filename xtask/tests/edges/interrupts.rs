//! What stands in dist after a command was ended in the middle of writing.

use crate::Case;
use crate::place::{Place, Skip, run, whole};
use anyhow::{Context, Result, ensure};
use std::fs;
use xtask::needs;

pub const CASES: &[Case] = &[
    ("an interrupt at any step leaves one whole image, and nothing else", interrupted),
    ("who is killed at any step leaves one whole image, and the next command cleans up", killed),
    ("folders that can't change places at once do so one after the other", in_two_steps),
];

/// The steps of writing: system calls, and which of them in a row.
const STEPS: [(&str, usize); 9] = [
    ("?mkdir,mkdirat", 1),
    ("?mkdir,mkdirat", 4),
    ("?chmod,fchmodat", 1),
    ("?chmod,fchmodat", 5),
    ("?link,linkat", 1),
    ("renameat2", 1),
    ("?rmdir,unlinkat", 1),
    ("?rmdir,unlinkat", 4),
    ("?rmdir,unlinkat", 10),
];

/// Makes the image while something happens to system calls. Whether there was a signal: it may come too late to end
/// the command.
fn meddle(place: &Place, tag: &str, injections: &[String]) -> Result<bool> {
    ensure!(needs::exists("strace"), Skip("strace is not installed; `cargo xtask test` installs it".into()));
    let trace = place.checkout.join("target/trace");
    let mut words = vec!["strace", "-qq", "-o", trace.to_str().context("a path in UTF-8")?];
    words.extend(injections.iter().flat_map(|injection| ["-e", injection.as_str()]));
    let run = run(&mut place.xtask_under(&words, &[&place.image()[..], &["--tag", tag]].concat()))?;
    // The interrupt's exit status, and none for a signal.
    ensure!(matches!(run.status.code(), Some(0 | 130) | None), "{}: {}", run.status, run.stderr);
    let trace = fs::read_to_string(trace)?;
    Ok(trace.contains("--- SIGINT") || trace.contains("+++ killed by SIGKILL"))
}

/// Prepares dist, with a file in it that is none of xtask's.
fn prepare(place: &Place) -> Result<std::path::PathBuf> {
    place.provide_image()?;
    let file = place.dist().join("file");
    fs::write(&file, "mine")?;
    Ok(file)
}

fn interrupted(place: &Place) -> Result<()> {
    let file = prepare(place)?;
    for (index, (calls, when)) in STEPS.into_iter().enumerate() {
        let injection = format!("inject={calls}:signal=SIGINT:when={when}");
        ensure!(meddle(place, &format!("i{index}"), &[injection])?, "{calls} was not called {when} times");
        whole(&place.dist())?;
        ensure!(file.exists(), "a file is gone");
    }
    Ok(())
}

fn killed(place: &Place) -> Result<()> {
    let file = prepare(place)?;
    for (index, (calls, when)) in STEPS.into_iter().enumerate() {
        let injection = format!("inject={calls}:signal=SIGKILL:when={when}");
        ensure!(meddle(place, &format!("k{index}"), &[injection])?, "{calls} was not called {when} times");
        // What is left is the next one's.
        let left = place.checkout.join(".dist.new");
        let aside = place.checkout.join("target/left");
        if left.exists() {
            fs::rename(&left, &aside)?;
        }
        whole(&place.dist())?;
        ensure!(file.exists(), "a file is gone");
        if aside.exists() {
            fs::rename(&aside, &left)?;
        }
    }
    run(&mut place.xtask(&place.image()))?.passes()?;
    whole(&place.dist())?;
    Ok(())
}

fn in_two_steps(place: &Place) -> Result<()> {
    let file = prepare(place)?;
    let impossible = "inject=renameat2:error=EINVAL".to_owned();
    ensure!(!meddle(place, "two", std::slice::from_ref(&impossible))?, "there was a signal");
    let before = whole(&place.dist())?;
    ensure!(String::from_utf8_lossy(&before).contains(":two"), "it is the image from before");
    for when in 1..=3 {
        let kill = format!("inject=?rename,renameat:signal=SIGKILL:when={when}");
        ensure!(meddle(place, &format!("t{when}"), &[impossible.clone(), kill])?, "rename was not called {when} times");
        run(&mut place.xtask(&place.image()))?.passes()?;
        whole(&place.dist())?;
        ensure!(file.exists(), "a file is gone");
    }
    Ok(())
}
