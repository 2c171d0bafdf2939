//! Whose files a command leaves that was started with sudo.

use crate::Case;
use crate::interrupts::interrupt;
use crate::place::{Place, Skip, run};
use anyhow::{Context, Result, ensure};
use std::env::{home_dir, var_os};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::{needs, sources};

pub const CASES: &[Case] = &[("root leaves no file of its own in a user's checkout and cargo home", no_file_of_roots)];

/// Root's files below a directory.
fn of_root(directory: &Path) -> Result<String> {
    Ok(run(Command::new("find").arg(directory).args(["-uid", "0"]))?.passes()?.stdout)
}

fn no_file_of_roots(place: &Place) -> Result<()> {
    ensure!(needs::is_root(), Skip("only root can write another user's files".into()));
    let (checkout, home) = (place.folder("user's checkout")?, place.folder("user's home")?);
    sources::copy(&place.checkout, &checkout)?;
    // The crates are reached by links, which must not be followed.
    let real = var_os("CARGO_HOME").map(PathBuf::from).or(Some(home_dir().context("a home")?.join(".cargo")));
    for entry in fs::read_dir(real.unwrap_or_default())? {
        let entry = entry?;
        symlink(entry.path(), home.join(entry.file_name()))?;
    }
    let foreign = place.folder("root's")?;
    symlink(&foreign, checkout.join("link"))?;
    fs::write(foreign.join("file"), "")?;
    fs::create_dir(checkout.join("target"))?;
    run(Command::new("chown").args(["-hR", "1000:1000"]).args([&checkout, &home]))?.passes()?;
    fs::hard_link(foreign.join("file"), checkout.join("target/hard link"))?;
    let xtask = |words: &[&str]| {
        let mut xtask = place.xtask(words);
        xtask.current_dir(&checkout).env("CARGO_HOME", &home);
        xtask
    };
    run(&mut xtask(&place.image()))?.passes()?;
    ensure!(checkout.join("dist/pause.oci").exists() && checkout.join("target/cross").exists(), "nothing was built");
    // Then the only file of root's is the one that has a name elsewhere.
    let is_users = |directory: &Path| {
        Ok::<_, anyhow::Error>(!of_root(directory)?.lines().any(|line| !line.ends_with("hard link")))
    };
    ensure!(is_users(&checkout)?, "root's: {}", of_root(&checkout)?);
    ensure!(of_root(&foreign)?.contains("/file"), "a hard link was followed");

    fs::write(checkout.join("target/file"), "")?;
    fs::write(home.join("file"), "")?;
    run(&mut xtask(&["imgae"]))?.fails(2, &["'imgae'"])?;
    ensure!(is_users(&checkout)? && of_root(&home)?.is_empty(), "after bad input: {}", of_root(&checkout)?);

    fs::write(checkout.join("target/other"), "")?;
    interrupt(&checkout.join("dist"), &mut xtask(&place.image()), "TERM")?;
    ensure!(is_users(&checkout)?, "after a signal: {}", of_root(&checkout)?);
    ensure!(!of_root(&foreign)?.is_empty(), "a link was followed");
    Ok(())
}
