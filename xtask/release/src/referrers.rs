//! What belongs to the image without being a part of it: OCI 1.1 referrers of its index, in the image's folder.
//!
//! `index.json` lists each, by its type and without a name. A host that pulls the image asks for none of them. The
//! archive, which hosts load, has none: skopeo and podman take one with more than one image only by name.

use crate::json;
use anyhow::{Context, Result};
use oci_spec::image::{
    ANNOTATION_TITLE, Descriptor, ImageIndex, ImageManifestBuilder, MediaType, SCHEMA_VERSION, Sha256Digest,
};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use xtask::digest::sha256;

/// What says that there is nothing to configure, as OCI 1.1 wants it of an artifact.
const NO_CONFIGURATION: &[u8] = b"{}";

/// The image's index, as the folder's `index.json` describes it.
///
/// # Errors
/// Where there is none.
pub fn index(layout: &Path) -> Result<Descriptor> {
    let list = ImageIndex::from_file(layout.join("index.json"))?;
    let first = list.manifests().first().context("index.json describes the image")?;
    Ok(Descriptor::new(first.media_type().clone(), first.size(), first.digest().clone()))
}

/// Adds files as referrers of the image's index: the name of each, its media type, and what it holds.
///
/// # Errors
/// Where the layout can't be written.
pub fn attach(layout: &Path, index: &Descriptor, files: &[(&str, &str, Vec<u8>)]) -> Result<()> {
    let path = layout.join("index.json");
    let mut list = ImageIndex::from_file(&path)?;
    let mut descriptors = list.manifests().clone();
    for (name, media_type, content) in files {
        let media_type = MediaType::Other(media_type.to_string());
        let mut file = add_blob(layout, media_type.clone(), content)?;
        // What `oras pull` calls the file.
        file.set_annotations(Some(HashMap::from([(ANNOTATION_TITLE.into(), name.to_string())])));
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .artifact_type(media_type.clone())
            .config(add_blob(layout, MediaType::EmptyJSON, NO_CONFIGURATION)?)
            .layers([file])
            .subject(index.clone())
            .build()?;
        let mut descriptor = add_blob(layout, MediaType::ImageManifest, &json::sorted(&manifest)?)?;
        descriptor.set_artifact_type(Some(media_type));
        descriptors.push(descriptor);
    }
    list.set_manifests(descriptors);
    fs::write(&path, json::sorted(&list)?).with_context(|| format!("can't write {}", path.display()))
}

/// Writes a blob and describes it.
fn add_blob(layout: &Path, media_type: MediaType, content: &[u8]) -> Result<Descriptor> {
    let digest = sha256(content);
    let path = layout.join("blobs/sha256").join(&digest);
    fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))?;
    Ok(Descriptor::new(media_type, content.len() as u64, Sha256Digest::from_str(&digest)?))
}
