//! A registry: a pull gives the pushed bytes, and is small.

use super::containerd;
use super::podman::{Podman, SHARE};
use crate::command::{self, Daemon, read};
use crate::host::{CONTROLS, Check, Fixture, Host, broken_by, check, host};
use crate::images::{LAYOUT, REFERENCE};
use crate::{pause, sandbox};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use xshell::{Shell, cmd};
use xtask::status;

pub const REGISTRY: Host = host(
    "registry",
    "a registry, with podman and containerd",
    &["podman", "crun", "containernetworking-plugins", "containerd", "runc", "docker-registry", "skopeo"],
    &["docker-registry --version"],
    checks,
);

pub const REMOTE: &str = concat!("127.0.0.1:5000/pause:", env!("CARGO_PKG_VERSION"));

/// Its directory of blobs and tags.
pub const STORAGE: &str = "/tmp/registry";

const CONFIGURATION: &str = "version: 0.1
storage: { filesystem: { rootdirectory: /tmp/registry } }
http: { addr: '127.0.0.1:5000' }
";

const SAME: Check = check("the index and all blobs, pushed by skopeo and pulled back, have the same digests");
pub const EQUAL: Check = broken_by(CONTROLS, "`cargo xtask verify` finds the registry's image equal to its own build");
const CHOICE: Check = check("containerd pulls this machine's platform: the program runs");
const EVERY: Check = check("podman and containerd pull any platform on request, with its program");

fn checks(fixture: &mut Fixture) -> Result<()> {
    let shell = fixture.shell;
    let _registry = start(shell)?;
    push(fixture, REMOTE)?;
    let copy = ["--insecure-policy", "copy", "--quiet", "--all", "--src-tls-verify=false"];
    read(cmd!(shell, "skopeo {copy...} docker://{REMOTE} oci:back:{REFERENCE}"))?;
    let (archive, pushed) = (fixture.archive, shell.create_dir("/tmp/pushed")?);
    read(cmd!(shell, "tar --extract --file {archive} --directory {pushed}"))?;
    // The name of a blob, such as the index, is its digest.
    fixture.check(&SAME, read(cmd!(shell, "diff --recursive pushed/blobs back/blobs")).map(drop));
    let equal = verify(fixture, REMOTE)?;
    fixture.expect(&EQUAL, equal.status.success(), || printed(&equal));

    let podman = Podman::new(fixture, &[])?;
    let pull = format!("pull --quiet --tls-verify=false {REMOTE}");
    let (requests, bytes) = traffic(|| podman.run(&pull))?;
    let note = format!("a pull by podman takes {requests} requests and {bytes} bytes of content");
    fixture.findings.notes.push(note + " (upstream's image: about 320,000)");
    podman.load_busybox()?;
    podman.create_pod(REMOTE, "bridge", SHARE)?;
    podman.check_pod(fixture)?;

    containerd::start(shell)?;
    read(cmd!(shell, "ctr images pull --plain-http {REMOTE}"))?;
    let output = read(cmd!(shell, "ctr run --rm {REMOTE} version /pause -v"));
    fixture.check(&CHOICE, output.and_then(|output| pause::check_version(&output)));

    podman.run(&format!("image rm --force {REMOTE}"))?;
    fixture.check(&EVERY, pull_every_platform(shell, &podman, &pull));
    Ok(())
}

pub fn start(shell: &Shell) -> Result<Daemon> {
    fs::write("/tmp/registry.yaml", CONFIGURATION)?;
    let registry = Daemon::start(cmd!(shell, "docker-registry serve /tmp/registry.yaml"), "registry")?;
    registry.wait_until_up(|| command::succeeds(cmd!(shell, "busybox wget -q -O - http://127.0.0.1:5000/v2/")))?;
    Ok(registry)
}

/// Pushes the image without the files that a release attaches to it.
pub fn push(fixture: &Fixture, remote: &str) -> Result<()> {
    let (shell, layout) = (fixture.shell, fixture.archive.with_file_name(LAYOUT));
    let options = ["--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false"];
    read(cmd!(shell, "skopeo {options...} oci:{layout}:{REFERENCE} docker://{remote}")).map(drop)
}

pub fn read_json(file: impl AsRef<Path>) -> Result<Value> {
    let file = file.as_ref();
    serde_json::from_slice(&fs::read(file)?).with_context(|| file.display().to_string())
}

fn blob(layout: &Path, descriptor: &Value) -> Result<PathBuf> {
    let digest = descriptor["digest"].as_str().context("a descriptor has a digest")?;
    Ok(layout.join("blobs").join(digest.replace(':', "/")))
}

/// The platforms of a layout, each with its layer's file.
pub fn layers(layout: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut manifests = read_json(layout.join("index.json"))?["manifests"].take();
    // A single platform's manifest is there itself.
    if manifests[0]["mediaType"] == "application/vnd.oci.image.index.v1+json" {
        manifests = read_json(blob(layout, &manifests[0])?)?["manifests"].take();
    }
    let layer = |manifest: &Value| {
        let words = ["os", "architecture", "variant"].map(|word| manifest["platform"][word].as_str());
        let platform = words.into_iter().flatten().collect::<Vec<_>>().join("/");
        Ok((platform, blob(layout, &read_json(blob(layout, manifest)?)?["layers"][0])?))
    };
    manifests.as_array().context("an index lists manifests")?.iter().map(layer).collect()
}

pub fn verify(fixture: &Fixture, reference: &str) -> Result<Output> {
    let reference = format!("docker://{reference}");
    status!("$ cargo xtask verify --plain-http {reference}");
    Ok(sandbox::outside(fixture.repository)?.args(["xtask", "verify", "--plain-http", &reference]).output()?)
}

pub fn printed(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text)).concat()
}

/// Pulls each platform of the pushed image, and compares the program with the one in its layer.
fn pull_every_platform(shell: &Shell, podman: &Podman, pull: &str) -> Result<()> {
    let pushed = Path::new("/tmp/pushed");
    shell.create_dir("/tmp/mounted")?;
    for (platform, layer) in layers(pushed)? {
        let expected = cmd!(shell, "tar --extract --gzip --to-stdout --file {layer} pause").quiet().output()?.stdout;
        podman.run(&format!("{pull} --platform {platform}"))?;
        let directory = podman.run(&format!("image mount {REMOTE}"))?;
        ensure!(fs::read(format!("{directory}/pause"))? == expected, "podman pulls another program for {platform}");
        podman.run(&format!("image rm --force {REMOTE}"))?;
        read(cmd!(shell, "ctr images pull --plain-http --platform {platform} {REMOTE}"))?;
        read(cmd!(shell, "ctr images mount --platform {platform} {REMOTE} /tmp/mounted"))?;
        ensure!(fs::read("/tmp/mounted/pause")? == expected, "containerd pulls another program for {platform}");
        read(cmd!(shell, "ctr images unmount --rm /tmp/mounted"))?;
    }
    Ok(())
}

/// Measures the content that the registry serves during a pull. Returns the numbers of requests and bytes.
pub fn traffic(pull: impl FnOnce() -> Result<String>) -> Result<(usize, u64)> {
    // A request may end before its line is written.
    let log = || {
        std::thread::sleep(Duration::from_millis(500));
        fs::read_to_string("/tmp/registry.log")
    };
    let begin = log()?.len();
    pull()?;
    // The combined log format of web servers: … "GET /v2/ HTTP/1.1" 200 2 "" "client".
    let size = |line: &str| line.split_once(" HTTP/1.1\" ")?.1.split_whitespace().nth(1)?.parse().ok();
    let sizes: Vec<u64> = log()?[begin..].lines().filter_map(size).collect();
    ensure!(!sizes.is_empty(), "the registry's log has no request");
    Ok((sizes.len(), sizes.iter().sum()))
}
