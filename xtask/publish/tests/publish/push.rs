//! What `cargo xtask push` promises.

use crate::Case;
use crate::forge::{Forgery, Kind};
use crate::registry::{Registry, Settings, USER};
use crate::scene::{Scene, run};
use crate::stand_in::{self, Passage};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use xtask::digest::sha256;

/// How many points of a push somebody is killed at.
const POINTS: u64 = 20;

/// What takes a registry.
pub const CASES: &[Case] = &[
    ("what is pushed is whole, is told by its digest, and is not pushed twice", pushes_once),
    ("a user and a password come from the environment, and from podman's and Docker's files", knows_its_user),
    ("a registry that wants a password and gets none, or a wrong one, is one line", says_who_is_refused),
    ("TLS works with the authority of a file, and what does not fit is one line", speaks_tls),
    ("a registry that is read-only is one line, unless it has everything", says_what_is_read_only),
    ("kill -9 at twenty points of a push never leaves a tag that leads to half an image", survives_being_killed),
    ("what is said about the image is pushed, and listed beside what others say", pushes_referrers),
];

/// What takes none.
pub const CASES_WITHOUT_REGISTRY: &[Case] = &[
    ("a registry that refuses an index, or is out of order, is one line, and no tag is written", says_what_is_refused),
    ("a registry that does not say where a manifest is does no harm", needs_no_location),
    ("nobody who listens is one line", says_who_is_missing),
    ("an image that is not there, or is broken, is one line, and not pushed", refuses_bad_input),
];

/// The digest of an image's index.
pub fn digest(image: &Path) -> Result<String> {
    let names: Value = serde_json::from_slice(&fs::read(image.join("index.json"))?)?;
    Ok(names["manifests"][0]["digest"].as_str().context("a digest")?.into())
}

fn pushes_once(scene: &Scene) -> Result<()> {
    let (registry, image) = (Registry::start(scene, &Settings::default())?, scene.image("whole"));
    let (host, digest) = (&registry.host, digest(&image)?);
    let reference = format!("{host}/a/pause:1.0");
    let said = run(&mut scene.push(&image, &[&reference]))?;
    said.expect(&format!("{reference}@{digest}"))?;
    let lines: Vec<_> = said.stderr.lines().collect();
    let platforms = xtask::platform::PLATFORMS.iter().map(|platform| format!("{reference}: {}: ", platform.name));
    ensure!(lines.iter().zip(platforms).all(|(line, start)| line.starts_with(&start)), "{lines:?}");
    ensure!(registry.tagged("a/pause", "1.0")? == Some(digest.clone()), "the tag does not lead to the image");

    let (uploads, manifests) = (registry.count("POST")?, registry.count("PUT")?);
    let said = run(&mut scene.push(&image, &[&reference]))?;
    said.expect(&format!("{reference}@{digest}"))?;
    ensure!(said.stderr.lines().all(|line| line.ends_with(": is there already")), "{}", said.stderr);
    ensure!((uploads, manifests) == (registry.count("POST")?, registry.count("PUT")?), "something was pushed again");
    ensure!(uploads > 0 && manifests > uploads, "the registry's log is not what this case takes it for");

    // Without a tag, it is the version; several at once; into a tag that leads elsewhere.
    let version = env!("CARGO_PKG_VERSION");
    let said = run(&mut scene.push(&scene.image("one"), &[&format!("{host}/a/pause"), &reference]))?;
    let one = self::digest(&scene.image("one"))?;
    said.expect(&format!("{host}/a/pause:{version}@{one}\n{reference}@{one}"))?;
    ensure!(registry.tagged("a/pause", "1.0")? == Some(one), "the tag does not lead to the new image");
    Ok(())
}

/// What `docker login` and `podman login` write.
fn login(host: &str, user: [&str; 2]) -> Value {
    // Base64 of "pause:a:secret" and of "pause:wrong".
    let word = if user == USER { "cGF1c2U6YTpzZWNyZXQ=" } else { "cGF1c2U6d3Jvbmc=" };
    json!({ "auths": { host: { "auth": word } } })
}

fn knows_its_user(scene: &Scene) -> Result<()> {
    let registry = Registry::start(scene, &Settings { password: true, ..Settings::default() })?;
    let (host, image) = (&registry.host, scene.image("few"));
    let digest = digest(&image)?;
    let right = login(host, USER).to_string();
    let part = login(&format!("{host}/part"), USER).to_string();
    let file = scene.write("login/auth.json", &right)?;
    let pushed = |variables: &[(&str, &Path)], name: &str| -> Result<()> {
        let reference = format!("{host}/{name}:1");
        let said = run(scene.push(&image, &[&reference]).envs(variables.iter().copied()))?;
        said.expect(&format!("{reference}@{digest}"))
    };
    pushed(&[("PAUSE_REGISTRY_USER", USER[0].as_ref()), ("PAUSE_REGISTRY_PASSWORD", USER[1].as_ref())], "environment")?;
    pushed(&[("REGISTRY_AUTH_FILE", &file)], "file")?;
    scene.write("run/containers/auth.json", &right)?;
    pushed(&[("XDG_RUNTIME_DIR", &scene.path("run"))], "podman")?;
    scene.write("part/containers/auth.json", &part)?;
    pushed(&[("XDG_RUNTIME_DIR", &scene.path("part"))], "part/podman")?;
    scene.write("docker/config.json", &right)?;
    pushed(&[("DOCKER_CONFIG", &scene.path("docker"))], "docker")?;
    let home = scene.write("home/.docker/config.json", &right)?;
    let in_home = pushed(&[], "home");
    fs::remove_file(home)?;
    in_home
}

fn says_who_is_refused(scene: &Scene) -> Result<()> {
    let registry = Registry::start(scene, &Settings { password: true, ..Settings::default() })?;
    let (host, image) = (&registry.host, scene.image("one"));
    let reference = format!("{host}/pause:1");
    let push = || scene.push(&image, &[&reference]);
    run(&mut push())?.expect_error(1, &[&reference, "just anybody", &format!("docker login {host}")])?;
    let file = scene.write("wrong/auth.json", login(host, ["pause", "wrong"]).to_string())?;
    let said = run(push().env("REGISTRY_AUTH_FILE", &file))?;
    said.expect_error(1, &["does not let pause do that", &file.display().to_string()])?;
    ensure!(!said.stderr.contains("wrong\n") && !said.stderr.contains("secret"), "it tells the password");
    run(push().env("PAUSE_REGISTRY_USER", "pause"))?
        .expect_error(1, &["PAUSE_REGISTRY_PASSWORD", "only one is set"])?;
    let file = scene.write("broken/auth.json", "{")?;
    run(push().env("REGISTRY_AUTH_FILE", &file))?.expect_error(1, &[&file.display().to_string()])?;
    let token = json!({ "auths": { host: { "auth": "", "identitytoken": "x" } } });
    let file = scene.write("token/auth.json", token.to_string())?;
    run(push().env("REGISTRY_AUTH_FILE", &file))?.expect_error(1, &["identity token", "PAUSE_REGISTRY_USER"])?;
    let file = scene.write("helper/auth.json", json!({ "credsStore": "none-of-the-kind" }).to_string())?;
    run(push().env("REGISTRY_AUTH_FILE", &file))?.expect_error(1, &[&file.display().to_string(), "helper"])?;
    let said = run(&mut scene.verify(&reference))?;
    said.expect_error(1, &["can't read", &reference, "just anybody"])
}

fn speaks_tls(scene: &Scene) -> Result<()> {
    let registry = Registry::start(scene, &Settings { tls: true, password: true, ..Settings::default() })?;
    let (host, image) = (&registry.host, scene.image("few"));
    let reference = format!("{host}/pause:1");
    let push = || {
        let mut push = scene.push(&image, &[&reference]);
        push.envs([("PAUSE_REGISTRY_USER", USER[0]), ("PAUSE_REGISTRY_PASSWORD", USER[1])]);
        push
    };
    let authority = registry.path("ca.pem");
    run(push().arg("--ca-file").arg(&authority))?.expect(&format!("{reference}@{}", digest(&image)?))?;
    let mut verify = scene.verify(&reference);
    verify.envs([("PAUSE_REGISTRY_USER", USER[0]), ("PAUSE_REGISTRY_PASSWORD", USER[1])]);
    run(verify.arg("--ca-file").arg(&authority))?.expect(&format!("equal: {}", digest(&image)?))?;

    // Another authority than that of the registry.
    let other = Registry::start(scene, &Settings { tls: true, ..Settings::default() })?;
    run(push().arg("--ca-file").arg(other.path("ca.pem")))?.expect_error(1, &["can't reach", host, "certificate"])?;
    run(push().arg("--ca-file").arg(scene.write("no.pem", "nothing")?))?.expect_error(1, &[&reference])?;
    run(push().arg("--ca-file").arg("nowhere.pem"))?.expect_error(2, &["nowhere.pem"])?;
    run(&mut push())?.expect_error(1, &[host, "plain HTTP", "--ca-file"])?;
    run(push().arg("--plain-http"))?.expect_error(1, &[host, "plain HTTP", "--ca-file"])
}

fn says_what_is_read_only(scene: &Scene) -> Result<()> {
    let writable = Registry::start(scene, &Settings::default())?;
    let image = scene.image("few");
    let push =
        |registry: &Registry, name: &str| run(&mut scene.push(&image, &[&format!("{}/{name}:1", registry.host)]));
    push(&writable, "there")?.expect(&format!("{}/there:1@{}", writable.host, digest(&image)?))?;
    let data = Some(writable.path("data"));
    let registry = Registry::start(scene, &Settings { read_only: true, data, ..Settings::default() })?;
    push(&registry, "there")?.expect(&format!("{}/there:1@{}", registry.host, digest(&image)?))?;
    push(&registry, "other")?.expect_error(1, &[&registry.host, "linux/amd64", "read-only", "405"])
}

fn survives_being_killed(scene: &Scene) -> Result<()> {
    let registry = Registry::start(scene, &Settings::default())?;
    let (image, old) = (scene.image("few"), scene.image("one"));
    let (new, old_digest) = (digest(&image)?, digest(&old)?);
    // Every second time, the tag leads to another image before.
    let prepare = |name: &str, point: u64| -> Result<Option<&String>> {
        if point.is_multiple_of(2) {
            return Ok(None);
        }
        let reference = format!("{}/{name}:1", registry.host);
        run(&mut scene.push(&old, &[&reference]))?.expect(&format!("{reference}@{old_digest}"))?;
        Ok(Some(&old_digest))
    };
    let mut totals = [0; 2];
    for (point, total) in (0..).zip(&mut totals) {
        let name = format!("whole-{point}");
        prepare(&name, point)?;
        let passage = Passage::open(&registry.host, u64::MAX)?;
        let reference = format!("{}/{name}:1", passage.host);
        run(&mut scene.push(&image, &[&reference]))?.expect(&format!("{reference}@{new}"))?;
        *total = passage.passed();
    }
    for point in 0..POINTS {
        let name = format!("killed-{point}");
        let before = prepare(&name, point)?;
        let passage =
            Passage::open(&registry.host, totals[usize::from(before.is_some())] * (point + 1) / (POINTS + 1))?;
        let mut push = scene.push(&image, &[&format!("{}/{name}:1", passage.host)]);
        let mut process = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        while passage.full.recv_timeout(Duration::from_millis(10)).is_err() {
            ensure!(process.try_wait()?.is_none(), "the push ends before point {point}");
        }
        process.kill()?;
        process.wait()?;
        let there = registry.tagged(&name, "1").with_context(|| format!("killed at point {point}"))?;
        ensure!([before, Some(&new)].contains(&there.as_ref()), "killed at point {point}: the tag leads to {there:?}");

        let reference = format!("{}/{name}:1", registry.host);
        run(&mut scene.push(&image, &[&reference]))?.expect(&format!("{reference}@{new}"))?;
        ensure!(registry.tagged(&name, "1")?.as_ref() == Some(&new), "what was interrupted can't be completed");
    }
    Ok(())
}

/// Adds something that is said about the image, as a release does. Returns its digest.
fn refer(image: &Path, artifact_type: &str, words: &str) -> Result<String> {
    let add = |content: &[u8], media_type: &str| -> Result<Value> {
        fs::write(image.join("blobs/sha256").join(sha256(content)), content)?;
        let digest = format!("sha256:{}", sha256(content));
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": content.len() }))
    };
    let names = image.join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&names)?)?;
    let mut subject = index["manifests"][0].clone();
    subject.as_object_mut().context("a descriptor")?.remove("annotations");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": artifact_type,
        "config": add(b"{}", "application/vnd.oci.empty.v1+json")?,
        "layers": [add(words.as_bytes(), artifact_type)?],
        "subject": subject,
    });
    let mut descriptor = add(&serde_json::to_vec(&manifest)?, "application/vnd.oci.image.manifest.v1+json")?;
    descriptor["artifactType"] = artifact_type.into();
    let digest = descriptor["digest"].as_str().context("a digest")?.to_owned();
    index["manifests"].as_array_mut().context("a list")?.push(descriptor);
    fs::write(names, serde_json::to_vec(&index)?)?;
    Ok(digest)
}

fn pushes_referrers(scene: &Scene) -> Result<()> {
    let registry = Registry::start(scene, &Settings::default())?;
    let plain = scene.image("few");
    let digest = digest(&plain)?;
    let (bill, provenance) = ("application/vnd.cyclonedx+json", "application/vnd.in-toto+json");
    let ours = Forgery::of(&plain, scene.path("ours"))?.folder;
    let expected = [refer(&ours, bill, "a bill")?, refer(&ours, provenance, "provenance")?];
    let theirs = Forgery::of(&plain, scene.path("theirs"))?.folder;
    let other = refer(&theirs, provenance, "what somebody else says")?;

    let reference = format!("{}/pause:1", registry.host);
    for image in [&theirs, &ours, &ours] {
        run(&mut scene.push(image, &[&reference]))?.expect(&format!("{reference}@{digest}"))?;
    }
    ensure!(
        registry.tagged("pause", "1")?.as_ref() == Some(&digest),
        "the image is another one with what is said of it"
    );
    let tag = digest.replace(':', "-");
    let list = registry.get(&format!("pause/manifests/{tag}"))?.context("there is no list")?;
    let list: Value = serde_json::from_slice(&list)?;
    let listed = list["manifests"].as_array().context("a list")?;
    let listed: Vec<_> = listed.iter().map(|entry| (&entry["digest"], &entry["artifactType"])).collect();
    let expected = [(&other, provenance), (&expected[0], bill), (&expected[1], provenance)];
    let right = listed.len() == 3
        && listed.iter().zip(expected).all(|(listed, (digest, kind))| listed.0 == digest && listed.1 == kind);
    ensure!(right, "{listed:?}");
    for (digest, _) in expected {
        let manifest = registry.get(&format!("pause/manifests/{digest}"))?.context("a referrer is missing")?;
        let manifest: Value = serde_json::from_slice(&manifest)?;
        let layer = manifest["layers"][0]["digest"].as_str().context("a digest")?;
        ensure!(registry.get(&format!("pause/blobs/{layer}"))?.is_some(), "what is said is missing");
    }
    run(&mut scene.verify(&ours))?.expect(&format!("equal: {digest}"))
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn says_what_is_refused(scene: &Scene) -> Result<()> {
    let image = scene.image("few");
    let push = |host: &str| run(&mut scene.push(&image, &[&format!("{host}/pause:1")]));
    let host = stand_in::registry(|request| {
        assert!(!request.path.ends_with("/manifests/1") || request.method != "PUT", "a tag was written");
        let is_index = request.method == "PUT" && request.media_type == INDEX;
        is_index.then_some((400, "", r#"{"errors":[{"code":"MANIFEST_INVALID","message":"unknown media type"}]}"#))
    })?;
    push(&host)?.expect_error(1, &["the index", INDEX, "400 MANIFEST_INVALID: unknown media type"])?;

    let host = stand_in::registry(|request| {
        let is_config = request.method == "PUT" && request.path.contains("/blobs/");
        is_config.then_some((415, "", "<html>\n<body>Unsupported\nmedia type</body></html>"))
    })?;
    push(&host)?.expect_error(1, &["linux/amd64", "config", "415", "Unsupported media type"])?;

    let host = stand_in::registry(|_| Some((503, "", "out of order")))?;
    push(&host)?.expect_error(1, &["503"])?;
    // It takes everything and has nothing.
    let host = stand_in::registry(|_| None)?;
    push(&host)?.expect_error(1, &[&host])
}

fn needs_no_location(scene: &Scene) -> Result<()> {
    let host = stand_in::registry(|request| {
        let is_manifest = request.method == "PUT" && request.path.contains("/manifests/");
        is_manifest.then_some((201, "", ""))
    })?;
    let said = run(&mut scene.push(&scene.image("one"), &[&format!("{host}/pause:1")]))?;
    // It has got everything, and then has nothing to be read back.
    said.expect_error(1, &[&host, "nothing there"])
}

fn says_who_is_missing(scene: &Scene) -> Result<()> {
    // Nobody but root may listen there, and nobody does.
    let said = run(&mut scene.push(&scene.image("one"), &["127.0.0.1:1/pause:1"]))?;
    said.expect_error(1, &["can't push 127.0.0.1:1/pause:1", "can't reach 127.0.0.1:1", "refused"])?;
    let said = run(&mut scene.verify("127.0.0.1:1/pause:1"))?;
    said.expect_error(1, &["can't read 127.0.0.1:1/pause:1", "can't reach 127.0.0.1:1", "refused"])
}

fn refuses_bad_input(scene: &Scene) -> Result<()> {
    let reference = "127.0.0.1:1/pause:1";
    run(&mut scene.push(&scene.path("nowhere"), &[reference]))?.expect_error(2, &["nowhere"])?;
    run(&mut scene.push(&scene.path("home"), &[reference]))?.expect_error(2, &["home", "oci-layout"])?;
    let image = scene.image("one");
    run(&mut scene.push(&image, &[]))?.expect_error(2, &["REFERENCE"])?;
    for wrong in ["", "127.0.0.1:1/PAUSE", "a b", "127.0.0.1:1/pause:ü"] {
        run(&mut scene.push(&image, &[wrong]))?.expect_error(2, &["an image in a registry looks like"])?;
    }
    let digest = format!("127.0.0.1:1/pause@{}", digest(&image)?);
    run(&mut scene.push(&image, &[&digest]))?.expect_error(2, &["name a tag"])?;
    let forgery = Forgery::of(&scene.image("few"), scene.path("broken-image"))?;
    let layer = forgery.path(Kind::Layer)?;
    fs::write(&layer, &fs::read(&layer)?[1..])?;
    run(&mut scene.push(&forgery.folder, &[reference]))?.expect_error(1, &["linux/arm64: the layer", "cut off"])
}
