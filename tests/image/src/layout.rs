//! Facts of the image, read from its folder and from its archive: all that a client relies on, and nothing beyond.

use crate::fact_of_image;
use anyhow::{Context, Result, ensure};
use contract::PULL_BUDGET;
use flate2::read::GzDecoder;
use libtest_mimic::{Completion, Trial};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use xtask::digest::sha256;
use xtask::image::LICENSES;
use xtask::test::Program;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const NAME: &str = "org.opencontainers.image.ref.name";

type Case = (&'static str, fn(&Layout, &[Program]) -> Result<()>);

/// The cases about the folder and about the archive.
const CASES: [Case; 13] = [
    ("the image is marked as an OCI layout", is_marked),
    ("index.json names one image index, with a full reference for each name", names_one_index),
    ("every digest and every size is right", has_right_descriptors),
    ("no file is there that nothing refers to", has_no_other_files),
    ("the index has an image for every platform under test", has_every_platform),
    ("the index says title, version and licences, and the images pay for none of it", has_annotations),
    ("the index and the config agree on system, architecture and variant, which 32-bit Arm has", agrees_on_platforms),
    ("the config starts /pause as user 65535:65535, has one entry of history and nothing else", starts_pause),
    ("the config's diff_id is the digest of the layer's uncompressed archive", has_right_diff_ids),
    ("the layer holds its root, 0755, and pause, 0555, both of 0:0 without names, at time 0", holds_one_file),
    ("the layer's file is the program under test", holds_the_program),
    ("the layer's compression records neither a name nor a time", compresses_without_traces),
    ("manifest, config and layer are within the budget of a pull, on every platform", is_within_budget),
];

/// The cases about the archive only.
const CASES_OF_ARCHIVE: [Case; 3] = [
    ("the archive holds what the folder holds, and Docker's manifest.json", is_the_folder),
    ("the archive's entries are sorted, root's without names, and at time 0, folders too", has_plain_entries),
    ("Docker's manifest.json names one platform's config and layer, and the index's names", suits_docker),
];

/// An OCI image layout, in a folder or in an archive.
pub struct Layout {
    path: PathBuf,
    /// What each file holds, by path.
    files: BTreeMap<String, Vec<u8>>,
}

/// One platform's image.
pub struct Image {
    /// What the index says of it.
    pub descriptor: Value,
    pub manifest: Value,
    pub config: Value,
    /// As it is, compressed.
    pub layer: Vec<u8>,
}

pub fn trials(image: Option<&Path>, programs: &[Program]) -> Vec<Trial> {
    let trial = |name, (sentence, check): Case| {
        let programs = programs.to_vec();
        fact_of_image(image, name, sentence, move |path| {
            check(&Layout::read(path)?, &programs)?;
            Ok(Completion::Completed)
        })
    };
    let of_folder = CASES.map(|case| trial("pause.oci", case));
    let of_archive = CASES.into_iter().chain(CASES_OF_ARCHIVE).map(|case| trial("pause.oci.tar", case));
    of_folder.into_iter().chain(of_archive).collect()
}

impl Layout {
    pub fn read(path: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        if path.is_dir() {
            read_folder(path, path, &mut files)?;
        } else {
            let file = File::open(path).with_context(|| format!("can't open {}", path.display()))?;
            for entry in tar::Archive::new(file).entries()? {
                let mut entry = entry?;
                if entry.header().entry_type().is_dir() {
                    continue;
                }
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                files.insert(String::from_utf8(entry.path_bytes().into_owned())?, content);
            }
        }
        Ok(Self { path: path.into(), files })
    }

    fn file(&self, path: &str) -> Result<&[u8]> {
        Ok(self.files.get(path).with_context(|| format!("{path} is missing"))?)
    }

    fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(self.file(path)?).with_context(|| format!("{path} is not JSON"))
    }

    /// The path of what a descriptor describes.
    fn path_of(descriptor: &Value) -> Result<String> {
        Ok(format!("blobs/{}", text(&descriptor["digest"])?.replace(':', "/")))
    }

    /// What a descriptor describes.
    pub fn blob(&self, descriptor: &Value) -> Result<&[u8]> {
        self.file(&Self::path_of(descriptor)?)
    }

    fn json_blob(&self, descriptor: &Value) -> Result<Value> {
        self.json(&Self::path_of(descriptor)?)
    }

    /// The descriptors of `index.json`.
    fn named(&self) -> Result<Vec<Value>> {
        Ok(list(&self.json("index.json")?["manifests"])?.clone())
    }

    /// The names of the image.
    pub fn names(&self) -> Result<Vec<String>> {
        self.named()?.iter().map(|descriptor| Ok(text(&descriptor["annotations"][NAME])?.into())).collect()
    }

    /// The index of the platforms, as it is.
    pub fn index(&self) -> Result<Vec<u8>> {
        Ok(self.blob(self.named()?.first().context("index.json is empty")?)?.into())
    }

    pub fn images(&self) -> Result<Vec<Image>> {
        let index: Value = serde_json::from_slice(&self.index()?)?;
        let read = |descriptor: &Value| {
            let manifest = self.json_blob(descriptor)?;
            let layers = list(&manifest["layers"])?;
            ensure!(layers.len() == 1, "{} has {} layers", platform(&descriptor["platform"])?, layers.len());
            let (config, layer) = (self.json_blob(&manifest["config"])?, self.blob(&layers[0])?.to_vec());
            Ok(Image { descriptor: descriptor.clone(), manifest, config, layer })
        };
        let images: Vec<_> = list(&index["manifests"])?.iter().map(read).collect::<Result<_>>()?;
        ensure!(!images.is_empty(), "the index is empty");
        Ok(images)
    }
}

impl Image {
    /// The platform's name, as the index says it.
    pub fn platform(&self) -> Result<String> {
        platform(&self.descriptor["platform"])
    }

    fn archive(&self) -> Result<Vec<u8>> {
        let mut archive = Vec::new();
        GzDecoder::new(self.layer.as_slice()).read_to_end(&mut archive)?;
        Ok(archive)
    }
}

/// Reads all files under a folder.
fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("can't read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read_folder(root, &path, files)?;
        } else {
            files.insert(path.strip_prefix(root)?.display().to_string(), fs::read(&path)?);
        }
    }
    Ok(())
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is not a string"))
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("{value} is not a list"))
}

/// The name of the platform that a descriptor or a config speaks of.
fn platform(value: &Value) -> Result<String> {
    let mut name = format!("{}/{}", text(&value["os"])?, text(&value["architecture"])?);
    if !value["variant"].is_null() {
        name = format!("{name}/{}", text(&value["variant"])?);
    }
    Ok(name)
}

/// The digest of some bytes, as descriptors write it.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn is_marked(layout: &Layout, _: &[Program]) -> Result<()> {
    let mark = layout.json("oci-layout")?;
    ensure!(mark == json!({ "imageLayoutVersion": "1.0.0" }), "oci-layout holds {mark}");
    Ok(())
}

fn names_one_index(layout: &Layout, _: &[Program]) -> Result<()> {
    let index = layout.json("index.json")?;
    ensure!(index["schemaVersion"] == 2 && index["mediaType"] == INDEX, "index.json is {index}");
    let named = layout.named()?;
    let digests: BTreeSet<_> = named.iter().map(|descriptor| descriptor["digest"].to_string()).collect();
    ensure!(digests.len() == 1, "index.json names {} images", digests.len());
    ensure!(named.iter().all(|descriptor| descriptor["mediaType"] == INDEX), "index.json names no image index");
    let names = layout.names()?;
    ensure!(names.iter().collect::<BTreeSet<_>>().len() == names.len(), "a name is there twice: {names:?}");
    for name in names {
        let full = name.split_once('/').is_some_and(|(registry, rest)| !registry.is_empty() && rest.contains(':'));
        ensure!(full, "{name} is not a full reference");
    }
    Ok(())
}

/// Everything that is described, with the media type that belongs there.
fn descriptors(layout: &Layout) -> Result<Vec<(&'static str, Value)>> {
    let mut all: Vec<_> = layout.named()?.into_iter().map(|descriptor| (INDEX, descriptor)).collect();
    for image in layout.images()? {
        all.push((MANIFEST, image.descriptor));
        all.push((CONFIG, image.manifest["config"].clone()));
        all.extend(list(&image.manifest["layers"])?.iter().map(|layer| (LAYER, layer.clone())));
    }
    Ok(all)
}

fn has_right_descriptors(layout: &Layout, _: &[Program]) -> Result<()> {
    for (media_type, descriptor) in descriptors(layout)? {
        let blob = layout.blob(&descriptor)?;
        ensure!(descriptor["digest"] == digest(blob), "{descriptor} is {}", digest(blob));
        ensure!(descriptor["size"] == blob.len(), "{descriptor} has {} bytes", blob.len());
        ensure!(descriptor["mediaType"] == media_type, "{descriptor} should be of type {media_type}");
    }
    Ok(())
}

fn has_no_other_files(layout: &Layout, _: &[Program]) -> Result<()> {
    let mut known = BTreeSet::from(["oci-layout".into(), "index.json".into(), "manifest.json".into()]);
    for (_, descriptor) in descriptors(layout)? {
        known.insert(Layout::path_of(&descriptor)?);
    }
    let unknown: Vec<_> = layout.files.keys().filter(|path| !known.contains(*path)).collect();
    ensure!(unknown.is_empty(), "{unknown:?}");
    Ok(())
}

fn has_every_platform(layout: &Layout, programs: &[Program]) -> Result<()> {
    let platforms: Vec<_> = layout.images()?.iter().map(Image::platform).collect::<Result<_>>()?;
    for program in programs {
        ensure!(platforms.contains(&program.name), "{} is not among {platforms:?}", program.name);
    }
    ensure!(platforms.iter().collect::<BTreeSet<_>>().len() == platforms.len(), "one is there twice: {platforms:?}");
    Ok(())
}

fn has_annotations(layout: &Layout, _: &[Program]) -> Result<()> {
    let index: Value = serde_json::from_slice(&layout.index()?)?;
    let said = &index["annotations"];
    ensure!(said["org.opencontainers.image.title"] == "pause", "{said}");
    ensure!(said["org.opencontainers.image.version"] == env!("CARGO_PKG_VERSION"), "{said}");
    ensure!(said["org.opencontainers.image.licenses"] == LICENSES, "{said}");
    for Image { manifest, .. } in layout.images()? {
        let keys: Vec<_> = manifest.as_object().context("a manifest is an object")?.keys().collect();
        ensure!(keys == ["config", "layers", "mediaType", "schemaVersion"], "a manifest has {keys:?}");
    }
    Ok(())
}

fn agrees_on_platforms(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let (index, config) = (image.platform()?, platform(&image.config)?);
        ensure!(index == config, "the index says {index}, the config {config}");
        let is_arm32 = image.config["architecture"] == "arm";
        ensure!(image.config["variant"].is_string() == is_arm32, "{index} has a variant or lacks one");
    }
    Ok(())
}

fn starts_pause(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let (platform, mut config) = (image.platform()?, image.config);
        // Other cases are about these.
        for key in ["os", "architecture", "variant", "rootfs"] {
            config.as_object_mut().context("a config is an object")?.remove(key);
        }
        let expected = json!({
            "config": { "Entrypoint": ["/pause"], "User": "65535:65535" },
            "history": [{ "created": "1970-01-01T00:00:00Z" }],
        });
        ensure!(config == expected, "{platform}: {config}");
    }
    Ok(())
}

fn has_right_diff_ids(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let (platform, rootfs) = (image.platform()?, &image.config["rootfs"]);
        let expected = json!({ "type": "layers", "diff_ids": [digest(&image.archive()?)] });
        ensure!(*rootfs == expected, "{platform}: {rootfs} instead of {expected}");
    }
    Ok(())
}

fn holds_one_file(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let platform = image.platform()?;
        let archive = image.archive()?;
        let mut found = Vec::new();
        for entry in tar::Archive::new(archive.as_slice()).entries()? {
            let entry = entry?;
            let header = entry.header();
            ensure!(is_plain(header)?, "{platform}: {header:?}");
            // The type as it is: the crate takes NUL for a file, mkfs.erofs doesn't.
            let path = String::from_utf8(entry.path_bytes().into_owned())?;
            found.push((char::from(header.as_old().linkflag[0]), header.mode()?, path));
        }
        let expected = [('5', 0o755, "./".into()), ('0', 0o555, "pause".into())];
        ensure!(found == expected, "{platform}: the entries are {found:?}");
    }
    Ok(())
}

/// Whether a file in an archive belongs to root and to no time.
fn is_plain(header: &tar::Header) -> Result<bool> {
    let has_names =
        [header.username_bytes(), header.groupname_bytes()].into_iter().flatten().any(|name| !name.is_empty());
    Ok(header.uid()? == 0 && header.gid()? == 0 && header.mtime()? == 0 && !has_names)
}

fn holds_the_program(layout: &Layout, programs: &[Program]) -> Result<()> {
    let images = layout.images()?;
    for program in programs {
        let image = images.iter().find(|image| image.platform().is_ok_and(|name| name == program.name));
        let archive = image.with_context(|| format!("there is no image for {}", program.name))?.archive()?;
        let mut entries = tar::Archive::new(archive.as_slice());
        let mut content = Vec::new();
        entries.entries()?.nth(1).context("the layer has no file")??.read_to_end(&mut content)?;
        ensure!(content == fs::read(&program.file)?, "{}: the layer holds another file", program.name);
    }
    Ok(())
}

fn compresses_without_traces(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let decoder = GzDecoder::new(image.layer.as_slice());
        let header = decoder.header().context("the layer is not compressed with gzip")?;
        let plain = header.mtime() == 0 && header.filename().is_none() && header.comment().is_none();
        ensure!(plain && header.extra().is_none(), "{}: {header:?}", image.platform()?);
    }
    Ok(())
}

fn is_within_budget(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let parts =
            [&image.descriptor["size"], &image.manifest["config"]["size"], &image.manifest["layers"][0]["size"]];
        let sizes: Option<Vec<_>> = parts.iter().map(|size| size.as_u64()).collect();
        let sum: u64 = sizes.context("a size is a number")?.iter().sum();
        ensure!(sum <= PULL_BUDGET, "{} is {sum} bytes, over {PULL_BUDGET}", image.platform()?);
    }
    Ok(())
}

fn is_the_folder(archive: &Layout, _: &[Program]) -> Result<()> {
    let folder = Layout::read(&archive.path.with_extension(""))?;
    let mut files = archive.files.clone();
    files.remove("manifest.json").context("manifest.json is missing")?;
    ensure!(files.keys().eq(folder.files.keys()), "the folder holds {:?}", folder.files.keys());
    ensure!(files == folder.files, "the files are the same, but not what they hold");
    Ok(())
}

fn has_plain_entries(archive: &Layout, _: &[Program]) -> Result<()> {
    let mut paths = Vec::new();
    for entry in tar::Archive::new(File::open(&archive.path)?).entries()? {
        let entry = entry?;
        let kind = entry.header().as_old().linkflag[0];
        ensure!(matches!(kind, b'0' | b'5') && is_plain(entry.header())?, "{:?}", entry.header());
        paths.push(String::from_utf8(entry.path_bytes().into_owned())?);
    }
    ensure!(paths.is_sorted(), "the entries are not sorted");
    // A user who is not root can't unpack a folder that has no entry: skopeo gives it to root.
    for (path, end) in paths.iter().flat_map(|path| path.match_indices('/').map(move |(end, _)| (path, end))) {
        let folder = &path[..=end];
        ensure!(paths.iter().any(|path| path == folder), "there is no entry for {folder}");
    }
    Ok(())
}

fn suits_docker(archive: &Layout, _: &[Program]) -> Result<()> {
    let manifest = archive.json("manifest.json")?;
    let entries = list(&manifest)?;
    ensure!(entries.len() == 1, "manifest.json has {} entries", entries.len());
    for image in archive.images()? {
        let expected = json!({
            "Config": Layout::path_of(&image.manifest["config"])?,
            "Layers": [Layout::path_of(&image.manifest["layers"][0])?],
            "RepoTags": archive.names()?,
        });
        if entries[0] == expected {
            return Ok(());
        }
    }
    anyhow::bail!("no image of the index is what manifest.json describes: {manifest}")
}
