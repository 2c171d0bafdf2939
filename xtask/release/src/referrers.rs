//! OCI 1.1 referrers of the image's index.
//!
//! `index.json` lists each with its type and without a name. A host that pulls the image asks for none of them. The
//! archive has none: skopeo and podman take one with more than one image only by name.

use crate::{Files, json};
use anyhow::Result;
use oci_spec::image::{
    ANNOTATION_TITLE, Descriptor, ImageIndex, ImageManifestBuilder, MediaType, SCHEMA_VERSION, Sha256Digest,
};
use std::collections::HashMap;
use std::str::FromStr;
use xtask::digest::sha256;

const LIST: &str = "index.json";

/// The configuration of an artifact, which has none.
const EMPTY: &[u8] = b"{}";

/// Adds a file as a referrer to the layout of an image.
pub fn attach(layout: &mut Files, index: &Descriptor, name: &str, media_type: &str, content: &[u8]) -> Result<()> {
    let media_type = MediaType::Other(media_type.into());
    let mut file = add_blob(layout, media_type.clone(), content)?;
    // The name that `oras pull` gives the file.
    file.set_annotations(Some(HashMap::from([(ANNOTATION_TITLE.into(), name.into())])));
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .artifact_type(media_type.clone())
        .config(add_blob(layout, MediaType::EmptyJSON, EMPTY)?)
        .layers([file])
        .subject(index.clone())
        .build()?;
    let mut descriptor = add_blob(layout, MediaType::ImageManifest, &json(&manifest)?)?;
    descriptor.set_artifact_type(Some(media_type));
    let mut list = ImageIndex::from_reader(layout[LIST].as_slice())?;
    let descriptors = list.manifests().iter().cloned().chain([descriptor]).collect();
    list.set_manifests(descriptors);
    layout.insert(LIST.into(), json(&list)?);
    Ok(())
}

fn add_blob(layout: &mut Files, media_type: MediaType, content: &[u8]) -> Result<Descriptor> {
    let digest = sha256(content);
    layout.insert(format!("blobs/sha256/{digest}"), content.into());
    Ok(Descriptor::new(media_type, content.len() as u64, Sha256Digest::from_str(&digest)?))
}
