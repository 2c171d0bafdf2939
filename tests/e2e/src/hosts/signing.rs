//! oras and cosign: what is said about the image in a registry is found, and signed with a key of the run.

use super::registry::{self, EQUAL, REMOTE, STORAGE, said, verify};
use crate::command::{read, succeeds};
use crate::host::{Check, Host, STAND_INS, Scene};
use crate::images::{LAYOUT, RELEASED};
use anyhow::{Context, Result, ensure};
use release::{BILL, PROVENANCE, bill, provenance};
use serde_json::Value;
use std::fs;
use std::path::Path;
use xshell::{Cmd, Shell, cmd};

/// One row of the table.
pub const HOST: Host = Host {
    name: "signing",
    title: "oras and cosign, with a registry",
    packages: &["oras", "cosign", "docker-registry", "skopeo"],
    absent_from: &[("bullseye", NOT_PACKAGED), ("bookworm", NOT_PACKAGED)],
    crates: &[],
    // Debian's cosign does not know its own version.
    version: &[&["oras", "version"], &["dpkg-query", "--show", "cosign"]],
    stand_ins: STAND_INS,
    checks,
};

const NOT_PACKAGED: &str = "has no packages of them";

const FOUND: Check = Check {
    name: "oras discovers the bill of materials and the provenance, and pulls them as they were",
    broken_by: &[],
};
const SIGNED: Check = Check { name: "cosign verifies the image's signature by the key of the run", broken_by: &[] };
const STRANGER: Check = Check { name: "cosign refuses it by another key", broken_by: &[] };
const ATTESTED: Check =
    Check { name: "cosign verifies the provenance and the bill of materials as attestations", broken_by: &[] };
const KEPT: Check = Check { name: "a second push leaves what others said about the image where it is", broken_by: &[] };
const INDEX: Check = Check {
    name: "a byte of the index, changed in the registry: `cargo xtask verify` and cosign refuse it",
    broken_by: &[],
};
const LAYER: Check =
    Check { name: "a byte of a layer, changed in the registry: `cargo xtask verify` names it", broken_by: &[] };

/// The key pairs: what the names of their files begin with.
const KEYS: [&str; 2] = ["run", "stranger"];

fn checks(scene: &mut Scene) -> Result<()> {
    let shell = scene.shell;
    let _registry = registry::start(shell)?;
    let released = scene.archive.with_file_name(RELEASED);
    let image = push(scene)?;
    scene.check(&FOUND, check_discovery(shell, &image, &released));

    // What protects the key in the place where it is kept.
    shell.set_var("COSIGN_PASSWORD", "of the run");
    for key in KEYS {
        read(cmd!(shell, "cosign generate-key-pair --output-key-prefix {key}"))?;
    }
    read(sign(shell, "sign")?.arg(&image))?;
    let statement: Value = serde_json::from_slice(&fs::read(released.join(PROVENANCE))?)?;
    let (predicate, bill) = (shell.current_dir().join("predicate.json"), released.join(BILL));
    fs::write(&predicate, serde_json::to_vec(&statement["predicate"])?)?;
    let attestations = [("slsaprovenance1", &predicate), ("cyclonedx", &bill)];
    for (kind, file) in attestations {
        read(sign(shell, "attest")?.args(["--type", kind, "--predicate"]).args([file.as_os_str(), image.as_ref()]))?;
    }
    let [own, stranger] = KEYS;
    scene.check(&SIGNED, read(by_key(shell, "verify", own).arg(&image)).map(|_| ()));
    let refused = !succeeds(by_key(shell, "verify", stranger).arg(&image));
    scene.check(&STRANGER, refused.then_some(()).context("it takes it"));
    scene.check(
        &ATTESTED,
        attestations.iter().try_for_each(|(kind, file)| check_attestation(shell, &image, kind, file)),
    );
    let equal = verify(scene, &image)?;
    scene.check(&EQUAL, equal.status.success().then_some(()).with_context(|| format!("it says {}", said(&equal))));

    let before = discover(shell, &image)?;
    push(scene)?;
    let after = discover(shell, &image)?;
    let kept = before == after && succeeds(by_key(shell, "verify", own).arg(&image));
    scene.check(&KEPT, kept.then_some(()).with_context(|| format!("{before:?} became {after:?}")));

    let (_, digest) = image.split_once('@').context("the name has a digest")?;
    let index: Value = serde_json::from_slice(&fs::read(stored(digest)?)?)?;
    let manifest: Value = serde_json::from_slice(&fs::read(stored(text(&index["manifests"][0]["digest"])?)?)?)?;
    scene.check(&INDEX, check_index(scene, &stored(digest)?, own));
    scene.check(&LAYER, check_layer(scene, text(&manifest["layers"][0]["digest"])?));
    Ok(())
}

/// Pushes the image with all that a release attaches to it. Returns its name with its digest.
fn push(scene: &Scene) -> Result<String> {
    let (shell, layout) = (scene.shell, scene.archive.with_file_name(RELEASED).join(LAYOUT));
    let digest = registry::digest(&layout)?;
    read(cmd!(shell, "oras cp --recursive --to-plain-http --from-oci-layout {layout}@{digest} {REMOTE}"))?;
    let (name, _) = REMOTE.rsplit_once(':').context("the name has a tag")?;
    Ok(format!("{name}@{digest}"))
}

/// A command of cosign's that signs with the key of the run, and tells nobody.
fn sign<'a>(shell: &'a Shell, command: &str) -> Result<Cmd<'a>> {
    let key = KEYS[0];
    let signing = cmd!(shell, "cosign {command} --yes --key {key}.key --tlog-upload=false");
    // The services that version 3 would ask otherwise; older ones don't know the option.
    let option = "--use-signing-config";
    let help = cmd!(shell, "cosign {command} --help").quiet().read()?;
    Ok(if help.contains(option) { signing.arg(format!("{option}=false")) } else { signing })
}

/// A command of cosign's that verifies by a key, without a public log.
fn by_key<'a>(shell: &'a Shell, command: &str, key: &str) -> Cmd<'a> {
    cmd!(shell, "cosign {command} --key {key}.pub --insecure-ignore-tlog=true")
}

/// What oras finds that is said about an image: kinds and digests.
fn discover(shell: &Shell, image: &str) -> Result<Vec<(String, String)>> {
    let found: Value = serde_json::from_str(&read(cmd!(shell, "oras discover --plain-http --format json {image}"))?)?;
    // Before version 1.3 the list was called otherwise.
    let list = found["referrers"].as_array().or_else(|| found["manifests"].as_array()).context("oras lists nothing")?;
    let pair = |entry: &Value| Ok((text(&entry["artifactType"])?.to_owned(), text(&entry["digest"])?.to_owned()));
    list.iter().map(pair).collect()
}

/// Lets oras find and pull what a release says about the image.
fn check_discovery(shell: &Shell, image: &str, released: &Path) -> Result<()> {
    let found = discover(shell, image)?;
    let (name, _) = REMOTE.rsplit_once(':').context("the name has a tag")?;
    ensure!(found.len() == 2, "it finds {found:?}");
    for (kind, file) in [(bill::MEDIA_TYPE, BILL), (provenance::MEDIA_TYPE, PROVENANCE)] {
        let entry = found.iter().find(|(its, _)| its == kind);
        let (_, digest) = entry.with_context(|| format!("no {kind} is among {found:?}"))?;
        read(cmd!(shell, "oras pull --plain-http --output found {name}@{digest}"))?;
        let pulled = fs::read(shell.current_dir().join("found").join(file))?;
        ensure!(pulled == fs::read(released.join(file))?, "{file} is another one");
    }
    Ok(())
}

/// Compares an attestation that cosign verified with what was attested.
fn check_attestation(shell: &Shell, image: &str, kind: &str, predicate: &Path) -> Result<()> {
    let verified = read(by_key(shell, "verify-attestation", KEYS[0]).args(["--type", kind, image]))?;
    let envelope: Value = serde_json::from_str(&verified)?;
    // The payload is in base64, which a tool of every Debian knows.
    let payload = cmd!(shell, "base64 --decode").stdin(text(&envelope["payload"])?).quiet().read()?;
    let statement: Value = serde_json::from_str(&payload)?;
    let attested: Value = serde_json::from_slice(&fs::read(predicate)?)?;
    ensure!(has(&statement["predicate"], &attested), "it verified something else: {statement}");
    Ok(())
}

/// Whether JSON has all that other JSON has. cosign adds fields that are empty.
fn has(whole: &Value, part: &Value) -> bool {
    match part {
        Value::Object(fields) => fields.iter().all(|(name, field)| has(&whole[name], field)),
        part => whole == part,
    }
}

/// Changes a byte of the index in the registry's storage.
fn check_index(scene: &Scene, file: &str, key: &str) -> Result<()> {
    let shell = scene.shell;
    let original = fs::read(file)?;
    let word = b"\"architecture\":\"";
    let begin = original.windows(word.len()).position(|bytes| bytes == word).context("the index names platforms")?;
    let mut changed = original.clone();
    changed[begin + word.len()] = b'_';
    fs::write(file, changed)?;
    let (verified, signed) = (verify(scene, REMOTE)?, succeeds(by_key(shell, "verify", key).arg(REMOTE)));
    fs::write(file, original)?;
    let said = said(&verified);
    ensure!(verified.status.code() == Some(1) && said.contains("different: "), "verify says {said}");
    ensure!(!signed, "cosign takes it");
    // The byte it was, and nothing else.
    read(by_key(shell, "verify", key).arg(REMOTE)).map(|_| ())
}

/// Changes the last byte of a layer in the registry's storage.
fn check_layer(scene: &Scene, digest: &str) -> Result<()> {
    let file = stored(digest)?;
    let original = fs::read(&file)?;
    let mut changed = original.clone();
    *changed.last_mut().context("a layer has bytes")? ^= 1;
    fs::write(&file, changed)?;
    let verified = verify(scene, REMOTE)?;
    fs::write(&file, original)?;
    let said = said(&verified);
    ensure!(verified.status.code() == Some(2) && said.contains(digest), "verify says {said}");
    Ok(())
}

/// Where the registry keeps a blob.
fn stored(digest: &str) -> Result<String> {
    let digest = digest.strip_prefix("sha256:").context("a digest is of SHA-256")?;
    Ok(format!("{STORAGE}/docker/registry/v2/blobs/sha256/{}/{digest}/data", &digest[..2]))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("a text")
}
