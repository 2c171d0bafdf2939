//! Checks the content of a release that release.sh has made.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use xtask::digest::sha256;
use xtask::image::{LICENSES, air_gap_archive};
use xtask::platform::PLATFORMS;
use xtask::release::{Files, NOTICE, PROVENANCE, SBOM, SUMS, VERSION, VEX, source};
use xtask::sources;

pub fn check(directory: &Path) -> Result<()> {
    let read = |path: PathBuf| Ok((path.display().to_string(), std::fs::read(directory.join(path))?));
    let release: Files = sources::list(directory)?.into_iter().map(read).collect::<Result<_>>()?;
    check_files(&release)?;
    check_sbom(&release)?;
    check_provenance(&release)?;
    check_vex(&release)?;
    check_referrers(&release)
}

fn file<'a>(release: &'a Files, name: &str) -> Result<&'a [u8]> {
    Ok(release.get(name).with_context(|| format!("{name} is missing"))?)
}

fn json(release: &Files, name: &str) -> Result<Value> {
    Ok(serde_json::from_slice(file(release, name)?)?)
}

fn blob<'a>(release: &'a Files, descriptor: &Value) -> Result<&'a [u8]> {
    let content = file(release, &format!("pause.oci/blobs/sha256/{}", digest(descriptor)?))?;
    ensure!(sha256(content) == digest(descriptor)? && descriptor["size"] == content.len(), "{descriptor}");
    Ok(content)
}

fn digest(descriptor: &Value) -> Result<&str> {
    descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).context("a digest")
}

/// The descriptors of the image's index and of its referrers.
fn descriptors(release: &Files) -> Result<(Value, Vec<Value>)> {
    let list = json(release, "pause.oci/index.json")?;
    let (index, referrers) = array(&list["manifests"])?.split_first().context("an index")?;
    Ok((index.clone(), referrers.to_vec()))
}

fn array(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("{value} is not an array"))
}

fn check_files(release: &Files) -> Result<()> {
    for name in [SBOM, PROVENANCE, VEX, SUMS, NOTICE, source::ARCHIVE, "pause.oci.tar", "pause.oci/oci-layout"] {
        file(release, name)?;
    }
    for platform in PLATFORMS {
        file(release, &format!("pause-{}", platform.file_name()))?;
        file(release, air_gap_archive(platform).strip_prefix("air-gap/").context("a directory")?)?;
    }
    let index: Value = serde_json::from_slice(blob(release, &descriptors(release)?.0)?)?;
    ensure!(index["annotations"]["org.opencontainers.image.version"] == VERSION, "{index}");
    Ok(())
}

fn check_sbom(release: &Files) -> Result<()> {
    let sbom = json(release, SBOM)?;
    ensure!(sbom["bomFormat"] == "CycloneDX" && sbom["specVersion"] == "1.6", "{sbom}");
    let program = &sbom["metadata"]["component"];
    let binaries = array(&program["components"])?;
    ensure!(program["version"] == VERSION && binaries.len() == PLATFORMS.len(), "{program}");
    for binary in binaries {
        let content = file(release, binary["name"].as_str().context("a name")?)?;
        ensure!(binary["hashes"][0]["content"] == sha256(content), "{binary}");
        let compiler = binary["properties"][1]["value"].as_str();
        ensure!(compiler.is_some_and(|compiler| compiler.contains(" rustc 1.")), "{binary}");
    }
    let components = array(&sbom["components"])?;
    let names: BTreeSet<_> = components.iter().filter_map(|component| component["name"].as_str()).collect();
    ensure!(names == BTreeSet::from(["core", "linux-raw-sys", "syscalls"]), "{names:?}");
    for component in components {
        let license = component["licenses"][0]["expression"].as_str().context("a licence")?;
        let is_granted = license.split(" OR ").any(|alternative| LICENSES.contains(alternative));
        ensure!(is_granted, "the image's licences are {LICENSES}, but {component}");
        let is_crate = component["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"));
        ensure!(is_crate == component["hashes"][0]["content"].is_string(), "{component}");
    }
    ensure!(array(&sbom["dependencies"][0]["dependsOn"])?.len() == components.len(), "{}", sbom["dependencies"]);
    Ok(())
}

fn check_provenance(release: &Files) -> Result<()> {
    let statement = json(release, PROVENANCE)?;
    ensure!(statement["_type"] == "https://in-toto.io/Statement/v1", "{statement}");
    ensure!(statement["predicateType"] == "https://slsa.dev/provenance/v1", "{statement}");
    let index = descriptors(release)?.0;
    let image = format!("localhost/pause:{VERSION}");
    let subjects = array(&statement["subject"])?;
    for subject in subjects {
        let name = subject["name"].as_str().context("a name")?;
        let digest = if name == image { digest(&index)?.into() } else { sha256(file(release, name)?) };
        ensure!(subject["digest"]["sha256"] == digest, "{subject}");
    }
    // The image and every file but the provenance itself and the sums.
    let files = release.keys().filter(|name| !name.contains('/')).count();
    ensure!(subjects.len() == 1 + files - 2, "{subjects:?}");
    let dependencies = array(&statement["predicate"]["buildDefinition"]["resolvedDependencies"])?;
    let uris: Vec<_> = dependencies.iter().filter_map(|dependency| dependency["uri"].as_str()).collect();
    ensure!(uris[0] == format!("git+https://git.example/pause.git@refs/tags/v{VERSION}"), "{}", uris[0]);
    ensure!(dependencies[0]["digest"]["gitCommit"].as_str().map(str::len) == Some(40), "{}", dependencies[0]);
    let has = |name: &str| uris.iter().any(|uri| uri.starts_with(&format!("pkg:cargo/{name}")));
    for used in ["syscalls@", "linux-raw-sys@", "zopfli@"] {
        ensure!(has(used), "{used} is missing");
    }
    for unused in ["windows", "objc", "wasm", "libtest-mimic"] {
        ensure!(!has(unused), "{unused} is not part of the build");
    }
    let is_debian = |dependency: &&Value| dependency["name"].as_str().is_some_and(|name| name.starts_with("Debian's"));
    for dependency in dependencies.iter().filter(is_debian) {
        let packages = array(&dependency["annotations"]["packages"])?.iter().filter_map(Value::as_str);
        // Each with a version.
        let names = packages.filter_map(|package| Some(package.split_once(' ')?.0));
        ensure!(names.eq(["lld-22", "rust-web-src", "rustc-web"]), "{dependency}");
    }
    Ok(())
}

fn check_vex(release: &Files) -> Result<()> {
    let (vex, sbom, index) = (json(release, VEX)?, json(release, SBOM)?, descriptors(release)?.0);
    ensure!(vex["@id"].is_string() && vex["timestamp"] == "2030-12-31T00:00:00Z", "{vex}");
    for statement in array(&vex["statements"])? {
        let [product] = &array(&statement["products"])?[..] else { bail!("{statement}") };
        ensure!(product["hashes"]["sha-256"] == digest(&index)?, "{product}");
        ensure!(product["@id"] == sbom["metadata"]["component"]["purl"], "{product}");
    }
    Ok(())
}

fn check_referrers(release: &Files) -> Result<()> {
    let (index, referrers) = descriptors(release)?;
    ensure!(referrers.len() == 4, "{referrers:?}");
    let archive = file(release, "pause.oci.tar")?;
    for (descriptor, name) in referrers.iter().zip([SBOM, PROVENANCE, VEX, NOTICE]) {
        ensure!(descriptor["annotations"].is_null() && descriptor["artifactType"].is_string(), "{descriptor}");
        let manifest: Value = serde_json::from_slice(blob(release, descriptor)?)?;
        ensure!(manifest["artifactType"] == descriptor["artifactType"], "{manifest}");
        ensure!(manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json", "{manifest}");
        ensure!(blob(release, &manifest["config"])? == b"{}", "{manifest}");
        let is_of = ["digest", "size"].iter().all(|field| manifest["subject"][field] == index[field]);
        ensure!(is_of && array(&manifest["layers"])?.len() == 1, "{manifest}");
        ensure!(blob(release, &manifest["layers"][0])? == file(release, name)?, "{name} is another one");
        // Hosts load the archive, which has the image alone.
        let digest = digest(descriptor)?.as_bytes();
        ensure!(!archive.windows(digest.len()).any(|window| window == digest), "the archive has {name}");
    }
    Ok(())
}
