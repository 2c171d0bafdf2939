//! What `cargo xtask boot` does where Debian's archive can't be had, or only half of it: names what is missing, and
//! why, runs the rest, and fails.
//!
//! The emulator is a stand-in that says what a machine would. All is done in a folder whose name no shell likes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use xtask::digest::sha256;
use xtask::sources;
use xtask::table::Table;

/// A kernel that is in the cache, and its platform.
const CACHED: (&str, &str) = ("amd64-6.1", "linux/amd64");

/// A kernel whose package list the mirror has in another version than its release file.
const CONTRADICTORY: (&str, &str) = ("armel-6.1", "linux/arm/v6");

/// The emulators of both.
const EMULATORS: [&str; 2] = ["qemu-system-x86_64", "qemu-system-arm"];

/// A folder with all that a run needs.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(scene.repository()).unwrap();
        for emulator in EMULATORS {
            let script = format!(
                "#!/bin/sh\n\
                 if [ \"$1\" = --version ]; then echo 'QEMU emulator version 99.0.0'; exit; fi\n\
                 cat '{}'\n",
                scene.path("serial").display()
            );
            let program = scene.write(&format!("bin/{emulator}"), &script);
            fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repository(&self) -> PathBuf {
        self.path("a b ü")
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Runs the command in the repository, after `wrapper`.
    fn boot(&self, wrapper: &[&str], arguments: &[&str]) -> Output {
        let words: Vec<_> = wrapper.iter().chain(&[env!("CARGO_BIN_EXE_boot")]).chain(arguments).collect();
        let path = std::env::var_os("PATH").unwrap();
        let path = std::env::join_paths([self.path("bin")].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.repository()).env("PATH", path).env("LC_ALL", "C.UTF-8");
        command.env("APT_CONFIG", self.path("apt.conf")).output().unwrap()
    }
}

/// The checkout that these tests belong to.
fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// The lines of standard error that are about what can't be got, and the last one.
fn complaints(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.lines().filter(|line| line.starts_with("can't get ") || line.starts_with("error: ")).map(Into::into).collect()
}

#[test]
fn without_a_network_one_line_says_why() {
    let scene = Scene::new();
    scene.write("a b ü/Cargo.toml", "[workspace]\n");
    scene.write("a b ü/tests/boot/boots.txt", &fs::read_to_string(checkout().join("tests/boot/boots.txt")).unwrap());
    scene.write("apt.conf", "");
    let unshare = ["unshare", "--map-root-user", "--net"];
    let output = scene.boot(&unshare, &["--kernel", CACHED.0, "--kernel", CONTRADICTORY.0]);
    let complaints = complaints(&output);
    let [reason, closing] = &complaints[..] else { panic!("{output:?}") };
    let prefix = format!("can't get {}, {}: Temporary failure resolving ", CACHED.0, CONTRADICTORY.0);
    assert!(reason.starts_with(&prefix), "{reason}");
    assert_eq!(closing, "error: 0 passed, 0 failed, 2 not run");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    assert!(!scene.path("a b ü/target/kernels/amd64-6.1").exists());
    assert_eq!(fs::read_dir(scene.path("a b ü/target/kernels")).unwrap().count(), 0, "something is left over");
}

#[test]
fn what_a_contradictory_mirror_lacks_keeps_nothing_else_from_running() {
    let scene = Scene::new();
    sources::copy(checkout(), &scene.repository()).unwrap();
    scene.write(&format!("a b ü/target/kernels/{}/kernel", CACHED.0), "");

    // A mirror whose release file knows another version of one list than it serves.
    let list = "Package: nothing\nVersion: 1\nArchitecture: all\nFilename: nothing.deb\n";
    let mut release = "Label: Debian\nCodename: bookworm\nDate: Sat, 10 Jun 2023 08:00:00 UTC\n\
                       Architectures: amd64 armel\nComponents: main\nSHA256:\n"
        .to_owned();
    for (architecture, listed) in [("amd64", list.into()), ("armel", list.replace('1', "2"))] {
        let file = format!("main/binary-{architecture}/Packages");
        scene.write(&format!("mirror/dists/bookworm/{file}"), list);
        release += &format!(" {} {} {file}\n", sha256(listed.as_bytes()), listed.len());
    }
    scene.write("mirror/dists/bookworm/Release", &release);
    // Nobody signs it, and the machine accepts that.
    let folder = scene.folder.path().to_str().unwrap();
    scene.write("etc/sources.list", &format!("deb [trusted=yes] file:{folder}/mirror bookworm main\n"));
    scene.write("state/status", "");
    for name in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(scene.path(name)).unwrap();
    }
    let configuration = format!(
        r#"
        Dir::State "{folder}/state";
        Dir::State::status "{folder}/state/status";
        Dir::Cache "{folder}/cache";
        Dir::Etc "{folder}/etc";
        Dir::Etc::parts "/dev/null";
        APT::Sandbox::User "";
        APT::Architecture "amd64";
        APT::Architectures "amd64";
        Acquire::AllowInsecureRepositories "true";
        "#
    );
    scene.write("apt.conf", &configuration);

    // What the driver and the kernel of the other machine would say.
    let golden = Table::read(&checkout().join("tests/boot/boots.txt")).unwrap();
    let row = golden.find(&[CACHED.1, CACHED.0]).unwrap();
    // Two of the rows are about the machine's end.
    let rows = "ok a row\n".repeat(row[4].parse::<usize>().unwrap() - 2);
    let serial = format!(
        "kernel 6.1.0, 4096 byte pages\n{rows}driver: all passed\nShutting down, got signal: Terminated\n\
         Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000000\n"
    );
    scene.write("serial", &serial);

    let selection = ["--platform", CACHED.1, "--platform", CONTRADICTORY.1];
    let kernels = ["--kernel", CACHED.0, "--kernel", CONTRADICTORY.0];
    let output = scene.boot(&[], &[selection, kernels].concat());
    let complaints = complaints(&output);
    let [reason, closing] = &complaints[..] else { panic!("{output:?}") };
    assert_eq!(reason, "can't get armel-6.1: Hash Sum mismatch");
    assert_eq!(closing, "error: 1 passed, 0 failed, 1 not run");
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().nth(1).is_some_and(|row| row.starts_with("linux/amd64  amd64-6.1  6.1.0")), "{table}");
}
