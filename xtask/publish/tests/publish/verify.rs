//! What `cargo xtask verify` promises.

use crate::Case;
use crate::forge::{Forgery, Kind};
use crate::push::digest;
use crate::registry::{Registry, Settings};
use crate::scene::{Said, Scene, run};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What takes a registry.
pub const CASES_WITH_REGISTRY: &[Case] = &[
    ("the image in a registry is equal, by its tag and by its digest", equals_in_a_registry),
    ("a byte changed in a registry's storage is found, in each kind of blob", finds_what_changed_in_a_registry),
];

/// What takes none.
pub const CASES: &[Case] = &[
    ("the folder and the archive are equal: one line, with the digest", equals),
    ("names, annotations and missing platforms are said, and are no difference", tells_choices_apart),
    ("a byte changed in a blob is found, in each kind of blob", finds_broken_blobs),
    ("a change with all digests made to fit is found and named, in each kind of blob", finds_forgeries),
    ("what changed in a layer is named: header, function, message, compression", names_what_changed_in_a_layer),
    ("what is beside the image is found: stray files, and what Docker would load instead", finds_what_is_beside),
    ("what is no image is one line", refuses_bad_input),
];

/// Fails unless the command found a difference, and said all of this about it in one line.
fn expect_difference(said: &Said, words: &[&str]) -> Result<()> {
    let Some((first, rest)) = said.stdout.split_once('\n') else { bail!("nothing was said: {}", said.stderr) };
    let right = said.status == Some(1) && first.starts_with("different: sha256:") && rest.lines().count() == 1;
    ensure!(
        right && words.iter().all(|word| rest.contains(word)),
        "not {words:?}: {:?} {}{}",
        said.status,
        said.stdout,
        said.stderr
    );
    Ok(())
}

fn equals(scene: &Scene) -> Result<()> {
    let line = format!("equal: {}", digest(&scene.image("whole"))?);
    let said = run(&mut scene.verify(scene.image("whole")))?;
    said.expect(&line)?;
    ensure!(!said.stderr.contains("annotation") && !said.stderr.contains("platforms"), "{}", said.stderr);
    // The path is the caller's, who is in a folder of the repository.
    let here = std::env::current_dir()?;
    let up = "../".repeat(here.components().count() - 1);
    let archive = format!("{up}{}", scene.path("whole/pause.oci.tar").display());
    run(&mut scene.verify(archive))?.expect(&line)
}

fn tells_choices_apart(scene: &Scene) -> Result<()> {
    let image = scene.image("few");
    let said = run(&mut scene.verify(&image))?;
    said.expect(&format!("equal: {}", digest(&image)?))?;
    let choices = [
        "its name: registry.example/pause:1",
        "an annotation of the releaser's: org.opencontainers.image.source=https://example.com/pause",
        "it has 2 of the 10 platforms; it lacks linux/386, ",
    ];
    for choice in choices {
        ensure!(said.stderr.lines().any(|line| line.starts_with(choice)), "{choice} is not in {}", said.stderr);
    }

    // Without an index, as a tool leaves it that copies one platform.
    let alone = Forgery::of(&image, scene.path("alone"))?;
    let index = alone.path(Kind::Index)?;
    let mut names: Value = serde_json::from_slice(&fs::read(&index)?)?;
    let list = names["manifests"].as_array_mut().context("a list")?;
    let other = list.remove(1);
    let manifest = list[0]["digest"].as_str().context("a digest")?.to_owned();
    fs::write(alone.folder.join("index.json"), serde_json::to_vec(&names)?)?;
    let manifest_of_other =
        alone.folder.join("blobs").join(other["digest"].as_str().context("a digest")?.replace(':', "/"));
    let content: Value = serde_json::from_slice(&fs::read(&manifest_of_other)?)?;
    for descriptor in [&content["config"], &content["layers"][0]] {
        fs::remove_file(
            alone.folder.join("blobs").join(descriptor["digest"].as_str().context("a digest")?.replace(':', "/")),
        )?;
    }
    fs::remove_file(manifest_of_other)?;
    fs::remove_file(index)?;
    let said = run(&mut scene.verify(&alone.folder))?;
    said.expect(&format!("equal: {manifest}"))?;
    ensure!(said.stderr.contains("it has no index: it is the image of one platform, linux/amd64"), "{}", said.stderr);

    // Another path of the program is no choice that anybody would overlook.
    let linked = scene.image("linked");
    let said = run(&mut scene.verify(&linked))?;
    expect_difference(&said, &["linux/amd64: the layer", "byte 1536", "the field name of /usr/bin/pod's header"])?;
    run(scene.verify(&linked).args(["--link", "/usr/bin/pod"]))?.expect(&format!("equal: {}", digest(&linked)?))
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Index, "the index: sha256:"),
    (Kind::Manifest, "linux/arm64: the manifest: sha256:"),
    (Kind::Config, "linux/arm64: the config: sha256:"),
    (Kind::Layer, "linux/arm64: the layer: sha256:"),
];

fn finds_broken_blobs(scene: &Scene) -> Result<()> {
    for (kind, name) in KINDS {
        let forgery = Forgery::of(&scene.image("few"), scene.path("broken"))?;
        let path = forgery.path(kind)?;
        let whole = fs::read(&path)?;
        let mut changed = whole.clone();
        *changed.last_mut().context("a byte")? ^= 1;
        fs::write(&path, changed)?;
        let said = run(&mut scene.verify(&forgery.folder))?;
        expect_difference(&said, &[name, "holds other bytes than its digest says"])?;
        fs::write(&path, &whole[..whole.len() - 1])?;
        let cut = format!("is cut off: {} of {} bytes are there", whole.len() - 1, whole.len());
        expect_difference(&run(&mut scene.verify(&forgery.folder))?, &[name, &cut])?;
        fs::write(&path, [whole.as_slice(), b"\n"].concat())?;
        expect_difference(&run(&mut scene.verify(&forgery.folder))?, &[name, "is longer"])?;
        fs::remove_file(&path)?;
        let said = run(&mut scene.verify(&forgery.folder))?;
        said.expect_error(1, &[name.split(": sha256").next().unwrap_or_default(), "lacks blobs/sha256/"]).or_else(
            |error| match kind {
                // There is no platform to speak of.
                Kind::Index => said.expect_error(1, &["lacks blobs/sha256/"]),
                _ => Err(error),
            },
        )?;
    }
    Ok(())
}

fn finds_forgeries(scene: &Scene) -> Result<()> {
    let edit = |from: &'static str, to: &'static str| {
        move |content: Vec<u8>| {
            let text = String::from_utf8(content)?;
            ensure!(text.contains(from), "{text} has no {from}");
            Ok(text.replacen(from, to, 1).into_bytes())
        }
    };
    let forgeries = [
        (
            Kind::Index,
            "\"org.opencontainers.image.title\":\"pause\",",
            "",
            "/annotations/org.opencontainers.image.title",
        ),
        (Kind::Index, "\"amd64\"", "\"riscv\"", "linux/riscv: this source has no such platform"),
        (
            Kind::Manifest,
            "\"schemaVersion\":2",
            "\"schemaVersion\":2,\"subject\":null",
            "/subject is nothing here and null there",
        ),
        (Kind::Config, "65535:65535", "0:0", "/config/User is \"65535:65535\" here and \"0:0\" there"),
        (Kind::Config, "\"/pause\"", "\"/usr/bin/pod\"", "/config/Entrypoint/0 is \"/pause\" here"),
    ];
    for (kind, from, to, found) in forgeries {
        let forgery = Forgery::of(&scene.image("few"), scene.path("forged"))?;
        forgery.change(kind, edit(from, to))?;
        expect_difference(&run(&mut scene.verify(&forgery.folder))?, &[found])?;
    }

    // A second image of a platform, of which a client may take the last.
    let forgery = Forgery::of(&scene.image("few"), scene.path("forged"))?;
    forgery.change(Kind::Index, |index| {
        let mut index: Value = serde_json::from_slice(&index)?;
        let list = index["manifests"].as_array_mut().context("a list")?;
        list.push(list[0].clone());
        Ok(serde_json::to_vec(&index)?)
    })?;
    expect_difference(&run(&mut scene.verify(&forgery.folder))?, &["the index", "/manifests/2 is nothing here"])?;
    let forgery = Forgery::of(&scene.image("few"), scene.path("forged"))?;
    forgery.change(Kind::Index, |index| {
        let mut index: Value = serde_json::from_slice(&index)?;
        index["manifests"] = json!([]);
        Ok(serde_json::to_vec(&index)?)
    })?;
    let said = run(&mut scene.verify(&forgery.folder))?;
    ensure!(said.status == Some(1) && said.stdout.contains("the index: it has no platform"), "{}", said.stdout);
    Ok(())
}

/// What changes an archive.
type Change = fn(&mut Vec<u8>);

fn names_what_changed_in_a_layer(scene: &Scene) -> Result<()> {
    let program = |archive: &[u8], text: &[u8]| archive.windows(text.len()).position(|window| window == text);
    let changes: [(Change, &[&str]); 5] = [
        (|archive| archive[104] = b'4', &["byte 104 ", "the field mode of /pause's header"]),
        (|archive| archive[512 + 24] ^= 4, &["byte 24 ", "of the program, in the field e_entry of the ELF header"]),
        (|archive| archive[512 + 64 + 4] ^= 2, &["the field p_flags of the program header PT_LOAD"]),
        (|archive| archive[512 + 0x100] ^= 1, &["byte 256 ", "of the program, in the function "]),
        (|archive| archive.push(0), &["the end here", "its end"]),
    ];
    for (change, found) in changes {
        let forgery = Forgery::of(&scene.image("few"), scene.path("forged"))?;
        forgery.change_archive(change)?;
        let words: Vec<_> = ["linux/arm64: the layer"].iter().chain(found).copied().collect();
        expect_difference(&run(&mut scene.verify(&forgery.folder))?, &words)?;
    }
    let forgery = Forgery::of(&scene.image("few"), scene.path("forged"))?;
    forgery.change_archive(|archive| {
        let at = program(archive, b"Shutting down").expect("a message");
        archive[at] = b's';
    })?;
    let found = ["of the program, in the message \"Shutting down, got signal: "];
    expect_difference(&run(&mut scene.verify(&forgery.folder))?, &found)?;

    // The same archive, compressed by another program; and what no program unpacks.
    let forgery = Forgery::of(&scene.image("few"), scene.path("forged"))?;
    forgery.change_archive(|_| {})?;
    let found = ["of the compressed data", "the archive in it is the same"];
    expect_difference(&run(&mut scene.verify(&forgery.folder))?, &found)?;
    let forgery = Forgery::of(&scene.image("few"), scene.path("forged"))?;
    forgery.change(Kind::Layer, |mut layer| {
        layer[40] ^= 0xff;
        Ok(layer)
    })?;
    expect_difference(
        &run(&mut scene.verify(&forgery.folder))?,
        &["byte 40 ", "of the compressed data, which can't be read there"],
    )
}

fn finds_what_is_beside(scene: &Scene) -> Result<()> {
    let image = scene.image("one");
    let forgery = Forgery::of(&image, scene.path("stray"))?;
    fs::write(forgery.folder.join("blobs/sha256/stray"), "")?;
    expect_difference(&run(&mut scene.verify(&forgery.folder))?, &["blobs/sha256/stray: nothing refers to it"])?;

    let forgery = Forgery::of(&image, scene.path("docker"))?;
    let archive = scene.path("docker.tar");
    let blob = |kind| anyhow::Ok(forgery.path(kind)?.strip_prefix(&forgery.folder)?.display().to_string());
    // The forgery is of the second platform; this image has one.
    let index: Value = serde_json::from_slice(&fs::read(forgery.path(Kind::Index)?)?)?;
    let manifest = index["manifests"][0]["digest"].as_str().context("a digest")?.replace(':', "/");
    let manifest: Value = serde_json::from_slice(&fs::read(forgery.folder.join("blobs").join(manifest))?)?;
    let path =
        |descriptor: &Value| descriptor["digest"].as_str().map(|digest| format!("blobs/{}", digest.replace(':', "/")));
    let (config, layer) = (path(&manifest["config"]), path(&manifest["layers"][0]));
    let docker =
        |config: &Value, name: &str| json!([{ "Config": config, "Layers": [layer], "RepoTags": [name] }]).to_string();
    let pack = |docker: &str| forgery.archive(&archive, &[("manifest.json", docker.as_bytes())]);
    let (usual, other) = (format!("localhost/pause:{}", env!("CARGO_PKG_VERSION")), json!(blob(Kind::Index)?));
    pack(&docker(&json!(config), &usual))?;
    run(&mut scene.verify(&archive))?.expect(&format!("equal: {}", digest(&image)?))?;
    pack(&docker(&other, &usual))?;
    expect_difference(&run(&mut scene.verify(&archive))?, &["manifest.json: what Docker would load is none of"])?;
    pack(&docker(&json!(config), "debian:12"))?;
    expect_difference(&run(&mut scene.verify(&archive))?, &["manifest.json: Docker would call it \"debian:12\""])
}

fn refuses_bad_input(scene: &Scene) -> Result<()> {
    let refused = |image: &Path, words: &[&str]| run(&mut scene.verify(image))?.expect_error(2, words);
    for missing in ["nowhere", "./nowhere/pause.oci", "pause:1", "a/b", "UPPER.example/Pause"] {
        run(&mut scene.verify(missing))?.expect_error(2, &[missing, "neither there nor an image in a registry"])?;
    }
    run(scene.verify(scene.image("one")).args(["--toolchain", "gcc"]))?.expect_error(2, &["gcc", "rustup, debian"])?;
    refused(&scene.path("home"), &["home", "no oci-layout"])?;
    refused(&scene.write("empty", "")?, &["empty", "oci-layout"])?;
    refused(&scene.write("text", "no archive at all".repeat(100))?, &["text", "can't be read as an image"])?;
    let archive = fs::read(scene.path("one/pause.oci.tar"))?;
    refused(&scene.write("cut.tar", &archive[..archive.len() / 2])?, &["cut.tar", "can't be read as an image"])?;
    refused(Path::new("/dev/null"), &["/dev/null", "oci-layout"])?;

    let forgery = Forgery::of(&scene.image("one"), scene.path("bad"))?;
    let names = forgery.folder.join("index.json");
    let index = fs::read(&names)?;
    let twice = scene.path("twice.tar");
    forgery.archive(&twice, &[("index.json", &index)])?;
    refused(&twice, &["index.json is in it twice"])?;
    fs::write(&names, "{}")?;
    refused(&forgery.folder, &["its index.json is none"])?;
    let mut none: Value = serde_json::from_slice(&index)?;
    none["manifests"] = json!([]);
    fs::write(&names, none.to_string())?;
    refused(&forgery.folder, &["its index.json names none"])?;
    let mut several: Value = serde_json::from_slice(&index)?;
    let named = several["manifests"][0].clone();
    let inner: Value =
        serde_json::from_slice(&fs::read(Forgery::of(&scene.image("one"), scene.path("inner"))?.path(Kind::Index)?)?)?;
    several["manifests"] = json!([named, inner["manifests"][0]]);
    fs::write(&names, several.to_string())?;
    refused(&forgery.folder, &["its index.json names several"])?;
    let mut large: Value = serde_json::from_slice(&index)?;
    large["manifests"][0]["size"] = json!(1_u64 << 40);
    fs::write(&names, large.to_string())?;
    run(&mut scene.verify(&forgery.folder))?.expect_error(1, &["far more than an image of pause"])?;
    fs::write(&names, &index)?;
    fs::write(forgery.folder.join("oci-layout"), "{\"imageLayoutVersion\":\"2.0.0\"}")?;
    refused(&forgery.folder, &["no oci-layout of version 1.0.0"])?;

    // Where nothing was made yet, what makes it is named.
    let checkout = scene.path("checkout");
    fs::create_dir_all(checkout.join("src"))?;
    fs::write(checkout.join("src/main.rs"), "")?;
    fs::write(checkout.join("Cargo.toml"), "[package]\nname = \"x\"\n[workspace]\n")?;
    let mut verify: Command = scene.command(env!("CARGO_BIN_EXE_verify"));
    run(verify.current_dir(&checkout))?.expect_error(2, &["dist/pause.oci is not there; `cargo xtask image` makes it"])
}

fn equals_in_a_registry(scene: &Scene) -> Result<()> {
    let registry = Registry::start(scene, &Settings::default())?;
    let image = scene.image("whole");
    let digest = digest(&image)?;
    let repository = format!("{}/a/b/pause", registry.host);
    run(&mut scene.push(&image, &[&format!("{repository}:1")]))?.expect(&format!("{repository}:1@{digest}"))?;
    let line = format!("equal: {digest}");
    run(&mut scene.verify(format!("{repository}:1")))?.expect(&line)?;
    run(&mut scene.verify(format!("{repository}@{digest}")))?.expect(&line)?;
    run(&mut scene.verify(format!("{repository}:2")))?.expect_error(1, &[&format!("{repository}:2"), "nothing there"])
}

fn finds_what_changed_in_a_registry(scene: &Scene) -> Result<()> {
    let registry = Registry::start(scene, &Settings::default())?;
    let image = Forgery::of(&scene.image("few"), scene.path("kept"))?;
    let reference = format!("{}/pause:1", registry.host);
    let digest = digest(&image.folder)?;
    run(&mut scene.push(&image.folder, &[&reference]))?.expect(&format!("{reference}@{digest}"))?;
    for (kind, name) in KINDS {
        let path = image.path(kind)?;
        let hex = path.file_name().context("a name")?.to_string_lossy().into_owned();
        let kept = registry.path("data/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(&hex).join("data");
        let whole = fs::read(&kept)?;
        let mut changed = whole.clone();
        let at = whole.len() - 2;
        changed[at] ^= 1;
        fs::write(&kept, &changed)?;
        let said = run(&mut scene.verify(&reference))?;
        // A manifest that the registry finds broken itself it does not give at all.
        let kind_of = name.split(": sha256").next().unwrap_or_default();
        let found = said.status == Some(1)
            && (said.stdout.contains(name) || said.stderr.contains(kind_of) || kind == Kind::Index);
        ensure!(found && !said.stdout.contains("equal"), "{kind:?}: {:?} {}{}", said.status, said.stdout, said.stderr);
        fs::write(&kept, &whole)?;
    }
    run(&mut scene.verify(&reference))?.expect(&format!("equal: {digest}"))
}
