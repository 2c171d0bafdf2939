//! Readers of the image: each unpacks it in its own way, and must find the program and nothing else.
//!
//! A reader is a host whose checks are shell scripts. Its negative controls are an image with another program, and
//! [`BARE`], an image as small as the formats allow.

use super::podman::Podman;
use crate::archive::BARE;
use crate::command::{self, Foreground};
use crate::host::{Check, Host, Scene};
use crate::images::{IMAGE, LAYOUT, PROGRAM, REFERENCE};
use anyhow::{Context, Result, anyhow, ensure};
use mutants::{DEAF, Mutant};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::image::air_gap_archive;
use xtask::{note, output, platform};

/// A source, the images that fail, and a script that unpacks the source to the directory `root`.
type Read = (&'static str, &'static [&'static Mutant], &'static str);

/// Another program is noticed by every reader, and a bare image by some.
const OTHER: &[&Mutant] = &[&DEAF];
const OR_BARE: &[&Mutant] = &[&DEAF, &BARE];

/// The functions of the scripts.
const FUNCTIONS: &str = include_str!("readers.sh");

/// A user who is not root, as the scripts have it.
const USER: u32 = 54321;

/// All readers.
pub static READERS: &[Host] = &[
    reader("tar", "GNU tar", &["tar"], OTHER, |scene| one(scene, OTHER, "mkdir root; tar -xf $BLOB -C root")),
    reader("bsdtar", "bsdtar", &["libarchive-tools"], OTHER, |scene| {
        one(scene, OTHER, "mkdir root; bsdtar -xpf $BLOB -C root")
    }),
    reader("busybox", "busybox tar", &["busybox-static"], OTHER, |scene| {
        one(scene, OTHER, "mkdir root; busybox tar -xf $LAYER -C root")
    }),
    reader("python", "Python's tarfile", &["python3"], OTHER, |scene| one(scene, OTHER, "tarfile")),
    Host {
        absent_from: &[("bookworm", "has a mkfs.erofs that reads no layer")],
        ..reader("erofs", "mkfs.erofs --tar=f", &["erofs-utils"], OR_BARE, |scene| {
            one(scene, OR_BARE, "mkfs.erofs --quiet --tar=f image $LAYER; fsck.erofs --extract=root image")
        })
    },
    // It passes over `./`.
    reader("sqfstar", "sqfstar -root-mode 0755", &["squashfs-tools"], OTHER, |scene| {
        one(scene, OTHER, "sqfstar -quiet -root-mode 0755 image <$LAYER; unsquashfs -quiet -d root image")
    }),
    reader("tar2sqfs", "tar2sqfs", &["squashfs-tools-ng", "squashfs-tools"], OTHER, |scene| {
        one(scene, OTHER, "tar2sqfs -q image <$LAYER; unsquashfs -quiet -d root image")
    }),
    reader("skopeo", "skopeo copy: every transport, format and platform", &["skopeo"], OR_BARE, |scene| {
        read(scene, SKOPEO)
    }),
    reader("umoci", "umoci unpack --rootless", &["umoci"], OTHER, |scene| one(scene, OTHER, "bundle")),
    reader("buildah", "buildah bud", &["buildah", "podman"], OR_BARE, |scene| {
        Podman::new(scene, &[])?;
        one(scene, OR_BARE, "child buildah bud")
    }),
    reader("podman-build", "podman build", &["podman"], OR_BARE, |scene| {
        Podman::new(scene, &[])?;
        one(scene, OR_BARE, "child podman build")
    }),
    reader("docker-load", "docker load, docker history", &["docker.io"], OR_BARE, |scene| {
        let shell = scene.shell;
        let daemon = Foreground::start(cmd!(shell, "dockerd --iptables=false --ip6tables=false"), "dockerd")?;
        daemon.wait_until_up(|| command::succeeds(cmd!(shell, "docker version")))?;
        read(scene, &[("the archive", OR_BARE, "load $ARCHIVE"), ("a one-platform archive", OR_BARE, "load $ONE")])
    }),
    Host {
        version: &[&[
            "env",
            "PYTHONPATH=/opt/udocker.whl",
            "python3",
            "-c",
            "import udocker; print(udocker.__version__)",
        ]],
        ..reader(UDOCKER, UDOCKER, &["curl", "python3"], OR_BARE, |scene| one(scene, OR_BARE, "udocker"))
    },
    reader("snapshotters", "containerd: overlayfs, native", &["containerd"], OTHER, |scene| {
        let _daemon = containerd(scene.shell, "")?;
        read(scene, &[("by overlayfs", OTHER, "snapshot overlayfs"), ("natively", OTHER, "snapshot native")])
    }),
    Host {
        absent_from: &[("bookworm", NO_EROFS), ("trixie", NO_EROFS)],
        ..reader("containerd-erofs", "containerd: erofs", &["containerd", "erofs-utils"], OR_BARE, |scene| {
            let settings = "[plugins.'io.containerd.service.v1.diff-service']\ndefault = ['erofs', 'walking']\n";
            let _daemon = containerd(scene.shell, settings)?;
            one(
                scene,
                OR_BARE,
                "import erofs; fsck.erofs --extract=root /var/lib/containerd/*.erofs/snapshots/*/layer.erofs",
            )
        })
    },
    Host {
        absent_from: &[("bookworm", "has no package of it")],
        ..reader("stargz", "ctr-remote convert --estargz", &["stargz-snapshotter", "containerd"], OR_BARE, |scene| {
            let _daemon = containerd(scene.shell, "")?;
            one(scene, OR_BARE, "stargz")
        })
    },
];

const NO_EROFS: &str = "has a containerd without this snapshotter";

const REQUIREMENT: &str =
    "udocker==1.3.17 --hash=sha256:fd6589de0f3af7c1cd6a29554f2c00f2ef1fbd91da184ca30f8cea1eb42bcd2b";
/// The place of udocker in a sandbox.
const WHEEL: &str = "/opt/udocker.whl";

/// The copies that skopeo makes.
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

/// A host of Debian's.
const fn reader(
    name: &'static str,
    title: &'static str,
    packages: &'static [&'static str],
    stand_ins: &'static [&'static Mutant],
    checks: fn(&mut Scene) -> Result<()>,
) -> Host {
    Host { name, title, packages, absent_from: &[], crates: &[], version: &[], stand_ins, checks }
}

/// Starts containerd.
fn containerd(shell: &Shell, settings: &str) -> Result<Foreground> {
    fs::write("containerd.toml", format!("version = 2\n{settings}"))?;
    let daemon = Foreground::start(cmd!(shell, "containerd --config containerd.toml"), "containerd")?;
    daemon.wait_until_up(|| command::succeeds(cmd!(shell, "ctr version")))?;
    Ok(daemon)
}

/// The name of a reader that isn't Debian's.
pub const UDOCKER: &str = "udocker";

/// Downloads udocker, unless that is done. Returns the file, and its place in a sandbox.
pub fn udocker(shell: &Shell) -> Result<(PathBuf, String)> {
    let directory = shell.current_dir().join("target/e2e/udocker-1.3.17");
    output::provide(&directory, |directory| {
        let (python, list) = (directory.join("python"), directory.join("requirements.txt"));
        fs::write(&list, REQUIREMENT)?;
        cmd!(shell, "python3 -m venv {python}").run()?;
        let pip = python.join("bin/pip");
        let download = cmd!(
            shell,
            "{pip} download --quiet --no-cache-dir --require-hashes --requirement {list} --dest {directory}"
        );
        Ok(download.run()?)
    })?;
    Ok((directory.join("udocker-1.3.17-py2.py3-none-any.whl"), WHEEL.trim_start_matches('/').into()))
}

/// Runs a reader's only script.
fn one(scene: &mut Scene, broken_by: &'static [&'static Mutant], script: &'static str) -> Result<()> {
    read(scene, &[("the image", broken_by, script)])
}

/// Runs scripts, each in a directory of its own, and compares what they unpack with the program.
fn read(scene: &mut Scene, reads: &[Read]) -> Result<()> {
    let directory = scene.archive.parent().context("an archive in a directory")?;
    let layout = directory.join(LAYOUT);
    let json = |path: &Path| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let blob = |descriptor: &Value| -> Result<PathBuf> {
        let digest = descriptor["digest"].as_str().context("a descriptor has a digest")?;
        Ok(layout.join("blobs").join(digest.replace(':', "/")))
    };
    let mut manifests = json(&layout.join("index.json"))?["manifests"].take();
    // One platform's manifest stands there itself.
    if manifests[0]["mediaType"] == "application/vnd.oci.image.index.v1+json" {
        manifests = json(&blob(&manifests[0])?)?["manifests"].take();
    }
    let (mut platforms, mut layer) = (Vec::new(), None);
    for manifest in manifests.as_array().context("an index lists manifests")? {
        let words = ["os", "architecture", "variant"].map(|word| manifest["platform"][word].as_str());
        let platform = words.into_iter().flatten().collect::<Vec<_>>().join("/");
        if platform == platform::native()?.name {
            layer = Some(blob(&json(&blob(manifest)?)?["layers"][0])?);
        }
        platforms.push(platform);
    }
    let blob = layer.context("the index has this machine's platform")?;
    fs::write("/tmp/layer.tar", cmd!(scene.shell, "zcat --force {blob}").quiet().output()?.stdout)?;
    let program = fs::read(directory.with_file_name(IMAGE).join(PROGRAM))?;
    let one = directory.join(air_gap_archive(platform::native()?));
    for (number, &(name, broken_by, script)) in reads.iter().enumerate() {
        note!("$ {script}");
        let place = scene.shell.create_dir(format!("/tmp/{number}"))?;
        let _there = scene.shell.push_dir(&place);
        let command = cmd!(scene.shell, "sh -c {FUNCTIONS}{script}").envs([
            ("ARCHIVE", scene.archive),
            ("LAYOUT", &layout),
            ("ONE", &one),
            ("LAYER", Path::new("/tmp/layer.tar")),
            ("BLOB", &blob),
            ("NAME", Path::new(REFERENCE)),
            ("PLATFORMS", Path::new(&platforms.join(" "))),
        ]);
        let output = command.quiet().ignore_status().output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let result = match output.status.success() {
            true => compare(&place.join("root"), &program),
            false => Err(anyhow!("{}", errors.lines().last().unwrap_or("it fails"))),
        };
        scene.check(&Check { name, broken_by }, result);
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
