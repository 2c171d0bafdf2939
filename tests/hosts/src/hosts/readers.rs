//! Readers of the image: each unpacks it in its own way, and must find the program and nothing else.
//!
//! A reader is a host whose checks are shell scripts. Its negative controls are an image with another program, and
//! [`BARE`], an image as small as the formats allow.

use super::podman::Podman;
use super::registry::layers;
use crate::host::{Check, Fixture, Host, host};
use crate::images::{BARE, IMAGE, LAYOUT, PROGRAM, REFERENCE};
use anyhow::{Context, Result, anyhow, ensure};
use mutation::{DEAF, Mutant};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::{output, platform, status};

/// A source, the negative controls that it must not unpack, and a script that unpacks it to the directory `root`.
type Read = (&'static str, &'static [&'static Mutant], &'static str);

/// Every reader notices another program, and some can't read a bare image.
const OTHER: &[&Mutant] = &[&DEAF];
const OR_BARE: &[&Mutant] = &[&DEAF, &BARE];

/// A user who is not root, in the scripts.
const USER: u32 = 54321;

#[rustfmt::skip]
pub static READERS: &[Host] = &[
    reader("tar", "GNU tar", &["tar"], OTHER, |it| one(it, "mkdir root; tar -xf $BLOB -C root")),
    reader("bsdtar", "bsdtar", &["libarchive-tools"], OTHER,
        |it| one(it, "mkdir root; bsdtar -xpf $BLOB -C root")),
    reader("busybox", "busybox tar", &["busybox-static"], OTHER,
        |it| one(it, "mkdir root; busybox tar -xf $LAYER -C root")),
    reader("python", "Python's tarfile", &["python3"], OTHER, |it| one(it, "tarfile")),
    Host { absent_from: &[("bookworm", "has a mkfs.erofs that reads no layer")],
        ..reader("erofs", "mkfs.erofs --tar=f", &["erofs-utils"], OR_BARE,
            |it| one(it, "mkfs.erofs --quiet --tar=f image $LAYER; fsck.erofs --extract=root image")) },
    // It ignores `./`.
    reader("sqfstar", "sqfstar -root-mode 0755", &["squashfs-tools"], OTHER,
        |it| one(it, "sqfstar -quiet -root-mode 0755 image <$LAYER; unsquashfs -quiet -d root image")),
    reader("tar2sqfs", "tar2sqfs", &["squashfs-tools-ng", "squashfs-tools"], OTHER,
        |it| one(it, "tar2sqfs -q image <$LAYER; unsquashfs -quiet -d root image")),
    reader("skopeo", "skopeo copy: every transport, format and platform", &["skopeo"], OR_BARE, |it| read(it, SKOPEO)),
    reader("umoci", "umoci unpack --rootless", &["umoci"], OTHER, |it| one(it, "bundle")),
    reader("buildah", "buildah bud", &["buildah", "podman"], OR_BARE, |it| one(it, "child buildah bud")),
    reader("podman-build", "podman build", &["podman"], OR_BARE, |it| one(it, "child podman build")),
    reader("docker-load", "docker load, docker history", &["docker.io"], OR_BARE, |it| {
        read(it, &[("the archive", OR_BARE, "load $ARCHIVE"), ("a one-platform archive", OR_BARE, "load $ONE")])
    }),
    Host { version: &["PYTHONPATH=/opt/udocker.whl python3 -c 'import udocker; print(udocker.__version__)'"],
        ..reader(UDOCKER, UDOCKER, &["curl", "python3"], OR_BARE, |it| one(it, "udocker")) },
    reader("snapshotters", "containerd: overlayfs, native", &["containerd"], OTHER, |it| {
        read(it, &[("by overlayfs", OTHER, "snapshot overlayfs"), ("natively", OTHER, "snapshot native")])
    }),
    Host { absent_from: &[("bookworm", NO_EROFS), ("trixie", NO_EROFS)],
        ..reader("containerd-erofs", "containerd: erofs", &["containerd", "erofs-utils"], OR_BARE,
            |it| one(it, "snapshot_erofs")) },
    Host { absent_from: &[("bookworm", "has no package of it")],
        ..reader("stargz", "ctr-remote convert --estargz", &["stargz-snapshotter", "containerd"], OR_BARE,
            |it| one(it, "stargz")) },
];

const NO_EROFS: &str = "has a containerd without this snapshotter";

const SKOPEO: &[Read] = &[
    ("oci:", OTHER, "copy oci:$LAYOUT:$NAME dir:out; layers out"),
    ("oci-archive:", OTHER, "copy oci-archive:$ARCHIVE:$NAME dir:out; layers out"),
    ("docker-archive:", OTHER, "copy docker-archive:$ARCHIVE:$NAME dir:out; layers out"),
    ("a one-platform oci-archive:", OTHER, "copy oci-archive:$ONE:$NAME dir:out; layers out"),
    ("a one-platform docker-archive:", OTHER, "copy docker-archive:$ONE:$NAME dir:out; layers out"),
    ("dir:", OTHER, "copy oci:$LAYOUT dir:in; copy dir:in oci:out; layers out/blobs/sha256"),
    ("containers-storage:", OTHER, "store"),
    ("oci: as --format v2s1", OR_BARE, "copy --format v2s1 oci:$LAYOUT dir:out; layers out"),
    ("oci: as --format v2s2", OTHER, "copy --format v2s2 oci:$LAYOUT dir:out; layers out"),
    ("docker-archive: as --format oci", OTHER, "copy --format oci docker-archive:$ARCHIVE dir:out; layers out"),
    ("--all platforms, byte for byte", OTHER, "copy_all"),
    ("each platform", OTHER, "copy_each"),
];

const fn reader(
    name: &'static str,
    title: &'static str,
    packages: &'static [&'static str],
    controls: &'static [&'static Mutant],
    checks: fn(&mut Fixture) -> Result<()>,
) -> Host {
    Host { controls, ..host(name, title, packages, &[], checks) }
}

/// The name of a reader that Debian doesn't have, and its place in a sandbox.
pub const UDOCKER: &str = "udocker";
const WHEEL: &str = "/opt/udocker.whl";
const REQUIREMENT: &str =
    "udocker==1.3.17 --hash=sha256:fd6589de0f3af7c1cd6a29554f2c00f2ef1fbd91da184ca30f8cea1eb42bcd2b";

/// Downloads udocker, unless that is done. Returns the file, and its place in a sandbox.
pub fn udocker(shell: &Shell) -> Result<(PathBuf, String)> {
    let directory = shell.current_dir().join("target/hosts/udocker-1.3.17");
    output::provide(&directory, |directory| {
        let (python, list) = (directory.join("python"), directory.join("requirements.txt"));
        fs::write(&list, REQUIREMENT)?;
        cmd!(shell, "python3 -m venv {python}").run()?;
        let options = ["--quiet", "--no-cache-dir", "--require-hashes"];
        cmd!(shell, "{python}/bin/pip download {options...} --requirement {list} --dest {directory}").run()?;
        Ok(())
    })?;
    Ok((directory.join("udocker-1.3.17-py2.py3-none-any.whl"), WHEEL.into()))
}

/// Runs a reader's only script, which all of its negative controls break.
fn one(fixture: &mut Fixture, script: &'static str) -> Result<()> {
    read(fixture, &[("the image", fixture.host.controls, script)])
}

/// Runs scripts, each in a new directory, and compares the unpacked file with the program.
fn read(fixture: &mut Fixture, reads: &[Read]) -> Result<()> {
    Podman::new(fixture, &[])?; // its settings
    let (image, directory) = (fixture.archive.parent().context("an archive in a directory")?, Path::new("/tmp/from"));
    // Some readers can't take a path with spaces.
    symlink(image, directory)?;
    let layout = directory.join(LAYOUT);
    let (native, layers) = (platform::native()?, BTreeMap::from_iter(layers(&layout)?));
    let platforms = Vec::from_iter(layers.keys().map(String::as_str)).join(" ");
    let layer = layers.get(native.name).context("the index has this machine's platform")?;
    fs::write("/tmp/layer.tar", cmd!(fixture.shell, "zcat --force {layer}").quiet().output()?.stdout)?;
    let program = fs::read(image.with_file_name(IMAGE).join(PROGRAM))?;
    let one = directory.join(xtask::image::air_gap_archive(native));
    for (number, &(name, broken_by, script)) in reads.iter().enumerate() {
        status!("$ {script}");
        let place = fixture.shell.create_dir(format!("/tmp/{number}"))?;
        let _there = fixture.shell.push_dir(&place);
        let functions = include_str!("readers.sh");
        let command = cmd!(fixture.shell, "sh -c {functions}{script}").envs([
            ("ARCHIVE", directory.join("pause.oci.tar").as_path()),
            ("LAYOUT", &layout),
            ("ONE", &one),
            ("LAYER", Path::new("/tmp/layer.tar")),
            ("BLOB", layer),
            ("NAME", Path::new(REFERENCE)),
            ("PLATFORMS", Path::new(&platforms)),
        ]);
        let output = command.quiet().ignore_status().output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let unpacked = match output.status.success() {
            true => compare(&place.join("root"), &program),
            false => Err(anyhow!("{}", errors.lines().last().unwrap_or("it fails"))),
        };
        fixture.check(&Check { name, broken_by }, unpacked);
    }
    Ok(())
}

/// Checks that a root file system has the program, as it should be, and nothing else.
fn compare(root: &Path, program: &[u8]) -> Result<()> {
    let directory = fs::metadata(root).context("nothing was unpacked")?;
    ensure!(directory.mode() & 0o022 == 0, "others can write to the root directory: {:o}", directory.mode());
    let names = fs::read_dir(root)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    ensure!(names == ["pause"], "there is {names:?}");
    let file = fs::symlink_metadata(root.join("pause"))?;
    let (mode, owner) = (file.mode(), (file.uid(), file.gid()));
    ensure!(mode == 0o100_555 && [(0, 0), (USER, USER)].contains(&owner), "it has mode {mode:o} and owner {owner:?}");
    ensure!(fs::read(root.join("pause"))? == program, "it has other bytes");
    Ok(())
}
