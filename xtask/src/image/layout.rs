//! The OCI image layout: layers, configurations, manifests and indexes, as files.

use super::Contents;
use crate::build::Binary;
use crate::digest::sha256;
use anyhow::{Context, Result};
use oci_spec::image::{
    ANNOTATION_BASE_IMAGE_NAME, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REF_NAME, ANNOTATION_TITLE,
    ANNOTATION_VERSION, Config, ConfigBuilder, Descriptor, HistoryBuilder, ImageConfiguration,
    ImageConfigurationBuilder, ImageIndex, ImageIndexBuilder, ImageManifest, ImageManifestBuilder, MediaType,
    OciLayoutBuilder, Platform, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;
use tar::EntryType;

/// The program's path in the image, from its root.
pub const PROGRAM: &str = "pause";

/// The binary's licences as an SPDX expression: this source's, which are also those of `core` and the crate
/// `linux-raw-sys`, and that of the crate `syscalls`.
pub const LICENSES: &str = concat!("(", env!("CARGO_PKG_LICENSE"), ") AND BSD-2-Clause");

/// Annotations of the index, unless `--annotation` changes them. On the index, they don't count against the budget of a
/// pull. The source's address and revision are not among them: the same sources must give the same bytes anywhere.
pub const ANNOTATIONS: [(&str, &str); 5] = [
    (ANNOTATION_TITLE, "pause"),
    (ANNOTATION_DESCRIPTION, "Holds a pod's namespaces open and reaps its orphans"),
    (ANNOTATION_VERSION, env!("CARGO_PKG_VERSION")),
    (ANNOTATION_LICENSES, LICENSES),
    (ANNOTATION_BASE_IMAGE_NAME, "scratch"),
];

/// An image for one platform.
pub struct Image {
    pub descriptor: Descriptor,
    pub manifest: ImageManifest,
}

/// An image in the OCI image layout.
pub struct Layout {
    /// Content of each file by path, in the archive's order.
    files: BTreeMap<String, Vec<u8>>,
    /// The digest that `index.json` names, in hexadecimal.
    digest: String,
    /// Docker's `manifest.json`, which names the same blobs.
    docker: Vec<u8>,
}

impl Layout {
    /// Returns the image of these binaries, and its parts by platform.
    pub fn of(binaries: &[Binary], contents: &Contents) -> Result<(Self, Vec<Image>)> {
        let mark = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        let files = BTreeMap::from([("oci-layout".into(), json(&mark)?)]);
        let mut layout = Self { files, digest: String::new(), docker: Vec::new() };
        let images = binaries.iter().map(|binary| layout.add_image(binary, contents)).collect::<Result<Vec<_>>>()?;
        layout.add_index(&images, contents)?;
        // Docker loads one platform: the first, so that the archive is the same on every machine.
        let manifest = &images.first().context("an image has a platform")?.manifest;
        let layers: Vec<_> = manifest.layers().iter().map(blob).collect();
        let tags = &contents.references;
        layout.docker = json(&json!([{ "Config": blob(manifest.config()), "RepoTags": tags, "Layers": layers }]))?;
        Ok((layout, images))
    }

    /// Adds a blob and describes it.
    fn add_blob(&mut self, media_type: MediaType, content: Vec<u8>) -> Result<Descriptor> {
        let digest = Sha256Digest::from_str(&sha256(&content))?;
        let descriptor = Descriptor::new(media_type, content.len() as u64, digest);
        self.files.insert(blob(&descriptor), content);
        Ok(descriptor)
    }

    /// Adds layer, config and manifest of a platform.
    fn add_image(&mut self, binary: &Binary, contents: &Contents) -> Result<Image> {
        let platform = platform(binary.platform.name)?;
        let layer = layer(&binary.content, &contents.links)?;
        let config = json(&configuration(&platform, &contents.user, &layer)?)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(self.add_blob(MediaType::ImageConfig, config)?)
            .layers([self.add_blob(MediaType::ImageLayerGzip, gzip(&layer)?)?])
            .build()?;
        let mut descriptor = self.add_blob(MediaType::ImageManifest, json(&manifest)?)?;
        descriptor.set_platform(Some(platform));
        Ok(Image { descriptor, manifest })
    }

    /// Adds `index.json`. It names the manifest of a single platform, because udocker and others don't follow an index
    /// of one, and otherwise an index of all platforms, because skopeo refuses to choose among several manifests.
    /// There is a descriptor for each name of the image, as containerd writes them.
    fn add_index(&mut self, images: &[Image], contents: &Contents) -> Result<()> {
        let annotations = ANNOTATIONS.map(|(key, value)| (key.into(), value.into())).into_iter();
        let annotations: HashMap<_, _> = annotations.chain(contents.annotations.iter().cloned()).collect();
        let mut platforms = index(images.iter().map(|image| image.descriptor.clone()))?;
        platforms.set_annotations(Some(annotations.clone()));
        let image = match images {
            [image] => image.descriptor.clone(),
            _ => self.add_blob(MediaType::ImageIndex, json(&platforms)?)?,
        };
        self.digest = image.digest().digest().into();
        let mut top = index(contents.references.iter().map(|reference| {
            let mut named = image.clone();
            named.set_annotations(Some(HashMap::from([(ANNOTATION_REF_NAME.into(), reference.clone())])));
            named
        }))?;
        if images.len() == 1 {
            top.set_annotations(Some(annotations));
        }
        self.files.insert("index.json".into(), json(&top)?);
        Ok(())
    }

    /// Returns an archive of all files, with Docker's `manifest.json`.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let mut files = self.files.clone();
        files.insert("manifest.json".into(), self.docker.clone());
        let mut archive = Archive::new();
        for (path, content) in &files {
            archive.add(EntryType::Regular, path, 0o644, content)?;
        }
        archive.finish()
    }

    /// The digest of the image in hexadecimal: of its index, or of a single platform's manifest.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns each file's path and content.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }
}

/// The path of a blob in the layout.
fn blob(descriptor: &Descriptor) -> String {
    format!("blobs/{}/{}", descriptor.digest().algorithm(), descriptor.digest().digest())
}

/// The parts of a platform's name: operating system, architecture and variant.
fn platform(name: &str) -> Result<Platform> {
    let mut parts = name.split('/');
    let (os, architecture) = parts.next().zip(parts.next()).context("a platform has a system and an architecture")?;
    let mut platform = PlatformBuilder::default().os(os).architecture(architecture).build()?;
    platform.set_variant(parts.next().map(String::from));
    Ok(platform)
}

/// The image's configuration. Buildah, skopeo and the crate oci-spec expect an entry in its history for each layer, and
/// Docker 25 panics if an entry has no time. A time for the image itself would make it older than anything else, so
/// that `docker image prune --filter until=1h` removes it.
fn configuration(platform: &Platform, user: &str, layer: &[u8]) -> Result<ImageConfiguration> {
    let config: Config = ConfigBuilder::default().user(user).entrypoint([format!("/{PROGRAM}")]).build()?;
    let rootfs = RootFsBuilder::default().diff_ids([format!("sha256:{}", sha256(layer))]).build()?;
    let mut configuration = ImageConfigurationBuilder::default()
        .os(platform.os().clone())
        .architecture(platform.architecture().clone())
        .config(config)
        .rootfs(rootfs)
        .history([HistoryBuilder::default().created("1970-01-01T00:00:00Z").build()?])
        .build()?;
    configuration.set_variant(platform.variant().clone());
    Ok(configuration)
}

/// The file system: its root, and one file at one path or more. Without an entry for the root, mkfs.erofs makes one that
/// any user can write to.
fn layer(program: &[u8], links: &[String]) -> Result<Vec<u8>> {
    let mut layer = Archive::new();
    layer.add(EntryType::Directory, "./", 0o755, &[])?;
    layer.add(EntryType::Regular, PROGRAM, 0o555, program)?;
    for link in links {
        layer.add(EntryType::Link, link, 0o555, &[])?;
    }
    layer.finish()
}

/// A tar archive in the making, of entries that belong to root, have no names of owners and are from 1970.
struct Archive {
    builder: tar::Builder<Vec<u8>>,
    directories: BTreeSet<String>,
}

impl Archive {
    fn new() -> Self {
        Self { builder: tar::Builder::new(Vec::new()), directories: BTreeSet::new() }
    }

    /// Adds an entry, after one for each directory above it. A link leads to the program.
    ///
    /// The entry's type is explicit. The crate's default is NUL, as before POSIX, which mkfs.erofs skips. A directory
    /// without an entry gets an owner that a user who isn't root can't set: skopeo then fails.
    fn add(&mut self, entry_type: EntryType, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        for (end, _) in path.trim_end_matches('/').match_indices('/') {
            let directory = &path[..=end];
            if self.directories.insert(directory.into()) {
                self.add(EntryType::Directory, directory, 0o755, &[])?;
            }
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(entry_type);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        if entry_type == EntryType::Link {
            header.set_link_name(PROGRAM)?;
        }
        Ok(self.builder.append_data(&mut header, path, content)?)
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.builder.into_inner()?)
    }
}

/// Compresses as well as gzip's format allows, without a name or a time.
fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, content, &mut compressed)?;
    Ok(compressed)
}

fn index(manifests: impl Iterator<Item = Descriptor>) -> Result<ImageIndex> {
    let builder = ImageIndexBuilder::default().schema_version(SCHEMA_VERSION).media_type(MediaType::ImageIndex);
    Ok(builder.manifests(manifests.collect::<Vec<_>>()).build()?)
}

/// Compact JSON with sorted keys: `oci_spec` keeps annotations in a hash map, which has another order each time.
fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Raw fields: the crate `tar` would take NUL for the type of a file.
    #[test]
    fn links_and_their_directories_are_entries() {
        let layer = layer(b"program", &["usr/bin/pod".into(), "usr/lib/pod".into()]).unwrap();
        let text = |field: &[u8]| String::from_utf8(field.split(|&byte| byte == 0).next().unwrap().into()).unwrap();
        let headers = layer.chunks(512).filter(|block| block[257..].starts_with(b"ustar\x0000"));
        let entries: Vec<_> = headers
            .map(|block| (block[156], text(&block[..100]), text(&block[100..108]), text(&block[157..257])))
            .collect();
        let entry = |kind, path: &str, mode: &str, target: &str| (kind, path.into(), mode.into(), target.into());
        let expected = [
            entry(b'5', "./", "0000755", ""),
            entry(b'0', "pause", "0000555", ""),
            entry(b'5', "usr/", "0000755", ""),
            entry(b'5', "usr/bin/", "0000755", ""),
            entry(b'1', "usr/bin/pod", "0000555", "pause"),
            entry(b'5', "usr/lib/", "0000755", ""),
            entry(b'1', "usr/lib/pod", "0000555", "pause"),
        ];
        assert_eq!(entries, expected);
    }
}
