//! What can be in the way of the artefacts, where they are written and where the command prints.

use crate::Case;
use crate::checkout::{QUICK, on_linux};
use crate::place::{Place, Run, Skip, as_somebody, clear, namespaces, nothing_left, run, set_mode, whole};
use anyhow::{Result, ensure};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use xtask::output;

pub const CASES: &[Case] = &[
    ("standard output or error is closed or full: the image is written, and lost output is an error", streams),
    ("standard output is full: the tests fail without a backtrace", full_results),
    ("a pipe gets a line per step, a terminal a bar", progress),
    ("whatever is in the way stays, and the message says where it is", in_the_way),
    ("dist is a link to a directory elsewhere, and stays one", a_link_to_elsewhere),
    ("other files in dist stay, those of other platforms too, and dist's permissions", the_rest_stays),
    ("file systems mounted at dist and in it stay", mount_points),
    ("nothing can be written in the repository, or in dist: nothing is built", unwritable),
    ("the file system is read-only, or has no space, or no inodes: nothing is left", full_file_systems),
    (
        "--output keeps the target's permissions, follows a link, writes to a pipe, and leaves its neighbours alone",
        an_output,
    ),
];

/// Makes the image with these streams.
fn image_with(place: &Place, stdout: Stdio, stderr: Stdio, close: fn(&mut std::process::Child)) -> Result<Run> {
    clear(&place.dist())?;
    let mut child = place.xtask(&place.image()).stdout(stdout).stderr(stderr).spawn()?;
    close(&mut child);
    let output = child.wait_with_output()?;
    whole(&place.dist())?;
    Ok(Run::from(output))
}

fn full_device() -> Result<File> {
    File::options().write(true).open("/dev/full").map_err(|_| Skip("there is no /dev/full".into()).into())
}

fn full_results(place: &Place) -> Result<()> {
    on_linux()?;
    let test = place.xtask(&["test", "--platform", place.platform, QUICK]).stdout(full_device()?).output()?;
    let stderr = Run::from(test).fails(1, &["the tests failed"])?.stderr;
    ensure!(stderr.contains("can't write to standard output") && !stderr.contains("panicked"), "{stderr}");
    Ok(())
}

fn streams(place: &Place) -> Result<()> {
    image_with(place, Stdio::piped(), Stdio::piped(), |child| drop(child.stdout.take()))?.passes()?;
    image_with(place, Stdio::null(), Stdio::piped(), |child| drop(child.stderr.take()))?.passes()?;
    image_with(place, Stdio::null(), full_device()?.into(), |_| ())?.passes()?;
    let full = image_with(place, full_device()?.into(), Stdio::piped(), |_| ())?;
    full.fails(1, &["can't write to standard output: No space"])?;
    Ok(())
}

fn progress(place: &Place) -> Result<()> {
    let image = run(&mut place.xtask(&place.image()))?.passes()?;
    let steps = [&*format!("building {}", place.platform), "packing the image", "writing dist"];
    ensure!(image.stderr.lines().eq(steps), "{}", image.stderr);
    ensure!(image.stdout.contains("  toolchain  golden\n") && image.stdout.contains("  yes\n"), "{}", image.stdout);
    let starter =
        ["script", "--quiet", "--return", "/dev/null", "--command", "exec \"$XTASK\" build --platform linux/amd64"];
    let script = run(place.command(&starter).env("XTASK", place.xtask(&[]).get_program()));
    let script = script.map_err(|_| Skip("script is not installed".into()))?.passes()?;
    ensure!(script.stdout.contains("0/1 building linux/amd64 ("), "{}", script.stdout);
    Ok(())
}

/// What is in the way, with its content if it is a file, and the message.
const IN_THE_WAY: [(&str, Option<&str>, &str); 5] = [
    ("dist", Some("mine"), "dist is not a directory; move it away"),
    ("dist/bin", Some("mine"), "dist/bin is not a directory; move it away"),
    ("dist/pause.oci", Some("mine"), "dist/pause.oci is not a directory; move it away"),
    ("dist/pause.oci.tar", None, "dist/pause.oci.tar is a directory; move it away"),
    (
        "dist/pause.oci/notes.txt",
        Some("mine"),
        "pause.oci holds notes.txt, which this command did not write; move it away",
    ),
];

fn in_the_way(place: &Place) -> Result<()> {
    for (path, content, message) in IN_THE_WAY {
        clear(&place.dist())?;
        let path = place.checkout.join(path);
        fs::create_dir_all(if content.is_some() { path.parent().unwrap_or(&path) } else { &path })?;
        content.map_or(Ok(()), |content| fs::write(&path, content))?;
        let before = listing(&place.dist());
        run(&mut place.xtask(&place.image()))?.fails(1, &[message])?;
        ensure!(listing(&place.dist()) == before, "{message}: {:?}", listing(&place.dist()));
    }
    clear(&place.dist())?;
    symlink("nowhere", place.dist())?;
    run(&mut place.xtask(&place.image()))?.fails(1, &["dist is a link that leads nowhere; remove it"])?;
    ensure!(place.dist().is_symlink(), "the link is gone");
    clear(&place.dist())?;
    nothing_left(&place.checkout)
}

/// The paths below a directory.
fn listing(path: &Path) -> Vec<String> {
    let find = run(Command::new("find").arg(path)).map(|find| find.stdout).unwrap_or_default();
    find.lines().map(String::from).collect()
}

fn a_link_to_elsewhere(place: &Place) -> Result<()> {
    let (dist, elsewhere) = (place.dist(), place.folder("elsewhere")?);
    clear(&dist)?;
    symlink(&elsewhere, &dist)?;
    for _ in 0..2 {
        run(&mut place.xtask(&place.image()))?.passes()?;
        ensure!(dist.is_symlink(), "the link is gone");
        whole(&elsewhere)?;
    }
    clear(&dist)
}

fn the_rest_stays(place: &Place) -> Result<()> {
    place.provide_image()?;
    let (dist, deep) = (place.dist(), place.dist().join("mine/deep"));
    fs::create_dir_all(&deep)?;
    let files = ["mine/deep/file", "bin/pause-linux-other", ".pause.oci.tar.new", "air-gap.txt"];
    for file in files {
        fs::write(dist.join(file), "mine")?;
    }
    symlink("file", deep.join("link"))?;
    set_mode(&dist, 0o700)?;
    let before = fs::metadata(&dist)?.permissions();
    run(&mut place.xtask(&["build", "--platform", place.platform]))?.passes()?;
    run(&mut place.xtask(&place.image()))?.passes()?;
    for file in files {
        ensure!(fs::read(dist.join(file)).is_ok_and(|content| content == b"mine"), "{file} is gone");
    }
    ensure!(deep.join("link").is_symlink(), "a link is gone");
    ensure!(fs::metadata(&dist)?.permissions() == before, "dist has other permissions");
    whole(&dist)?;
    clear(&dist)
}

fn mount_points(place: &Place) -> Result<()> {
    let starter = namespaces(&["--mount"])?;
    clear(&place.dist())?;
    fs::create_dir(place.dist())?;
    let script = "mount -t tmpfs tmpfs dist && mkdir dist/mine && mount -t tmpfs tmpfs dist/mine && echo precious >dist/mine/file \
        && \"$0\" \"$@\" >/dev/null && cat dist/mine/file && cat dist/pause.oci/index.json";
    let words: Vec<_> = starter.into_iter().chain(["sh", "-c", script]).collect();
    let image = run(&mut place.xtask_under(&words, &place.image()))?.passes()?;
    ensure!(image.stdout.starts_with("precious\n{"), "{}", image.stdout);
    ensure!(listing(&place.dist()).len() == 1, "something was written below the mount point");
    Ok(())
}

fn unwritable(place: &Place) -> Result<()> {
    let starter = as_somebody()?;
    for (directory, image) in [(place.checkout.clone(), false), (place.dist(), true)] {
        clear(&place.dist())?;
        if image {
            place.provide_image()?;
        }
        let before = listing(&place.dist());
        set_mode(&directory, 0o555)?;
        let result = run(&mut place.xtask_under(&starter, &place.image()));
        set_mode(&directory, 0o755)?;
        let result =
            result?.fails(1, &["can't write in", directory.to_str().unwrap_or_default(), "permission denied"])?;
        ensure!(!result.stderr.contains("building"), "it was built before");
        ensure!(listing(&place.dist()) == before, "dist has changed");
    }
    Ok(())
}

/// File systems by their options and how they are changed before the command runs, and the message.
const FILE_SYSTEMS: [(&str, &str, &str); 3] = [
    ("size=1m", "mount -o remount,ro \"$MOUNTED\" &&", "can't write in"),
    ("size=16k", "", "o space left on device"),
    ("size=1m,nr_inodes=8", "", "o storage space"),
];

fn full_file_systems(place: &Place) -> Result<()> {
    let starter = namespaces(&["--mount"])?;
    let (dist, point) = (place.dist(), place.folder("mounted")?);
    clear(&dist)?;
    symlink(point.join("dist"), &dist)?;
    for (options, then, message) in FILE_SYSTEMS {
        let script = format!(
            "mount -t tmpfs -o {options} tmpfs \"$MOUNTED\" && mkdir \"$MOUNTED/dist\" && echo mine >\"$MOUNTED/dist/file\" \
             && {then} \"$0\" \"$@\"; status=$?; find \"$MOUNTED\" -mindepth 1 -printf '%P\\n'; exit $status"
        );
        let words: Vec<_> = starter.iter().copied().chain(["sh", "-c", &script]).collect();
        let image = run(place.xtask_under(&words, &place.image()).env("MOUNTED", &point))?;
        let image = image.fails(1, &["can't write in", message])?;
        ensure!(image.stdout == "dist\ndist/file\n", "left: {}", image.stdout);
    }
    clear(&dist)
}

fn an_output(place: &Place) -> Result<()> {
    let folder = place.folder("outputs")?;
    let (target, neighbour, foreign) =
        (folder.join("picture.svg"), folder.join(".picture.svg.new"), folder.join("foreign"));
    fs::write(&target, "old")?;
    set_mode(&target, 0o600)?;
    let before = fs::metadata(&target)?.permissions();
    fs::create_dir(&neighbour)?;
    fs::write(neighbour.join("file"), "mine")?;
    output::replace(&target, b"new")?;
    ensure!(fs::metadata(&target)?.permissions() == before, "it has other permissions");
    ensure!(neighbour.join("file").exists(), "a neighbour is gone");
    clear(&neighbour)?;
    fs::write(&foreign, "mine")?;
    symlink(&foreign, &neighbour)?;
    symlink("picture.svg", folder.join("link"))?;
    output::replace(&folder.join("link"), b"newer")?;
    ensure!(folder.join("link").is_symlink() && fs::read(&target)? == b"newer", "the link was not followed");
    ensure!(neighbour.is_symlink() && fs::read(&foreign)? == b"mine", "the link of a neighbour was followed");
    ensure!(fs::read_dir(&folder)?.count() == 4, "something is left");

    let pipe = folder.join("pipe");
    run(Command::new("mkfifo").arg(&pipe))?.passes()?;
    let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn()?;
    output::replace(&pipe, b"whole")?;
    ensure!(reader.wait_with_output()?.stdout == b"whole", "something else was written");
    ensure!(!fs::metadata(&pipe)?.is_file(), "it is a file now");
    Ok(())
}
