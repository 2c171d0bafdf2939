//! What can be in the way of the image, where it is written and where the command speaks.

use crate::Case;
use crate::checkout::{QUICK, on_linux};
use crate::place::{Place, Run, Skip, as_somebody, clear, link, namespaces, nothing_left, run, set_mode, whole};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

pub const CASES: &[Case] = &[
    ("nobody reads standard output any more: the image is written", no_reader),
    ("standard output is full: the image is written, and that is said", full_output),
    ("standard output is full: the tests fail, and that is said without a backtrace", full_results),
    ("standard error is full, or nobody reads it: the image is written", no_errors),
    ("dist is a file", a_file),
    ("dist is a link that leads nowhere", a_link_to_nowhere),
    ("dist is a link to a folder elsewhere, and stays one", a_link_to_elsewhere),
    ("what else is in dist stays, and so do dist's permissions", the_rest_stays),
    ("a folder stands where a file should be", a_folder_for_a_file),
    ("a file stands where a folder should be", a_file_for_a_folder),
    ("nothing can be written in the repository's folder", an_unwritable_repository),
    ("nothing can be written in dist", an_unwritable_dist),
    ("the file system can't be written", a_read_only_file_system),
    ("there is no space", no_space),
    ("there are no inodes", no_inodes),
    ("dist is a mount point", a_mount_point),
    ("another command is writing: this one waits", one_at_a_time),
    ("a pipe is written to, not replaced", a_pipe),
];

fn no_reader(place: &Place) -> Result<()> {
    clear(&place.dist())?;
    let mut child = place.xtask(&place.image()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    whole(&place.dist())?;
    Ok(())
}

fn full_device() -> Result<File> {
    File::options().write(true).open("/dev/full").map_err(|_| Skip("there is no /dev/full".into()).into())
}

fn full_output(place: &Place) -> Result<()> {
    clear(&place.dist())?;
    let child = place.xtask(&place.image()).stdout(full_device()?).stderr(Stdio::piped()).spawn()?;
    let output = child.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { status: output.status, stdout: String::new(), stderr }
        .fails(1, &["can't write to standard output: No space"])?;
    whole(&place.dist())?;
    Ok(())
}

fn full_results(place: &Place) -> Result<()> {
    on_linux()?;
    let output = place.xtask(&["test", "--platform", place.platform, QUICK]).stdout(full_device()?).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(stderr.contains("can't write to standard output") && !stderr.contains("panicked"), "{stderr}");
    Run { status: output.status, stdout: String::new(), stderr }.fails(1, &["the tests failed"])?;
    Ok(())
}

fn no_errors(place: &Place) -> Result<()> {
    for full in [true, false] {
        clear(&place.dist())?;
        let mut command = place.xtask(&place.image());
        command.stdout(Stdio::null()).stderr(if full { full_device()?.into() } else { Stdio::piped() });
        let mut child = command.spawn()?;
        drop(child.stderr.take());
        let status = child.wait()?;
        ensure!(status.success(), "{status}");
        whole(&place.dist())?;
    }
    Ok(())
}

fn a_file(place: &Place) -> Result<()> {
    let dist = place.dist();
    clear(&dist)?;
    fs::write(&dist, "mine")?;
    run(&mut place.xtask(&place.image()))?
        .fails(1, &[dist.to_str().unwrap_or_default(), "is not a folder; move it away"])?;
    ensure!(fs::read(&dist)? == b"mine", "the file has changed");
    clear(&dist)?;
    nothing_left(&place.checkout)
}

fn a_link_to_nowhere(place: &Place) -> Result<()> {
    let dist = place.dist();
    clear(&dist)?;
    link("nowhere".as_ref(), &dist)?;
    let parts = [dist.to_str().unwrap_or_default(), "is a link that leads nowhere; remove it"];
    run(&mut place.xtask(&place.image()))?.fails(1, &parts)?;
    ensure!(dist.is_symlink(), "the link is gone");
    clear(&dist)?;
    nothing_left(&place.checkout)
}

fn a_link_to_elsewhere(place: &Place) -> Result<()> {
    let (dist, elsewhere) = (place.dist(), place.folder("elsewhere")?);
    clear(&dist)?;
    fs::create_dir(elsewhere.join("images"))?;
    link(&elsewhere.join("images"), &dist)?;
    for _ in 0..2 {
        run(&mut place.xtask(&place.image()))?.passes()?;
        ensure!(dist.is_symlink(), "the link is gone");
        whole(&elsewhere.join("images"))?;
        nothing_left(&place.checkout)?;
    }
    clear(&dist)
}

fn the_rest_stays(place: &Place) -> Result<()> {
    place.provide_image()?;
    let (dist, deep) = (place.dist(), place.dist().join("mine/deep"));
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("file"), "mine")?;
    link("file".as_ref(), &deep.join("link"))?;
    set_mode(&dist, 0o700)?;
    let before = fs::metadata(&dist)?.permissions();
    run(&mut place.xtask(&place.image()))?.passes()?;
    ensure!(fs::read(deep.join("file"))? == b"mine" && deep.join("link").is_symlink(), "something is gone");
    ensure!(fs::metadata(&dist)?.permissions() == before, "dist has other permissions");
    whole(&dist)?;
    clear(&dist)
}

fn a_folder_for_a_file(place: &Place) -> Result<()> {
    let archive = place.dist().join("pause.oci.tar");
    clear(&place.dist())?;
    fs::create_dir_all(&archive)?;
    fs::write(archive.join("file"), "mine")?;
    run(&mut place.xtask(&place.image()))?
        .fails(1, &[archive.to_str().unwrap_or_default(), "is a folder; move it away"])?;
    ensure!(fs::read_dir(place.dist())?.count() == 1 && archive.join("file").exists(), "dist has changed");
    clear(&place.dist())?;
    nothing_left(&place.checkout)
}

fn a_file_for_a_folder(place: &Place) -> Result<()> {
    let folder = place.dist().join("pause.oci");
    clear(&place.dist())?;
    fs::create_dir(place.dist())?;
    fs::write(&folder, "mine")?;
    run(&mut place.xtask(&place.image()))?
        .fails(1, &[folder.to_str().unwrap_or_default(), "is not a folder; move it away"])?;
    ensure!(fs::read(&folder)? == b"mine", "the file has changed");
    clear(&place.dist())?;
    nothing_left(&place.checkout)
}

/// Runs as somebody who may not write in a folder.
fn unwritable(place: &Place, folder: &std::path::Path) -> Result<Run> {
    let starter = as_somebody()?;
    set_mode(folder, 0o555)?;
    let result = run(&mut place.xtask_under(&starter, &place.image()));
    set_mode(folder, 0o755)?;
    result
}

fn an_unwritable_repository(place: &Place) -> Result<()> {
    clear(&place.dist())?;
    // Asked at once: nothing is built.
    let image = unwritable(place, &place.checkout)?.fails(1, &["can't make", ".dist.new", "ermission denied"])?;
    ensure!(!image.stderr.contains("$ cargo"), "it was built before");
    nothing_left(&place.checkout)
}

fn an_unwritable_dist(place: &Place) -> Result<()> {
    place.provide_image()?;
    let before = whole(&place.dist())?;
    let dist = place.dist();
    let image = unwritable(place, &dist)?.fails(1, &["can't write in", dist.to_str().unwrap_or_default()])?;
    ensure!(!image.stderr.contains("$ cargo"), "it was built before");
    ensure!(whole(&dist)? == before, "the image has changed");
    Ok(())
}

/// Runs where dist is a link to a folder on a file system of its own, with these options, which is remounted with
/// `then`. Returns what is in the file system afterwards, too.
fn on_file_system(place: &Place, options: &str, then: &str) -> Result<(Run, String)> {
    let starter = namespaces(&["--mount"])?;
    let dist = place.dist();
    clear(&dist)?;
    let point = place.folder("mounted")?;
    link(&point.join("dist"), &dist)?;
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs \"$MOUNTED\" && mkdir \"$MOUNTED/dist\" && echo mine > \"$MOUNTED/dist/file\" \
         && {then} \"$0\" \"$@\"; status=$?; find \"$MOUNTED\" -mindepth 1 -printf 'left: %P\\n'; exit $status"
    );
    let words: Vec<_> = starter.into_iter().chain(["sh", "-c", &script]).collect();
    let run = run(place.xtask_under(&words, &place.image()).env("MOUNTED", &point))?;
    clear(&dist)?;
    fs::remove_dir(&point)?;
    let left: Vec<_> = run.stdout.lines().filter_map(|line| line.strip_prefix("left: ")).collect();
    let left = left.join(" ");
    Ok((run, left))
}

fn a_read_only_file_system(place: &Place) -> Result<()> {
    let (run, left) = on_file_system(place, "size=1m", "mount -o remount,ro \"$MOUNTED\" &&")?;
    run.fails(1, &["can't write in", "mounted/dist", "read-only"])?;
    ensure!(left == "dist dist/file", "left: {left}");
    Ok(())
}

fn no_space(place: &Place) -> Result<()> {
    let (run, left) = on_file_system(place, "size=16k", "")?;
    run.fails(1, &["can't write", "mounted/dist/", "No space left on device"])?;
    ensure!(left == "dist dist/file", "left: {left}");
    Ok(())
}

fn no_inodes(place: &Place) -> Result<()> {
    let (run, left) = on_file_system(place, "size=1m,nr_inodes=8", "")?;
    run.fails(1, &["can't write", "mounted/dist/", "No space left on device"])?;
    ensure!(left == "dist dist/file", "left: {left}");
    Ok(())
}

fn a_mount_point(place: &Place) -> Result<()> {
    let starter = namespaces(&["--mount"])?;
    clear(&place.dist())?;
    fs::create_dir(place.dist())?;
    let script = "mount -t tmpfs tmpfs dist && exec \"$0\" \"$@\"";
    let words: Vec<_> = starter.into_iter().chain(["sh", "-c", script]).collect();
    let parts = [place.dist().to_str().unwrap_or_default().to_owned(), "it is a mount point; unmount it".into()];
    run(&mut place.xtask_under(&words, &place.image()))?.fails(1, &parts.each_ref().map(String::as_str))?;
    clear(&place.dist())?;
    nothing_left(&place.checkout)
}

fn one_at_a_time(place: &Place) -> Result<()> {
    clear(&place.dist())?;
    let other = File::open(&place.checkout)?;
    other.lock().map_err(|_| Skip("folders can't be locked here".into()))?;
    let mut child = place.xtask(&place.image()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut stderr = BufReader::new(child.stderr.take().context("a pipe")?).lines();
    let first = stderr.next().context("it says nothing")??;
    drop(other);
    // To the end, so that it can write.
    stderr.for_each(drop);
    ensure!(child.wait()?.success(), "it failed");
    ensure!(first.contains("Waiting for another command that writes in"), "it did not wait: {first}");
    whole(&place.dist())?;
    Ok(())
}

fn a_pipe(place: &Place) -> Result<()> {
    let pipe = place.folder("pipes")?.join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    ensure!(made.is_ok_and(|status| status.success()), Skip("mkfifo does not work here".into()));
    let reader = Command::new("cat").arg(&pipe).stdout(Stdio::piped()).spawn()?;
    xtask::output::replace(&pipe, b"whole")?;
    ensure!(reader.wait_with_output()?.stdout == b"whole", "something else was written");
    ensure!(!fs::metadata(&pipe)?.is_file(), "it is a file now");
    Ok(())
}
