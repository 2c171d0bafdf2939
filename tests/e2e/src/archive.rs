//! Small images in the format of `docker save`, which every host loads too.

use anyhow::{Context, Result};
use mutants::{Caught, Mutant};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tar::{Builder, EntryType, Header};
use xtask::digest::sha256;
use xtask::platform;

/// Writes an image of executable files: each with its path in the image and where it comes from. `config` is
/// how a container of it starts.
///
/// # Errors
/// Where a file can't be read, or the archive not be written.
pub fn write(archive: &Path, reference: &str, config: &Value, files: &[(&str, &Path)]) -> Result<()> {
    let mut layer = Builder::new(Vec::new());
    for (path, source) in files {
        append(&mut layer, path, &fs::read(source)?)?;
    }
    let layer = layer.into_inner()?;
    let mut platform = platform::native()?.name.split('/');
    let config = serde_json::to_vec(&json!({
        "os": platform.next(),
        "architecture": platform.next(),
        "variant": platform.next(),
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    }))?;
    let name = format!("{}.json", sha256(&config));
    let manifest = json!([{ "Config": name, "RepoTags": [reference], "Layers": ["layer.tar"] }]);

    let mut image = Builder::new(fs::File::create(archive)?);
    append(&mut image, "manifest.json", &serde_json::to_vec(&manifest)?)?;
    append(&mut image, &name, &config)?;
    append(&mut image, "layer.tar", &layer)?;
    image.finish()?;
    Ok(())
}

/// Adds an executable file of root's.
fn append(archive: &mut Builder<impl std::io::Write>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    Ok(archive.append_data(&mut header, path, content)?)
}

/// The program as it is, in an image as small as the formats allow. Many readers trip over it.
pub static BARE: Mutant = Mutant { name: "bare image", file: "", edits: &[], caught: Caught::ByCase("") };

/// Contents by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Makes a bare image: its layer's one entry has no type, there is no entry for the root directory, no history, and
/// `index.json` names another index. Returns the archive, which Docker loads too, and the OCI layout.
pub fn bare(reference: &str, program: &[u8]) -> Result<(Vec<u8>, Files)> {
    const OCI: &str = "application/vnd.oci.image";
    let mut layer = Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o555);
    layer.append_data(&mut header, "pause", program)?;
    let layer = layer.into_inner()?;
    let (os, architecture) = platform::native()?.name.split_once('/').context("a platform has two parts")?;
    let config = json!({
        "os": os,
        "architecture": architecture,
        "config": { "Entrypoint": ["/pause"], "User": "65535:65535" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    });

    let mut files = Files::from([("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())]);
    let mut add = |kind: &str, content: Vec<u8>| {
        let (digest, size) = (sha256(&content), content.len());
        files.insert(format!("blobs/sha256/{digest}"), content);
        json!({ "mediaType": format!("{OCI}.{kind}"), "digest": format!("sha256:{digest}"), "size": size })
    };
    let (config, layer) = (add("config.v1+json", serde_json::to_vec(&config)?), add("layer.v1.tar", layer));
    let manifest = json!({ "schemaVersion": 2, "mediaType": format!("{OCI}.manifest.v1+json"), "config": config, "layers": [layer] });
    let mut manifest = add("manifest.v1+json", serde_json::to_vec(&manifest)?);
    manifest["platform"] = json!({ "os": os, "architecture": architecture });
    let index = json!({ "schemaVersion": 2, "mediaType": format!("{OCI}.index.v1+json"), "manifests": [manifest] });
    let mut index = add("index.v1+json", serde_json::to_vec(&index)?);
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": reference });
    let path = |blob: &Value| format!("blobs/{}", blob["digest"].as_str().unwrap_or_default().replace(':', "/"));
    let docker = json!([{ "Config": path(&config), "RepoTags": [reference], "Layers": [path(&layer)] }]);
    files.insert("index.json".into(), serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": [index] }))?);
    let mut archive = Builder::new(Vec::new());
    files.iter().try_for_each(|(path, content)| append(&mut archive, path, content))?;
    append(&mut archive, "manifest.json", &serde_json::to_vec(&docker)?)?;
    Ok((archive.into_inner()?, files))
}
