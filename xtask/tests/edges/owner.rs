//! Whose files a command leaves that was started with sudo.

use crate::Case;
use crate::interrupts::interrupt;
use crate::place::{Place, Skip, link, run};
use anyhow::{Context, Result, ensure};
use std::env::{home_dir, var_os};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::{needs, sources};

pub const CASES: &[Case] = &[("root leaves no file of its own in a user's checkout and homes", no_file_of_roots)];

const USER: &str = "1000:1000";

/// Root's files below a directory.
fn of_root(directory: &Path) -> Result<String> {
    Ok(run(Command::new("find").arg(directory).args(["-uid", "0"]))?.passes()?.stdout)
}

fn no_file_of_roots(place: &Place) -> Result<()> {
    ensure!(needs::is_root(), Skip("only root can write another user's files".into()));
    let (checkout, homes) = (place.folder("user's checkout")?, place.folder("user's homes")?);
    sources::copy(&place.checkout, &checkout)?;
    let mut sudo = Vec::new();
    for (variable, name) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        // The real homes' files are reached by links, which must not be followed.
        let real = var_os(variable).map(PathBuf::from).or(Some(home_dir().context("a home")?.join(name)));
        let home = homes.join(name);
        fs::create_dir(&home)?;
        for entry in fs::read_dir(real.unwrap_or_default()).into_iter().flatten() {
            let entry = entry?;
            link(&entry.path(), &home.join(entry.file_name()))?;
        }
        sudo.push((variable, home));
    }
    let foreign = place.folder("root's")?;
    link(&foreign, &checkout.join("link"))?;
    run(Command::new("chown").args(["-hR", USER]).args([&checkout, &homes]))?.passes()?;
    let xtask = |words: &[&str]| {
        let mut xtask = place.xtask(words);
        xtask.current_dir(&checkout).envs(sudo.iter().cloned()).env("SUDO_UID", "1000").env("SUDO_GID", "1000");
        xtask
    };
    run(&mut xtask(&place.image()))?.passes()?;
    ensure!(checkout.join("dist/pause.oci").exists() && checkout.join("target/cross").exists(), "nothing was built");
    ensure!(of_root(&checkout)?.is_empty(), "root's: {}", of_root(&checkout)?);

    fs::write(checkout.join("target/file"), "")?;
    fs::write(homes.join(".cargo/file"), "")?;
    run(&mut xtask(&["imgae"]))?.fails(2, &["'imgae'"])?;
    ensure!(of_root(&checkout)?.is_empty() && of_root(&homes)?.is_empty(), "after bad input: {}", of_root(&checkout)?);

    fs::write(checkout.join("target/file"), "")?;
    run(Command::new("chown").arg("0").arg(checkout.join("target/file")))?.passes()?;
    interrupt(&checkout.join("dist"), &mut xtask(&place.image()), "TERM")?;
    ensure!(of_root(&checkout)?.is_empty(), "after a signal: {}", of_root(&checkout)?);
    ensure!(!of_root(&foreign)?.is_empty(), "a link was followed");
    Ok(())
}
