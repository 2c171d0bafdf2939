//! What a real client makes of the archive: skopeo, which shares its reading with podman and CRI-O.

use crate::fact_of_image;
use crate::layout::{Layout, digest};
use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Trial};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

type Case = (&'static str, fn(&Path, &Layout) -> Result<()>);

const CASES: [Case; 3] = [
    ("skopeo reads the index of all platforms under each name", reads_the_index),
    ("skopeo finds the image of each platform", finds_each_platform),
    ("skopeo copies one platform's image from Docker's side of the archive", copies_from_docker),
];

pub fn trials(image: Option<&Path>) -> Vec<Trial> {
    let trial = |(sentence, check): Case| {
        fact_of_image(image, "pause.oci.tar", sentence, move |archive| {
            if !Command::new("skopeo").arg("--version").output().is_ok_and(|output| output.status.success()) {
                return Ok(Completion::ignored_with("skopeo is not installed"));
            }
            check(archive, &Layout::read(archive)?)?;
            Ok(Completion::Completed)
        })
    };
    CASES.into_iter().map(trial).collect()
}

/// Runs skopeo and returns what it prints.
fn skopeo<Word: AsRef<OsStr>>(words: impl IntoIterator<Item = Word>) -> Result<Vec<u8>> {
    let output = Command::new("timeout").args(["60", "skopeo"]).args(words).output()?;
    ensure!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(output.stdout)
}

fn reads_the_index(archive: &Path, layout: &Layout) -> Result<()> {
    for name in layout.names()? {
        let source = format!("oci-archive:{}:{name}", archive.display());
        ensure!(skopeo(["inspect", "--raw", &source])? == layout.index()?, "{source} is something else");
    }
    Ok(())
}

fn finds_each_platform(archive: &Path, layout: &Layout) -> Result<()> {
    let names = layout.names()?;
    // Who has one name need not say it.
    let name = if names.len() == 1 { String::new() } else { format!(":{}", names[0]) };
    let source = format!("oci-archive:{}{name}", archive.display());
    for image in layout.images()? {
        let platform = image.platform()?;
        let mut parts = platform.split('/');
        let mut words = vec!["inspect".to_owned(), "--config".into(), "--raw".into()];
        for option in ["--override-os", "--override-arch", "--override-variant"] {
            words.extend(parts.next().into_iter().flat_map(|part| [option.into(), part.into()]));
        }
        words.push(source.clone());
        let config: Value = serde_json::from_slice(&skopeo(words)?)?;
        ensure!(config == image.config, "{platform}: {config}");
    }
    Ok(())
}

fn copies_from_docker(archive: &Path, layout: &Layout) -> Result<()> {
    let copy = tempfile::tempdir()?;
    let source = format!("docker-archive:{}", archive.display());
    skopeo(["copy", "--insecure-policy", &source, &format!("dir:{}", copy.path().display())])?;
    let manifest: Value = serde_json::from_slice(&fs::read(copy.path().join("manifest.json"))?)?;
    let copied = |descriptor: &Value| -> Result<Vec<u8>> {
        let name = descriptor["digest"].as_str().context("a digest is a string")?.replace("sha256:", "");
        Ok(fs::read(copy.path().join(name))?)
    };
    let config: Value = serde_json::from_slice(&copied(&manifest["config"])?)?;
    ensure!(layout.images()?.iter().any(|image| image.config == config), "the index has no such image: {config}");
    // skopeo unpacks a layer that it reads from Docker's side.
    let layer = digest(&copied(&manifest["layers"][0])?);
    ensure!(config["rootfs"]["diff_ids"][0] == layer, "the layer is {layer}");
    Ok(())
}
