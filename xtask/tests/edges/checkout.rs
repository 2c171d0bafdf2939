//! Which checkout is meant, where its path is unusual, and whose a path on the command line is.

use crate::Case;
use crate::place::{Place, Skip, clear, original, run, whole};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::SystemTime;
use xtask::{platform, sources};

pub const CASES: &[Case] = &[
    ("xtask makes the image of the checkout that one is in, whichever it was built from", is_found_at_run_time),
    ("a copied checkout builds itself in a shared target folder, whatever CARGO_BUILD_TARGET says", copy_builds_itself),
    ("a filter runs the cases that match, also through cargo test, and must match one", filter),
    ("--against is a path from where one is, and may hold a blank, = and ;", against_any_path),
    ("where all cases fail, the filter is not blamed", all_fail),
    ("the host's linker takes a comma in the repository's path", comma),
    ("a checkout that is gone leaves nothing in a shared target folder that another one stumbles over", other_gone),
    ("making the image compiles no more crates than a user should wait for", few_crates),
];

/// How many crates the README's first command may compile on a machine that has none of them.
const CRATES: usize = 84;

/// A case that is quick, and needs no namespaces.
pub const QUICK: &str = "as another process, it prints a line that begins with its name";

/// Fails where the tests can't be run here.
pub fn on_linux() -> Result<()> {
    ensure!(platform::native().is_ok(), Skip("the tests run programs for Linux, on Linux".into()));
    Ok(())
}

fn is_found_at_run_time(place: &Place) -> Result<()> {
    clear(&place.dist())?;
    let written = || fs::metadata(original().join("dist/pause.oci.tar")).and_then(|there| there.modified()).ok();
    let before = written();
    let image = run(place.xtask(&place.image()).current_dir(place.checkout.join("src/arch")))?.passes()?;
    ensure!(image.stdout.contains(&format!("localhost/pause:{}", env!("CARGO_PKG_VERSION"))), "{}", image.stdout);
    whole(&place.dist())?;
    ensure!(written() == before, "the image of the other checkout was replaced");
    Ok(())
}

fn copy_builds_itself(place: &Place) -> Result<()> {
    clear(&place.dist())?;
    let mut cargo = place.cargo(&["xtask"]);
    cargo.args(place.image()).env("CARGO_BUILD_TARGET", "aarch64-unknown-linux-gnu");
    let image = run(cargo.current_dir(place.checkout.join("docs")))?.passes()?;
    ensure!(image.stdout.contains(&format!("localhost/pause:{}", Place::VERSION)), "not the copy: {}", image.stdout);
    // Cargo shows that it compiles.
    ensure!(image.stderr.contains("Finished") && image.stderr.ends_with("writing dist\n"), "{}", image.stderr);
    whole(&place.dist())?;
    Ok(())
}

fn filter(place: &Place) -> Result<()> {
    on_linux()?;
    let mut xtask = place.xtask(&["test", "--platform", place.platform, QUICK]);
    xtask.env("CARGO_BUILD_TARGET", "aarch64-unknown-linux-gnu");
    for test in [xtask, place.cargo(&["test", "--quiet", "--target", "host-tuple", QUICK])] {
        let test = run(&mut { test })?.passes()?;
        ensure!(test.stdout.contains("1 passed; 0 failed"), "{}", test.stdout);
    }
    let words = ["test", "--platform", place.platform, "flies to the moon"];
    run(&mut place.xtask(&words))?.fails(2, &["no case has \"flies to the moon\" in its name"])?;
    Ok(())
}

fn against_any_path(place: &Place) -> Result<()> {
    on_linux()?;
    place.provide_image()?;
    let name = "p=a; ü";
    let program = place.dist().join(format!("bin/pause-{}", place.platform.replace('/', "-")));
    fs::copy(program, place.checkout.join("docs").join(name))?;
    let mut test = place.xtask(&["test", "--against", name, QUICK]);
    let test = run(test.current_dir(place.checkout.join("docs")))?.passes()?;
    ensure!(test.stdout.contains("1 passed; 0 failed"), "{}", test.stdout);
    run(&mut place.xtask(&["test", "--against", name, QUICK]))?.fails(2, &["--against", "there is no such file"])?;
    Ok(())
}

fn all_fail(place: &Place) -> Result<()> {
    on_linux()?;
    let test = run(&mut place.xtask(&["test", "--against", "/bin/true", QUICK]))?.fails(1, &["the tests failed"])?;
    ensure!(test.stdout.contains("0 passed; 1 failed"), "{}", test.stdout);
    Ok(())
}

/// Builds the program for this machine.
const BUILD: [&str; 6] = ["build", "--quiet", "--release", "--bin", "pause", "--target=host-tuple"];

fn comma(place: &Place) -> Result<()> {
    on_linux()?;
    let folder = place.folder("a,b")?;
    sources::copy(&place.checkout, &folder)?;
    run(place.cargo(&BUILD).current_dir(&folder))?.passes()?;
    Ok(())
}

fn other_gone(place: &Place) -> Result<()> {
    on_linux()?;
    let other = place.folder("gone")?;
    // It is newer than all that has been built.
    sources::copy(&place.checkout, &other)?;
    run(place.cargo(&BUILD).current_dir(&other))?.passes()?;
    clear(&other)?;
    // So there is something to link.
    File::options().append(true).open(place.checkout.join("src/main.rs"))?.set_modified(SystemTime::now())?;
    run(&mut place.cargo(&BUILD))?.passes()?;
    Ok(())
}

fn few_crates(place: &Place) -> Result<()> {
    // What makes an image is more on one system than on another; this is what it is on this one.
    let tree = ["tree", "--quiet", "--package", "xtask", "--edges", "normal,build", "--prefix", "none", "--no-dedupe"];
    let tree =
        run(&mut place.cargo(&[&tree[..], &["--format", "{p}", "--target", "host-tuple"]].concat()))?.passes()?;
    let crates: BTreeSet<_> = tree.stdout.lines().collect();
    ensure!((2..=CRATES).contains(&crates.len()), "{} crates, not {CRATES} at most: {crates:?}", crates.len());
    Ok(())
}
