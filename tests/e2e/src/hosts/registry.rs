//! A registry: what it keeps is what was pushed, and a pull takes little.

use super::containerd;
use super::podman::{self, Podman, SHARE};
use crate::command::{self, Foreground, read};
use crate::host::{Check, Host, Scene};
use crate::images::REFERENCE;
use crate::pause;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use xshell::{Shell, cmd};

/// One row of the table.
pub const HOST: Host = Host {
    name: "registry",
    title: "a registry, with podman and containerd",
    packages: &[
        podman::PACKAGES[0],
        podman::PACKAGES[1],
        podman::PACKAGES[2],
        ("containerd", "containerd"),
        ("runc", "runc"),
        ("docker-registry", "docker-registry"),
        ("skopeo", "skopeo"),
    ],
    version: &["docker-registry", "--version"],
    checks,
};

/// What the image is called there.
const REMOTE: &str = concat!("127.0.0.1:5000/pause:", env!("CARGO_PKG_VERSION"));

/// Where the registry says which requests it served.
const LOG: &str = "/tmp/registry.log";

const CONFIGURATION: &str = "version: 0.1
storage: { filesystem: { rootdirectory: /tmp/registry } }
http: { addr: '127.0.0.1:5000' }
";

const SAME: Check =
    Check { name: "the index and all blobs, pushed and pulled back, have the same digests", broken_by: None };
const CHOICE: Check = Check { name: "containerd pulls this machine's platform: the program runs", broken_by: None };
const EVERY: Check = Check {
    name: "podman and containerd pull any platform that they are asked for, with its program",
    broken_by: None,
};

fn checks(scene: &mut Scene) -> Result<()> {
    let (shell, archive) = (scene.shell, scene.archive);
    fs::write("/tmp/registry.yaml", CONFIGURATION)?;
    let registry = Foreground::start(cmd!(shell, "docker-registry serve /tmp/registry.yaml"), "registry")?;
    registry.wait_until_up(|| command::succeeds(cmd!(shell, "busybox wget -q -O - http://127.0.0.1:5000/v2/")))?;

    let copy = ["--insecure-policy", "copy", "--quiet", "--all"];
    read(cmd!(shell, "skopeo {copy...} --dest-tls-verify=false oci-archive:{archive}:{REFERENCE} docker://{REMOTE}"))?;
    read(cmd!(shell, "skopeo {copy...} --src-tls-verify=false docker://{REMOTE} oci:back:{REFERENCE}"))?;
    scene.check(&SAME, compare(scene));

    let podman = Podman::new(scene, &[])?;
    let traffic = Traffic::begin()?;
    podman.run(&["pull", "--quiet", "--tls-verify=false", REMOTE])?;
    scene.notes.push(traffic.end("podman")?);
    podman.load_busybox()?;
    podman.run(&["pod", "create", "--name", "pod", "--infra-image", REMOTE, "--share", SHARE])?;
    podman.check_pod(scene)?;

    let _daemon = containerd::start(shell)?;
    let traffic = Traffic::begin()?;
    read(cmd!(shell, "ctr images pull --plain-http {REMOTE}"))?;
    scene.notes.push(traffic.end("containerd")?);
    let said = read(cmd!(shell, "ctr run --rm {REMOTE} version /pause -v"));
    scene.check(&CHOICE, said.and_then(|said| pause::check_version(&said)));
    scene.check(&EVERY, pull_every_platform(shell, &podman));
    Ok(())
}

/// Pulls each platform of what was pushed and compares the program with what is in its layer.
fn pull_every_platform(shell: &Shell, podman: &Podman) -> Result<()> {
    let blob = |descriptor: &Value| -> Result<String> {
        let digest = descriptor["digest"].as_str().context("a descriptor has a digest")?;
        Ok(format!("/tmp/pushed/blobs/{}", digest.replace(':', "/")))
    };
    let json = |path: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let index = json(&blob(&json("/tmp/pushed/index.json")?["manifests"][0])?)?;
    for descriptor in index["manifests"].as_array().context("an index lists manifests")? {
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

/// What the registry serves from some moment on.
struct Traffic {
    begin: usize,
}

impl Traffic {
    fn begin() -> Result<Self> {
        Ok(Self { begin: fs::read_to_string(LOG)?.len() })
    }

    /// Says how much it was.
    fn end(self, client: &str) -> Result<String> {
        let log = fs::read_to_string(LOG)?;
        let served = log[self.begin..].lines().filter_map(|line| {
            // The combined log format of web servers: … "GET /v2/ HTTP/1.1" 200 2 "" "client".
            let (_, answer) = line.split_once(" HTTP/1.1\" ")?;
            answer.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        let sizes: Vec<u64> = served.collect();
        ensure!(!sizes.is_empty(), "the registry's log has no request");
        let (requests, bytes) = (sizes.len(), sizes.iter().sum::<u64>());
        Ok(format!(
            "a pull by {client} takes {requests} requests and {bytes} bytes of content (upstream's image: about 320,000)"
        ))
    }
}
