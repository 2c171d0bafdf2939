//! An image as it is found: in a layout folder, in an archive, or in a registry. Nothing of it is believed.

use anyhow::{Context, Result, bail, ensure};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, Digest, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Sha256Digest,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use xtask::command::Misuse;
use xtask::digest::sha256;

/// The most that is read of a blob, an archive or a folder. An image of pause weighs some thousand bytes.
pub const LIMIT: u64 = 64 << 20;

/// Some bytes, and what somebody says of them.
pub struct Blob {
    /// What is said.
    pub descriptor: Descriptor,
    /// The bytes.
    pub content: Vec<u8>,
}

impl Blob {
    /// Its digest, as it is said.
    pub fn digest(&self) -> &str {
        self.descriptor.digest().as_ref()
    }

    /// What is wrong with it, if the bytes are not what is said.
    pub fn fault(&self) -> Option<String> {
        let (size, said) = (self.content.len() as u64, self.descriptor.size());
        if size < said {
            Some(format!("is cut off: {size} of {said} bytes are there"))
        } else if size > said {
            Some(format!("is longer than the {said} bytes that it should have"))
        } else if self.descriptor.as_digest_sha256() != Some(&sha256(&self.content)) {
            Some("holds other bytes than its digest says".into())
        } else {
            None
        }
    }

    fn json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.content)
    }
}

/// Where blobs are.
pub trait Store {
    /// What a manifest or an index holds.
    ///
    /// # Errors
    /// Where it can't be had.
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>>;

    /// What another blob holds.
    ///
    /// # Errors
    /// Where it can't be had.
    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>>;
}

/// Gets a blob that is not too large to be one of pause's.
fn fetch(descriptor: &Descriptor, get: impl FnOnce(&Descriptor) -> Result<Vec<u8>>) -> Result<Blob> {
    let (digest, size) = (descriptor.digest(), descriptor.size());
    ensure!(descriptor.as_digest_sha256().is_some(), "{digest} is no SHA-256 digest, the only kind that is known here");
    ensure!(size <= LIMIT, "{digest} has {size} bytes, far more than an image of pause");
    Ok(Blob { descriptor: descriptor.clone(), content: get(descriptor)? })
}

/// One platform's image.
pub struct Image {
    /// The platform's name.
    pub platform: String,
    /// What it consists of.
    pub manifest: Blob,
    /// How it is run; none where the manifest can't be read.
    pub config: Option<Blob>,
    /// Its files.
    pub layers: Vec<Blob>,
}

impl Image {
    /// What it consists of beside the manifest, each with what one calls it.
    pub fn blobs(&self) -> impl Iterator<Item = (&'static str, &Blob)> {
        let layers = self.layers.iter().map(|layer| ("layer", layer));
        self.config.iter().map(|config| ("config", config)).chain(layers)
    }

    fn read(store: &impl Store, manifest: Blob, platform: Option<String>) -> Result<Self> {
        let mut image = Self { platform: String::new(), manifest, config: None, layers: Vec::new() };
        let name = platform.clone().unwrap_or_else(|| "the image".into());
        match image.manifest.json::<ImageManifest>() {
            // Where it leads to is nobody's word.
            _ if image.manifest.fault().is_some() => {}
            Ok(manifest) => {
                let get = |descriptor| fetch(descriptor, |descriptor| store.blob(descriptor));
                image.config = Some(get(manifest.config()).with_context(|| format!("{name}: the config"))?);
                let layers = manifest.layers().iter().map(get).collect::<Result<_>>();
                image.layers = layers.with_context(|| format!("{name}: the layer"))?;
            }
            Err(error) => bail!("{name}: {} is no manifest of an image: {error}", image.manifest.digest()),
        }
        // Without an index, the config alone says what the platform is.
        let of_config = || -> Option<String> {
            let config: ImageConfiguration = image.config.as_ref()?.json().ok()?;
            Some(platform_name(config.os(), config.architecture(), config.variant().as_deref()))
        };
        image.platform = platform.or_else(of_config).unwrap_or_else(|| "an unknown platform".into());
        Ok(image)
    }
}

/// Something about an image, that names it as its subject.
pub struct Referrer {
    /// What it consists of.
    pub manifest: Blob,
    /// The manifest, read.
    pub content: ImageManifest,
    /// What it says.
    pub blobs: Vec<Blob>,
}

impl Referrer {
    fn read(store: &impl Store, manifest: Blob) -> Result<Self> {
        let digest = manifest.digest();
        let content: ImageManifest =
            manifest.json().with_context(|| format!("the referrer {digest} is no manifest"))?;
        let descriptors = std::iter::once(content.config()).chain(content.layers());
        let blobs = descriptors.map(|descriptor| fetch(descriptor, |descriptor| store.blob(descriptor)));
        let blobs = blobs.collect::<Result<_>>().with_context(|| format!("the referrer {digest}"))?;
        Ok(Self { manifest, content, blobs })
    }

    /// What kind of thing it is.
    pub fn artifact_type(&self) -> &MediaType {
        self.content.artifact_type().as_ref().unwrap_or_else(|| self.content.config().media_type())
    }
}

/// An image.
pub struct Found {
    /// What it is called, where that is said.
    pub names: BTreeSet<String>,
    /// Its index; none where it is of one platform, without an index.
    pub index: Option<Blob>,
    /// What the index says of it.
    pub annotations: BTreeMap<String, String>,
    /// Its platforms, in the index's order.
    pub images: Vec<Image>,
    /// What is said about it.
    pub referrers: Vec<Referrer>,
}

impl Found {
    /// Reads what a descriptor describes.
    ///
    /// # Errors
    /// Where it is no image, or a part of it can't be had.
    pub fn read(store: &impl Store, descriptor: &Descriptor) -> Result<Self> {
        let get = |descriptor: &Descriptor| fetch(descriptor, |descriptor| store.manifest(descriptor));
        let blob = get(descriptor)?;
        let mut found = Self {
            names: BTreeSet::new(),
            index: None,
            annotations: BTreeMap::new(),
            images: Vec::new(),
            referrers: Vec::new(),
        };
        if blob.json::<ImageManifest>().is_ok() {
            found.images = vec![Image::read(store, blob, None)?];
            return Ok(found);
        }
        match blob.json::<ImageIndex>() {
            _ if blob.fault().is_some() => {}
            Ok(index) => {
                found.annotations = index.annotations().clone().unwrap_or_default().into_iter().collect();
                for descriptor in index.manifests() {
                    let platform = descriptor.platform().as_ref().map(|platform| {
                        platform_name(platform.os(), platform.architecture(), platform.variant().as_deref())
                    });
                    let name = platform.clone().unwrap_or_else(|| "no platform".into());
                    let manifest = get(descriptor).with_context(|| format!("{name}: the manifest"))?;
                    found.images.push(Image::read(store, manifest, platform)?);
                }
            }
            Err(error) => bail!("{} is no index of an image: {error}", blob.digest()),
        }
        found.index = Some(blob);
        Ok(found)
    }

    /// The blob that stands for the whole image: the index, or the one manifest.
    pub fn top(&self) -> &Blob {
        self.index.as_ref().unwrap_or_else(|| &self.images[0].manifest)
    }

    /// All that it consists of, each with what one calls it.
    pub fn blobs(&self) -> Vec<(String, &Blob)> {
        let mut all: Vec<_> = self.index.iter().map(|index| ("the index".to_owned(), index)).collect();
        for image in &self.images {
            let parts = std::iter::once(("manifest", &image.manifest)).chain(image.blobs());
            all.extend(parts.map(|(kind, blob)| (format!("{}: the {kind}", image.platform), blob)));
        }
        for Referrer { manifest, blobs, .. } in &self.referrers {
            let parts = std::iter::once(manifest).chain(blobs);
            all.extend(parts.map(|blob| (format!("the referrer {}", manifest.digest()), blob)));
        }
        all
    }
}

/// A platform's name.
fn platform_name(os: impl ToString, architecture: impl ToString, variant: Option<&str>) -> String {
    let mut name = format!("{}/{}", os.to_string(), architecture.to_string());
    if let Some(variant) = variant {
        name = format!("{name}/{variant}");
    }
    name
}

/// Describes some bytes.
pub fn describe(media_type: MediaType, content: &[u8]) -> Descriptor {
    let digest = Sha256Digest::from_str(&sha256(content)).expect("a digest");
    Descriptor::new(media_type, content.len() as u64, Digest::from(digest))
}

/// The files of a layout, by their paths in it.
pub struct Layout {
    /// What the user calls it.
    place: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// What marks a folder as a layout.
const MARK: &str = "oci-layout";

/// What names the image.
const NAMES: &str = "index.json";

/// What names the image for Docker, in an archive.
pub const DOCKER: &str = "manifest.json";

impl Layout {
    /// The layout with these files.
    pub fn of<'a>(place: &str, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self { place: place.into(), files: files.map(|(path, content)| (path.into(), content.into())).collect() }
    }

    /// Reads a folder or an archive.
    ///
    /// # Errors
    /// Where it can't be read or is something else: bad input.
    pub fn open(path: &Path) -> Result<Self> {
        let place = path.display().to_string();
        let mut layout = Self { place: place.clone(), files: BTreeMap::new() };
        let read = if path.is_dir() {
            match path.join(MARK).exists() {
                true => layout.add_folder(path, ""),
                false => bail!(Misuse(format!("{place} is no image: there is no {MARK} in it"))),
            }
        } else {
            layout.add_archive(path)
        };
        read.map_err(|error| Misuse(format!("{place} can't be read as an image: {error:#}")))?;
        let mark = layout.json(MARK).map(|mark| mark["imageLayoutVersion"] == "1.0.0");
        ensure!(mark.unwrap_or_default(), Misuse(format!("{place} is no image: it has no {MARK} of version 1.0.0")));
        Ok(layout)
    }

    fn add(&mut self, path: String, content: impl Read) -> Result<()> {
        let rest = LIMIT - self.files.values().map(|content| content.len() as u64).sum::<u64>();
        let mut bytes = Vec::new();
        content.take(rest + 1).read_to_end(&mut bytes)?;
        ensure!(bytes.len() as u64 <= rest, "it is far larger than an image of pause");
        // Two readers could disagree on which of them counts.
        ensure!(!self.files.contains_key(&path), "{path} is in it twice");
        self.files.insert(path, bytes);
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.add_folder(&entry.path(), &format!("{path}/"))?;
            } else {
                let file = File::open(entry.path()).with_context(|| path.clone())?;
                self.add(path, file)?;
            }
        }
        Ok(())
    }

    fn add_archive(&mut self, path: &Path) -> Result<()> {
        for entry in tar::Archive::new(File::open(path)?).entries()? {
            let mut entry = entry?;
            let path = String::from_utf8(entry.path_bytes().into_owned())?;
            let path = path.trim_start_matches("./").to_owned();
            match entry.header().entry_type() {
                kind if kind.is_dir() => {}
                kind if kind.is_file() => {
                    let size = entry.size();
                    self.add(path.clone(), &mut entry)?;
                    ensure!(self.files[&path].len() as u64 == size, "it is cut off in {path}");
                }
                _ => bail!("{path} in it is no file"),
            }
        }
        Ok(())
    }

    fn file(&self, path: &str) -> Result<&Vec<u8>> {
        self.files.get(path).with_context(|| format!("{} lacks {path}", self.place))
    }

    fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(self.file(path)?).with_context(|| format!("{path} in {} is no JSON", self.place))
    }

    /// The image in it, and what is said about it.
    ///
    /// # Errors
    /// Where there is none, or more than one: bad input. Where a part of it is missing.
    pub fn image(&self) -> Result<Found> {
        let wrong = |what: &str| Misuse(format!("{} is no image: {what}", self.place));
        let names = self.file(NAMES).map_err(|_| wrong("it has no index.json"))?;
        let names: ImageIndex =
            serde_json::from_slice(names).map_err(|error| wrong(&format!("its index.json is none: {error}")))?;
        let (referrers, named): (Vec<_>, Vec<_>) =
            names.manifests().iter().partition(|descriptor| self.is_referrer(descriptor));
        let mut found: Option<Found> = None;
        for descriptor in named {
            let found = match &mut found {
                None => found.insert(Found::read(self, descriptor)?),
                Some(found) if found.top().descriptor.digest() == descriptor.digest() => found,
                Some(_) => bail!(wrong("its index.json names several")),
            };
            let annotations = descriptor.annotations().as_ref();
            found.names.extend(annotations.and_then(|all| all.get(ANNOTATION_REF_NAME)).cloned());
        }
        let mut found = found.ok_or_else(|| wrong("its index.json names none"))?;
        for descriptor in referrers {
            let manifest = fetch(descriptor, |descriptor| self.manifest(descriptor))?;
            found.referrers.push(Referrer::read(self, manifest)?);
        }
        Ok(found)
    }

    /// Whether a descriptor of `index.json` is of something about an image.
    fn is_referrer(&self, descriptor: &Descriptor) -> bool {
        let has_subject = || self.json(&path_of(descriptor)).is_ok_and(|manifest| manifest["subject"].is_object());
        descriptor.artifact_type().is_some() || has_subject()
    }

    /// What Docker's part of an archive says, if there is one.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub fn docker(&self) -> Result<Option<Value>> {
        self.files.contains_key(DOCKER).then(|| self.json(DOCKER)).transpose()
    }

    /// The files that belong to nothing.
    pub fn strangers(&self, found: &Found) -> Vec<&str> {
        let known: BTreeSet<_> = found.blobs().iter().map(|(_, blob)| path_of(&blob.descriptor)).collect();
        let is_known = |path: &str| [MARK, NAMES, DOCKER].contains(&path) || known.contains(path);
        self.files.keys().map(String::as_str).filter(|path| !is_known(path)).collect()
    }
}

impl Store for Layout {
    fn manifest(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.blob(descriptor)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.file(&path_of(descriptor)).cloned()
    }
}

/// The path of a blob in a layout.
pub fn path_of(descriptor: &Descriptor) -> String {
    format!("blobs/{}/{}", descriptor.digest().algorithm(), descriptor.digest().digest())
}
