//! A registry: what it keeps is what was pushed, and a pull takes little.

use super::containerd;
use super::podman::{self, Podman, SHARE};
use crate::command::{self, Foreground, read};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::{LAYOUT, REFERENCE};
use crate::{pause, sandbox};
use anyhow::{Context, Result, ensure};
use mutants::{DEAF, NO_REAPING};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread::sleep;
use std::time::Duration;
use xshell::{Shell, cmd};
use xtask::note;

/// One row of the table.
pub const HOST: Host = Host {
    name: "registry",
    title: "a registry, with podman and containerd",
    packages: &[
        podman::PACKAGES[0],
        podman::PACKAGES[1],
        podman::PACKAGES[2],
        "containerd",
        "runc",
        "docker-registry",
        "skopeo",
    ],
    absent_from: &[],
    crates: &[],
    version: &[&["docker-registry", "--version"]],
    stand_ins: STAND_INS,
    checks,
};

/// What the image is called there.
pub const REMOTE: &str = concat!("127.0.0.1:5000/pause:", env!("CARGO_PKG_VERSION"));

/// Where it keeps what it has.
pub const STORAGE: &str = "/tmp/registry";

/// Where the registry says which requests it served.
const LOG: &str = "/tmp/registry.log";

const CONFIGURATION: &str = "version: 0.1
storage: { filesystem: { rootdirectory: /tmp/registry } }
http: { addr: '127.0.0.1:5000' }
";

const SAME: Check =
    Check { name: "the index and all blobs, pushed by skopeo and pulled back, have the same digests", broken_by: &[] };
/// What a registry gives is what these sources make.
pub const EQUAL: Check = Check {
    name: "`cargo xtask verify` says that what is there equals what these sources make",
    broken_by: &[&NO_REAPING, &DEAF],
};
const CHOICE: Check = Check { name: "containerd pulls this machine's platform: the program runs", broken_by: &[] };
const EVERY: Check =
    Check { name: "podman and containerd pull any platform that they are asked for, with its program", broken_by: &[] };
fn checks(scene: &mut Scene) -> Result<()> {
    let shell = scene.shell;
    let _registry = start(shell)?;
    push(scene, REMOTE)?;
    let copy = ["--insecure-policy", "copy", "--quiet", "--all", "--src-tls-verify=false"];
    read(cmd!(shell, "skopeo {copy...} docker://{REMOTE} oci:back:{REFERENCE}"))?;
    scene.check(&SAME, compare(scene));
    let equal = verify(scene, REMOTE)?;
    scene.check(&EQUAL, equal.status.success().then_some(()).with_context(|| format!("it says {}", said(&equal))));

    let podman = Podman::new(scene, &[])?;
    let traffic = Traffic::of(|| podman.run(&["pull", "--quiet", "--tls-verify=false", REMOTE]))?;
    scene.notes.push(traffic.describe("podman"));
    podman.load_busybox()?;
    podman.run(&["pod", "create", "--name", "pod", "--infra-image", REMOTE, "--share", SHARE])?;
    podman.check_pod(scene)?;

    containerd::start(shell)?;
    let traffic = Traffic::of(|| read(cmd!(shell, "ctr images pull --plain-http {REMOTE}")))?;
    scene.notes.push(traffic.describe("containerd"));
    let said = read(cmd!(shell, "ctr run --rm {REMOTE} version /pause -v"));
    scene.check(&CHOICE, said.and_then(|said| pause::check_version(&said)));

    podman.run(&["image", "rm", "--force", REMOTE])?;
    scene.check(&EVERY, pull_every_platform(shell, &podman));
    Ok(())
}

/// Starts a registry.
///
/// # Errors
/// Where it does not come up.
pub fn start(shell: &Shell) -> Result<Foreground> {
    fs::write("/tmp/registry.yaml", CONFIGURATION)?;
    let registry = Foreground::start(cmd!(shell, "docker-registry serve /tmp/registry.yaml"), "registry")?;
    registry.wait_until_up(|| command::succeeds(cmd!(shell, "busybox wget -q -O - http://127.0.0.1:5000/v2/")))?;
    Ok(registry)
}

/// Pushes the image, without what a release attaches to it.
pub fn push(scene: &Scene, remote: &str) -> Result<()> {
    let (shell, layout) = (scene.shell, scene.archive.with_file_name(LAYOUT));
    let options = ["--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false"];
    read(cmd!(shell, "skopeo {options...} oci:{layout}:{REFERENCE} docker://{remote}")).map(drop)
}

/// The digest of the image in a layout.
pub fn digest(layout: &Path) -> Result<String> {
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json"))?)?;
    Ok(index["manifests"][0]["digest"].as_str().context("an index names a digest")?.into())
}

/// Compares what the registry has with what these sources make.
///
/// # Errors
/// Where that can't be done.
pub fn verify(scene: &Scene, reference: &str) -> Result<Output> {
    let reference = format!("docker://{reference}");
    note!("$ cargo xtask verify --plain-http {reference}");
    Ok(sandbox::outside(scene.repository)?.args(["xtask", "verify", "--plain-http", &reference]).output()?)
}

/// What a command said, all of it.
pub fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// Pulls each platform of what was pushed and compares the program with what is in its layer.
fn pull_every_platform(shell: &Shell, podman: &Podman) -> Result<()> {
    let blob = |descriptor: &Value| -> Result<String> {
        let digest = descriptor["digest"].as_str().context("a descriptor has a digest")?;
        Ok(format!("/tmp/pushed/blobs/{}", digest.replace(':', "/")))
    };
    let json = |path: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let named = &json("/tmp/pushed/index.json")?["manifests"];
    let index = json(&blob(&named[0])?)?;
    // An image of one platform has no index.
    for descriptor in index["manifests"].as_array().or(named.as_array()).context("an index lists manifests")? {
        let words = ["os", "architecture", "variant"].map(|word| descriptor["platform"][word].as_str());
        let platform = words.into_iter().flatten().collect::<Vec<_>>().join("/");
        let layer = blob(&json(&blob(descriptor)?)?["layers"][0])?;
        let expected = cmd!(shell, "tar --extract --gzip --to-stdout --file {layer} pause").quiet().output()?.stdout;

        podman.run(&["pull", "--quiet", "--tls-verify=false", "--platform", &platform, REMOTE])?;
        let folder = podman.run(&["image", "mount", REMOTE])?;
        ensure!(fs::read(format!("{folder}/pause"))? == expected, "podman pulls something else for {platform}");
        podman.run(&["image", "rm", "--force", REMOTE])?;

        fs::create_dir_all("/tmp/mounted")?;
        read(cmd!(shell, "ctr images pull --plain-http --platform {platform} {REMOTE}"))?;
        read(cmd!(shell, "ctr images mount --platform {platform} {REMOTE} /tmp/mounted"))?;
        ensure!(fs::read("/tmp/mounted/pause")? == expected, "containerd pulls something else for {platform}");
        read(cmd!(shell, "ctr images unmount --rm /tmp/mounted"))?;
    }
    Ok(())
}

/// Compares what came back with what was pushed. The name of a blob is its digest.
fn compare(scene: &Scene) -> Result<()> {
    let (shell, archive) = (scene.shell, scene.archive);
    fs::create_dir("/tmp/pushed")?;
    read(cmd!(shell, "tar --extract --file {archive} --directory /tmp/pushed"))?;
    let [pushed, back] = ["/tmp/pushed", "/tmp/back"].map(|folder| {
        let index: Value = serde_json::from_slice(&fs::read(format!("{folder}/index.json"))?)?;
        let blobs = fs::read_dir(format!("{folder}/blobs/sha256"))?;
        let mut blobs = blobs.map(|blob| Ok(blob?.file_name())).collect::<Result<Vec<_>>>()?;
        blobs.sort();
        let digest = index["manifests"][0]["digest"].as_str().context("an index names no digest")?.to_owned();
        anyhow::Ok((digest, blobs))
    });
    let (pushed, back) = (pushed?, back?);
    ensure!(pushed == back, "{pushed:?} became {back:?}");
    Ok(())
}

/// What the registry serves to a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Traffic {
    requests: usize,
    bytes: u64,
}

impl Traffic {
    /// Measures what a pull takes.
    pub fn of(pull: impl FnOnce() -> Result<String>) -> Result<Self> {
        let begin = Self::log()?.len();
        pull()?;
        let log = Self::log()?;
        let served = log[begin..].lines().filter_map(|line| {
            // The combined log format of web servers: … "GET /v2/ HTTP/1.1" 200 2 "" "client".
            let (_, answer) = line.split_once(" HTTP/1.1\" ")?;
            answer.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        let sizes: Vec<u64> = served.collect();
        ensure!(!sizes.is_empty(), "the registry's log has no request");
        Ok(Self { requests: sizes.len(), bytes: sizes.iter().sum() })
    }

    /// The registry's log, once it is quiet: a request may be over before its line is written.
    fn log() -> Result<String> {
        loop {
            let log = fs::read_to_string(LOG)?;
            sleep(Duration::from_millis(200));
            if fs::read_to_string(LOG)? == log {
                return Ok(log);
            }
        }
    }

    /// Says how much it is.
    fn describe(&self, client: &str) -> String {
        let Self { requests, bytes } = self;
        format!(
            "a pull by {client} takes {requests} requests and {bytes} bytes of content (upstream's image: about 320,000)"
        )
    }
}
