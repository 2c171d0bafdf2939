//! A release that is pushed, signed and verified, with the blocks of docs/release.md; nodes that verify it, docs/trust.md.

use super::registry::{self, EQUAL, REMOTE, STORAGE, layers, printed, read_json, traffic, verify};
use super::{containerd, cri, podman::Podman};
use crate::command::read;
use crate::host::{CONTROLS, Check, Fixture, Host, broken_by, check, host};
use crate::images::{LAYOUT, RELEASED};
use crate::{busybox, pause, recipe::Page};
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;
use xshell::{Shell, cmd};
use xtask::golden::DIGESTS;
use xtask::release::{NOTICE, PROVENANCE, SBOM, VEX};

pub const SIGNING: Host = Host {
    absent_from: &[("bullseye", NOT_PACKAGED), ("bookworm", NOT_PACKAGED)],
    // Debian's cosign does not know its own version.
    ..host(
        "signing",
        "oras and cosign, with a registry",
        &["oras", "cosign", "docker-registry", "jq", "skopeo", "podman", "crun"],
        &["oras version", "dpkg-query --show cosign"],
        checks,
    )
};

pub const VERIFIER: Host = Host {
    absent_from: &[("bookworm", OLD), ("trixie", OLD)],
    ..host("image-verifier", "containerd, with an image verifier", NODE, &["containerd --version"], check_verifier)
};

const NODE: &[&str] =
    &["containerd", "runc", "containernetworking-plugins", "docker-registry", cri::PACKAGES[0], cri::PACKAGES[1]];
const NOT_PACKAGED: &str = "has no packages of them";
const OLD: &str = "has a containerd without it";

const PUSHED: Check = check("the page's push gives the registry the image and its referrers");
const NO_MORE: Check = check("the referrers cost a pull of the image no request and no byte");
const SIGNED: Check = check("the page's verification fails before its signing, and succeeds after it");
const OTHER_KEY: Check = check("the page's verification fails with another key");
const ATTESTED: Check = check("the attestations are the release's provenance, SBOM and VEX document");
const KEPT: Check = check("a second push keeps the signatures");
const INDEX: Check =
    check("a change to the index in the registry: `cargo xtask verify` and the page's verification fail");
const LAYER: Check = check("a change to a layer in the registry: `cargo xtask verify` fails");
const REFUSED: Check = check("podman runs the signed image, and refuses another one, unsigned or with another key");
const RELEASED_ONLY: Check = broken_by(CONTROLS, "containerd pulls the image with the release's digest, and no other");

const PUSH: &str = "Push it";
const SIGN: &str = "Sign it";
const VERIFY: &str = "Verify it";

/// The image without its referrers.
const ALONE: &str = "127.0.0.1:5000/alone";

/// The registry, by a name for which oras and cosign do without TLS.
const REGISTRY: &str = "localhost:5000";

fn checks(fixture: &mut Fixture) -> Result<()> {
    let shell = fixture.shell;
    let _registry = registry::start(shell)?;
    let released = fixture.archive.with_file_name(RELEASED);
    let layout = released.join(LAYOUT);
    let index = read_json(layout.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().context("a descriptor has a digest")?;
    let page = Page::read(fixture.repository, "docs/release.md")?;
    let page = page.replace("registry.example", REGISTRY).replace("sha256:…", digest);
    let mut page = page.replace("dist/release", released.to_str().context("a path in UTF-8")?);
    let mut nodes = Page::section(fixture.repository, "docs/trust.md", "Nodes that verify")?;
    nodes = nodes.replace("registry.example", REGISTRY);
    if !read(cmd!(shell, "cosign sign --help"))?.contains(" --use-signing-config") {
        page = page.replace(" --use-signing-config=false", "");
        nodes = nodes.replace(" --use-signing-config=false --new-bundle-format=false", "");
    }
    shell.set_var("image", format!("{REGISTRY}/pause@{digest}"));
    shell.set_var("COSIGN_PASSWORD", "of the run");

    registry::push(fixture, ALONE)?;
    page.apply(shell, PUSH)?;
    fixture.check(&PUSHED, check_referrers(shell, &released));
    let pull = |image: &str| {
        let options = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"];
        traffic(|| read(cmd!(shell, "skopeo {options...} docker://{image}@{digest} dir:pulled")))
    };
    let (alone, all) = (pull(ALONE)?, pull("127.0.0.1:5000/pause")?);
    fixture.expect(&NO_MORE, alone == all, || format!("{alone:?} became {all:?}"));

    let unsigned = page.apply(shell, VERIFY);
    page.apply(shell, SIGN)?;
    let verified = page.apply(shell, VERIFY);
    let is_signed = unsigned.is_err() && verified.is_ok();
    fixture.expect(&SIGNED, is_signed, || format!("before {unsigned:?}, after {verified:?}"));
    fixture.check(&ATTESTED, verified.and_then(|output| check_attestations(shell, &output, &released)));
    let equal = verify(fixture, REMOTE)?;
    fixture.expect(&EQUAL, equal.status.success(), || printed(&equal));
    page.apply(shell, PUSH)?;
    fixture.check(&KEPT, page.apply(shell, VERIFY).map(drop));

    let refuses = || page.apply(shell, VERIFY).err().map(drop).context("the page's verification succeeds");
    read(cmd!(shell, "mv cosign.pub own.pub"))?;
    read(cmd!(shell, "cosign generate-key-pair --output-key-prefix other"))?;
    read(cmd!(shell, "cp other.pub cosign.pub"))?;
    fixture.check(&OTHER_KEY, refuses());
    read(cmd!(shell, "mv own.pub cosign.pub"))?;
    fixture.check(&REFUSED, check_policy(fixture, nodes));

    // A single platform's layout lists the referrers after the image.
    let (_, layer) = layers(&layout)?.swap_remove(0);
    // Broken JSON, then the same JSON with a space at the end.
    let index = Path::new(digest.trim_start_matches("sha256:"));
    let changed = with_end(index, b"", refuses)
        .and_then(|()| with_end(index, b"} ", || fails(&verify(fixture, REMOTE)?, 1, "different: ")));
    fixture.check(&INDEX, changed);
    // skopeo compares the digest of a layer, and verify can't compare more.
    let changed = with_end(&layer, b"", || fails(&verify(fixture, REMOTE)?, 2, "did not match"));
    fixture.check(&LAYER, changed);
    page.apply(shell, VERIFY).map(drop).context("with the original bytes")
}

/// Follows the page of nodes that verify. `other.key` is not their key.
fn check_policy(fixture: &Fixture, page: Page) -> Result<()> {
    let (shell, podman, busybox) = (fixture.shell, Podman::new(fixture, &[])?, busybox::pack(fixture.shell)?);
    let (image, options) = (format!("{REGISTRY}/pause:forged"), ["--insecure-policy", "--dest-tls-verify=false"]);
    read(cmd!(shell, "skopeo copy {options...} docker-archive:{busybox} docker://{image}"))?;
    let pull = || podman.run(&format!("pull --quiet --tls-verify=false {image}"));
    pull()?;
    page.apply(shell, "podman")?;
    let run = format!("run --network none --tls-verify=false {} -v", shell.var("image")?);
    pause::check_version(&podman.run(&run)?)?;
    ensure!(pull().is_err(), "it pulls an unsigned image");
    page.replace("cosign.key", "other.key").replace("$image", &image).apply(shell, "podman")?;
    ensure!(pull().is_err(), "it pulls an image with another signature");
    Ok(())
}

/// Follows the page of nodes that verify, with the digest that a release must have.
fn check_verifier(fixture: &mut Fixture) -> Result<()> {
    let shell = fixture.shell;
    let _registry = registry::start(shell)?;
    registry::push(fixture, REMOTE)?;
    let digests = fixture.repository.join(DIGESTS);
    let digest = read(cmd!(shell, "sed -n 's/^index */sha256:/p' {digests}"))?;
    let page = Page::section(fixture.repository, "docs/trust.md", "Nodes that verify")?;
    page.replace("registry.example", "127.0.0.1:5000").replace("sha256:…", &digest).apply(shell, "containerd")?;
    let setting = "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = ";
    fs::write(containerd::CONFIG, format!("{setting}'{REMOTE}'"))?;
    containerd::start(shell)?;
    cri::wait_until_served()?;
    let pod = containerd::run_sandbox(shell, "pod");
    fixture.check(&RELEASED_ONLY, pod.and_then(|(_, pid)| pause::wait_until_ready(pid)));
    Ok(())
}

fn fails(verify: &Output, status: i32, reason: &str) -> Result<()> {
    let printed = printed(verify);
    ensure!(verify.status.code() == Some(status) && printed.contains(reason), "verify, {}: {printed}", verify.status);
    Ok(())
}

/// Calls `run` while other bytes replace the last one of a blob in the registry. Its path ends with its digest.
fn with_end(blob: &Path, end: &[u8], run: impl FnOnce() -> Result<()>) -> Result<()> {
    let digest = blob.file_name().and_then(OsStr::to_str).context("a digest")?;
    let file = format!("{STORAGE}/docker/registry/v2/blobs/sha256/{}/{digest}/data", &digest[..2]);
    let original = fs::read(&file)?;
    fs::write(&file, [&original[..original.len() - 1], end].concat())?;
    let result = run();
    fs::write(file, original)?;
    result
}

/// Pulls the files that a release attaches to the image, and compares them.
fn check_referrers(shell: &Shell, released: &Path) -> Result<()> {
    let image = shell.var("image")?;
    let found = read(cmd!(shell, "oras discover --format json {image}"))?;
    // Before version 1.3 they had another name.
    let filter = "(.referrers // .manifests)[].digest";
    let digests = cmd!(shell, "jq --raw-output {filter}").stdin(found).read()?;
    ensure!(digests.lines().count() == 4, "the referrers are {digests}");
    for digest in digests.lines() {
        read(cmd!(shell, "oras pull --output found {REGISTRY}/pause@{digest}"))?;
    }
    for file in [SBOM, PROVENANCE, VEX, NOTICE] {
        read(cmd!(shell, "cmp found/{file} {released}/{file}"))?;
    }
    Ok(())
}

/// Compares the attestations that cosign verified and printed with the release's files. cosign adds empty fields.
fn check_attestations(shell: &Shell, output: &str, released: &Path) -> Result<()> {
    for (file, predicate) in [(PROVENANCE, ".predicate"), (SBOM, "."), (VEX, ".")] {
        let filter = format!(
            "[inputs | fromjson? | .payload? // empty | @base64d | fromjson.predicate]
             | any(.[]; . * ($file[0] | {predicate}) == .)"
        );
        let options = ["--null-input", "--raw-input", "--exit-status", "--slurpfile", "file"];
        let attested = cmd!(shell, "jq {options...} {released}/{file} {filter}").stdin(output);
        read(attested).with_context(|| format!("{file} is not attested"))?;
    }
    Ok(())
}
