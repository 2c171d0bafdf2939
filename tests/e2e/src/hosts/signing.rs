//! oras and cosign, as docs/release.md shows them: a release is pushed, signed and verified, with a key of the run.

use super::registry::{self, EQUAL, REMOTE, STORAGE, Traffic, said, verify};
use crate::command::read;
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::{LAYOUT, RELEASED};
use crate::recipe::Page;
use anyhow::{Context, Result, ensure};
use release::{NOTICE, PROVENANCE, SBOM};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use xshell::{Shell, cmd};

/// One row of the table.
pub const HOST: Host = Host {
    name: "signing",
    title: "oras and cosign, with a registry",
    packages: &["oras", "cosign", "docker-registry", "jq", "skopeo"],
    absent_from: &[("bullseye", NOT_PACKAGED), ("bookworm", NOT_PACKAGED)],
    crates: &[],
    // Debian's cosign does not know its own version.
    version: &[&["oras", "version"], &["dpkg-query", "--show", "cosign"]],
    stand_ins: STAND_INS,
    checks,
};

const NOT_PACKAGED: &str = "has no packages of them";

const PUSHED: Check =
    Check { name: "the page's push gives the registry the image, and what belongs to it", broken_by: &[] };
const NO_MORE: Check =
    Check { name: "a pull takes no request and no byte more for what belongs to the image", broken_by: &[] };
const SIGNED: Check =
    Check { name: "the page's verification fails before its signing, and succeeds after it", broken_by: &[] };
const STRANGER: Check = Check { name: "the page's verification fails with another key", broken_by: &[] };
const ATTESTED: Check = Check { name: "the attestations are the release's provenance and SBOM", broken_by: &[] };
const KEPT: Check = Check { name: "a second push keeps the signatures", broken_by: &[] };
const INDEX: Check = Check {
    name: "a byte of the index, changed in the registry: `cargo xtask verify` and the page's verification fail",
    broken_by: &[],
};
const LAYER: Check =
    Check { name: "a byte of a layer, changed in the registry: `cargo xtask verify` fails", broken_by: &[] };

/// The headings of the page.
const PUSH: &str = "Push it";
const SIGN: &str = "Sign it";
const VERIFY: &str = "Verify it";

/// The image without what belongs to it.
const ALONE: &str = "127.0.0.1:5000/alone";

/// The registry, by a name for which oras and cosign don't ask for TLS.
const REGISTRY: &str = "localhost:5000";
fn checks(scene: &mut Scene) -> Result<()> {
    let shell = scene.shell;
    let _registry = registry::start(shell)?;
    let released = scene.archive.with_file_name(RELEASED);
    let digest = registry::digest(&released.join(LAYOUT))?;
    let page = Page::read(&scene.repository.join("docs/release.md"))?;
    let page = page.replace("registry.example", REGISTRY).replace("sha256:…", &digest);
    let mut page = page.replace("dist/release", released.to_str().context("a path in UTF-8")?);
    if !read(cmd!(shell, "cosign sign --help"))?.contains(" --use-signing-config") {
        page = page.replace(" --use-signing-config=false", "");
    }
    shell.set_var("image", format!("{REGISTRY}/pause@{digest}"));
    // What protects the key.
    shell.set_var("COSIGN_PASSWORD", "of the run");

    registry::push(scene, ALONE)?;
    page.apply(shell, PUSH)?;
    scene.check(&PUSHED, check_referrers(shell, &released));
    let [alone, all] = [ALONE, "127.0.0.1:5000/pause"].map(|image| {
        let options = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"];
        Traffic::of(|| read(cmd!(shell, "skopeo {options...} docker://{image}@{digest} dir:pulled")))
    });
    let (alone, all) = (alone?, all?);
    scene.check(&NO_MORE, (alone == all).then_some(()).with_context(|| format!("{alone:?} became {all:?}")));

    let unsigned = page.apply(shell, VERIFY);
    page.apply(shell, SIGN)?;
    let verified = page.apply(shell, VERIFY);
    let is_signed = unsigned.is_err() && verified.is_ok();
    scene.check(&SIGNED, is_signed.then_some(()).with_context(|| format!("before {unsigned:?}, after {verified:?}")));
    scene.check(&ATTESTED, verified.and_then(|output| check_attestations(shell, &output, &released)));
    let equal = verify(scene, REMOTE)?;
    scene.check(&EQUAL, equal.status.success().then_some(()).with_context(|| said(&equal)));
    page.apply(shell, PUSH)?;
    scene.check(&KEPT, page.apply(shell, VERIFY).map(drop));

    // Another key.
    fs::rename(path(shell, "cosign.pub"), path(shell, "own.pub"))?;
    read(cmd!(shell, "cosign generate-key-pair --output-key-prefix other"))?;
    fs::copy(path(shell, "other.pub"), path(shell, "cosign.pub"))?;
    scene.check(&STRANGER, refuses(&page, shell));
    fs::rename(path(shell, "own.pub"), path(shell, "cosign.pub"))?;

    let index = stored(&digest)?;
    let json = |file: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(file)?)?) };
    let mut manifest = json(&index)?;
    if let Some(manifests) = manifest["manifests"].as_array() {
        manifest = json(&stored(text(&manifests[0]["digest"])?)?)?;
    }
    let layer = stored(text(&manifest["layers"][0]["digest"])?)?;
    let changed = with_changed_byte(&index, || {
        refuses(&page, shell)?;
        differs(&verify(scene, REMOTE)?)
    });
    scene.check(&INDEX, changed);
    scene.check(&LAYER, with_changed_byte(&layer, || differs(&verify(scene, REMOTE)?)));
    // The bytes are back.
    page.apply(shell, VERIFY).map(drop)
}

fn path(shell: &Shell, name: &str) -> PathBuf {
    shell.current_dir().join(name)
}

/// Fails if the page's verification succeeds.
fn refuses(page: &Page, shell: &Shell) -> Result<()> {
    page.apply(shell, VERIFY).err().map(drop).context("the page's verification succeeds")
}

/// Fails if `cargo xtask verify` succeeds.
fn differs(verified: &Output) -> Result<()> {
    ensure!([Some(1), Some(2)].contains(&verified.status.code()), "verify: {}", said(verified));
    Ok(())
}

/// Runs something while the last byte of a file is another one.
fn with_changed_byte(file: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let original = fs::read(file)?;
    let mut changed = original.clone();
    *changed.last_mut().context("the file is empty")? ^= 1;
    fs::write(file, changed)?;
    let result = run();
    fs::write(file, original)?;
    result
}

/// Has oras find and pull what a release attaches to the image.
fn check_referrers(shell: &Shell, released: &Path) -> Result<()> {
    let image = shell.var("image")?;
    let found: Value = serde_json::from_str(&read(cmd!(shell, "oras discover --format json {image}"))?)?;
    // Its name before version 1.3 was another one.
    let list = found["referrers"].as_array().or_else(|| found["manifests"].as_array()).context("oras lists nothing")?;
    let mut files = Vec::new();
    for entry in list {
        let digest = text(&entry["digest"])?;
        files
            .extend(read(cmd!(shell, "oras pull --output found {REGISTRY}/pause@{digest}"))?.lines().map(String::from));
    }
    ensure!(list.len() == 3, "there are {} referrers", list.len());
    for file in [SBOM, PROVENANCE, NOTICE] {
        ensure!(fs::read(path(shell, "found").join(file))? == fs::read(released.join(file))?, "{file} is another one");
    }
    Ok(())
}

/// Compares the attestations that cosign verified, which it prints, with the release's files.
fn check_attestations(shell: &Shell, output: &str, released: &Path) -> Result<()> {
    let json = |file: &str| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(released.join(file))?)?) };
    let expected = [json(PROVENANCE)?["predicate"].take(), json(SBOM)?];
    let mut predicates = Vec::new();
    for envelope in output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if let Some(payload) = envelope["payload"].as_str() {
            let statement = cmd!(shell, "base64 --decode").stdin(payload).quiet().read()?;
            predicates.push(serde_json::from_str::<Value>(&statement)?["predicate"].take());
        }
    }
    for expected in expected {
        ensure!(predicates.iter().any(|predicate| has(predicate, &expected)), "{expected} is not attested");
    }
    Ok(())
}

/// Whether JSON has all that other JSON has. cosign adds fields that are empty.
fn has(whole: &Value, part: &Value) -> bool {
    match part {
        Value::Object(fields) => fields.iter().all(|(name, field)| has(&whole[name], field)),
        part => whole == part,
    }
}

/// Where the registry keeps a blob.
fn stored(digest: &str) -> Result<String> {
    let digest = digest.strip_prefix("sha256:").context("a digest is of SHA-256")?;
    Ok(format!("{STORAGE}/docker/registry/v2/blobs/sha256/{}/{digest}/data", &digest[..2]))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("a text")
}
