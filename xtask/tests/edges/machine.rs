//! What the machine lacks or refuses: packages, a network, compilers, git's trust.

use crate::Case;
use crate::checkout::on_linux;
use crate::place::{Place, Run, Skip, clear, namespaces, run, whole};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::needs;
use xtask::sources;
use xtask::table::Table;

pub const CASES: &[Case] = &[
    ("everything that is missing is one message with one command", all_at_once),
    ("without apt-get, the missing packages are listed", without_apt),
    ("if apt-get fails, its output is in a log", apt_fails),
    ("if the program does not compile, cargo's output is in a log", does_not_compile),
    ("without a network the image is made", no_network),
    ("the sources are what git knows and would know", sources_of_git),
    ("git's refusal of a foreign owner is one line", foreign_owner),
];

/// A file that is a program, in this folder.
fn program(folder: &Path, name: &str, script: &str) -> Result<()> {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n"))?;
    crate::place::set_mode(&file, 0o755)
}

/// A machine with nothing but cargo and a rustc that has no `core`, for an ordinary user.
struct Poor {
    /// How to start a command there.
    starter: Vec<&'static str>,
    /// All there is of /usr/bin.
    programs: PathBuf,
    /// The directory of cargo and rustc.
    rust: PathBuf,
}

impl Poor {
    fn new(place: &Place, name: &str) -> Result<Self> {
        let mut starter = namespaces(&["--mount"])?;
        // What is running goes on; Debian's programs are gone.
        let script = "mount --bind \"$PROGRAMS\" /usr/bin && exec unshare --user --map-user=1000 \"$0\" \"$@\"";
        starter.extend(["sh", "-c", script]);
        let find = |name| needs::find(name).ok_or_else(|| Skip(format!("there is no {name}")));
        let (programs, rust) = (place.folder(&format!("{name} programs"))?, place.folder(&format!("{name} rust"))?);
        for name in ["sh", "unshare"] {
            fs::copy(find(name)?, programs.join(name))?;
        }
        program(&rust, "cargo", &format!("exec '{}' \"$@\"", env!("CARGO")))?;
        program(&rust, "rustc", "echo host; echo /nowhere/rustlib/host/lib")?;
        Ok(Self { starter, programs, rust })
    }

    /// Runs the tests of all platforms there.
    fn test(&self, place: &Place) -> Result<Run> {
        let mut test = place.xtask_under(&self.starter, &["test"]);
        run(test.env("PROGRAMS", &self.programs).env("PATH", format!("{}:/usr/bin:/bin", self.rust.display())))
    }
}

/// Packages that are missing there, at least.
const MISSING: [&str; 3] = [" qemu-user-static ", " rustc-web ", " strace"];

fn all_at_once(place: &Place) -> Result<()> {
    let poor = Poor::new(place, "poor")?;
    program(&poor.programs, "apt-get", "exit 1")?;
    let test = poor.test(place)?.fails(1, &["`cargo xtask test` needs ", "; run   sudo apt-get install --yes "])?;
    let test = test.fails(1, &MISSING)?;
    ensure!(!test.stderr.contains("building"), "something was built before");
    Ok(())
}

fn without_apt(place: &Place) -> Result<()> {
    Poor::new(place, "poorer")?.test(place)?.fails(1, &["`cargo xtask test` needs programs"])?.fails(1, &MISSING)?;
    Ok(())
}

fn apt_fails(place: &Place) -> Result<()> {
    let mut poor = Poor::new(place, "poorest")?;
    poor.starter.truncate(poor.starter.len() - 1);
    poor.starter.push("mount --bind \"$PROGRAMS\" /usr/bin && exec \"$0\" \"$@\"");
    program(&poor.programs, "apt-get", "echo no packages today; exit 1")?;
    poor.test(place)?.fails(1, &["can't install ", ": apt-get failed; its output is in target/log/apt-get.txt"])?;
    let log = fs::read_to_string(place.checkout.join("target/log/apt-get.txt"))?;
    ensure!(log == "no packages today\n".repeat(2), "{log}");
    Ok(())
}

fn does_not_compile(place: &Place) -> Result<()> {
    let copy = place.folder("does not compile")?;
    sources::copy(&place.checkout, &copy)?;
    fs::write(copy.join("src/message.rs"), "\n".repeat(100) + "?")?;
    let build = run(place.xtask(&["build", "--platform", place.platform]).current_dir(&copy))?;
    build.fails(1, &["can't build linux/", "; cargo's output is in target/log/cargo.txt"])?;
    ensure!(fs::read_to_string(copy.join("target/log/cargo.txt"))?.contains("src/message.rs:101"), "no diagnostics");
    Ok(())
}

fn no_network(place: &Place) -> Result<()> {
    let starter = namespaces(&["--net"])?;
    clear(&place.dist())?;
    run(&mut place.xtask_under(&starter, &place.image()))?.passes()?;
    whole(&place.dist())?;
    Ok(())
}

/// Runs git in a folder.
fn git(folder: &Path, words: &[&str]) -> Result<()> {
    let git = Command::new("git").current_dir(folder).args(words).output();
    ensure!(
        git.is_ok_and(|output| output.status.success()),
        Skip(format!("`git {}` does not work here", words.join(" ")))
    );
    Ok(())
}

fn sources_of_git(place: &Place) -> Result<()> {
    let folder = place.folder("git")?;
    fs::create_dir(folder.join("src"))?;
    for name in ["known ü", "src/removed", "src/new", "dist"] {
        fs::write(folder.join(name), name)?;
    }
    fs::write(folder.join(".gitignore"), "dist\n")?;
    git(&folder, &["init", "--quiet"])?;
    git(&folder, &["add", "known ü", "src/removed", ".gitignore"])?;
    fs::remove_file(folder.join("src/removed"))?;
    let copy = place.folder("copy of git's")?;
    sources::copy(&folder, &copy)?;
    for folder in [folder, copy] {
        let listed = BTreeSet::from_iter(sources::list(&folder)?);
        ensure!(listed == [".gitignore", "known ü", "src/new"].map(PathBuf::from).into(), "{listed:?}");
    }
    Ok(())
}

fn foreign_owner(place: &Place) -> Result<()> {
    on_linux()?;
    git(&place.checkout, &["init", "--quiet"])?;
    let sizes = place.checkout.join("tests/image/sizes.txt");
    let golden = Table::read(&sizes)?;
    let mut changed = golden.clone();
    changed.rows.iter_mut().for_each(|row| row[1] = "0".into());
    changed.write(&sizes)?;
    let words = ["test", "--platform", place.platform, "a copy of the sources gives the same bytes"];
    let test = run(place.xtask(&words).env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"));
    let nothing = run(&mut place.xtask(&["test", "--platform", place.platform, "flies to the moon"]));
    golden.write(&sizes)?;
    clear(&place.checkout.join(".git"))?;
    let test = test?;
    nothing?.fails(2, &["no case has"])?;
    let line = test.stdout.lines().find(|line| line.contains("git does not list the sources"));
    let parts = ["dubious ownership in repository at", "; run `git config --global --add safe.directory"];
    ensure!(line.is_some_and(|line| parts.iter().all(|part| line.contains(part))), "{}{}", test.stdout, test.stderr);
    // A change of a size is told beside what failed.
    ensure!(test.status.code() == Some(1), "{}", test.status);
    let told = "error: the tests failed; and the sizes of";
    ensure!(test.stderr.lines().any(|line| line.starts_with(told)), "{}", test.stderr);
    Ok(())
}
