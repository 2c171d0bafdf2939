//! What is in dist after a command was ended while it was writing.

use crate::Case;
use crate::place::{Place, Run, Skip, run, whole};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use xtask::needs;

pub const CASES: &[Case] = &[
    ("a signal ends a waiting command with 128 and its number, and the image is the old one", while_waiting),
    ("a signal in the middle of writing leaves one whole image", interrupted),
    ("SIGKILL at any step leaves a whole layout, and the next command replaces it", killed),
];

/// Signals, and the exit status after each.
const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

/// Starts a command that has to wait for its turn to write, and sends it a signal.
pub fn interrupt(dist: &Path, command: &mut Command, signal: &str) -> Result<Run> {
    let other = File::open(dist)?;
    other.lock().map_err(|_| Skip("directories can't be locked here".into()))?;
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("a pipe")?).lines();
    let waits = lines.by_ref().any(|line| line.is_ok_and(|line| line.starts_with("waiting for another command")));
    ensure!(waits, "it did not wait: {}", child.wait()?);
    run(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]))?.passes()?;
    Ok(Run::from(child.wait_with_output()?))
}

fn while_waiting(place: &Place) -> Result<()> {
    place.provide_image()?;
    let before = whole(&place.dist())?;
    for (signal, status) in SIGNALS {
        let run =
            interrupt(&place.dist(), &mut place.xtask(&[&place.image()[..], &["--tag", signal]].concat()), signal)?;
        ensure!(run.status.code() == Some(status), "SIG{signal}: {}", run.status);
        ensure!(whole(&place.dist())? == before, "the image has changed");
    }
    Ok(())
}

/// The steps of writing: system calls, and which of them in a row.
const STEPS: [(&str, usize); 5] = [
    ("?rename,renameat,renameat2", 1),
    ("?rename,renameat,renameat2", 4),
    ("?rename,renameat,renameat2", 7),
    ("?rename,renameat,renameat2", 9),
    ("?unlink,unlinkat", 1),
];

/// Makes another image, and sends a signal at a step.
fn signal_at(place: &Place, signal: &str, (calls, when): (&str, usize)) -> Result<Run> {
    ensure!(needs::exists("strace"), Skip("strace is not installed; `cargo xtask test` installs it".into()));
    place.provide_image()?;
    let trace = place.checkout.join("target/trace");
    let injection = format!("inject={calls}:signal=SIG{signal}:when={when}");
    let strace = ["strace", "-qq", "-o", trace.to_str().context("a path in UTF-8")?, "-e", &injection];
    // Other blobs than before.
    let link = format!("/{signal}{when}");
    let image = run(&mut place.xtask_under(&strace, &[&place.image()[..], &["--link", &link]].concat()))?;
    let trace = fs::read_to_string(trace)?;
    let came = [format!("--- SIG{signal} "), format!("killed by SIG{signal} ")];
    ensure!(came.iter().any(|line| trace.contains(line)), "{calls} was not called {when} times");
    Ok(image)
}

fn interrupted(place: &Place) -> Result<()> {
    for ((signal, status), step) in SIGNALS.into_iter().cycle().zip(STEPS) {
        let image = signal_at(place, signal, step)?;
        // The last step may be done before the process ends.
        ensure!([Some(0), Some(status)].contains(&image.status.code()), "{}: {}", image.status, image.stderr);
        whole(&place.dist())?;
    }
    Ok(())
}

fn killed(place: &Place) -> Result<()> {
    for step in STEPS {
        signal_at(place, "KILL", step)?;
        let layout = place.dist().join("pause.oci");
        let mut files = vec!["index.json".to_owned()];
        while let Some(file) = files.pop() {
            let content = fs::read(layout.join(&file)).with_context(|| format!("{step:?}: {file} is missing"))?;
            let text = String::from_utf8_lossy(&content);
            // A config names layers by what they hold.
            if !text.contains("\"rootfs\"") {
                let digests = text.split("\"sha256:").skip(1);
                files.extend(digests.filter_map(|digest| Some(format!("blobs/sha256/{}", digest.get(..64)?))));
            }
        }
        run(&mut place.xtask(&place.image()))?.passes()?;
        ensure!(fs::read_dir(layout.join("blobs/sha256"))?.count() == 3, "{step:?}: blobs of another image are left");
    }
    Ok(())
}
