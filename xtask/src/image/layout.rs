//! The OCI image layout: layers, configurations, manifests and indexes, as files.
//! <https://github.com/opencontainers/image-spec/tree/v1.1.1>

use super::Contents;
use crate::build::Binary;
use crate::digest::sha256;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use tar::EntryType;

/// The program's path in the image, from its root.
pub const PROGRAM: &str = "pause";

/// The binary's licences as an SPDX expression: this source's, which are also those of `core` and the crate
/// `linux-raw-sys`, and that of the crate `syscalls`.
pub const LICENSES: &str = concat!("(", env!("CARGO_PKG_LICENSE"), ") AND BSD-2-Clause");

/// Annotations of the index, unless `--annotation` changes them. On the index, they don't count against the budget of a
/// pull. The source's address and revision are not among them: the same sources must give the same bytes anywhere.
const ANNOTATIONS: [(&str, &str); 5] = [
    ("org.opencontainers.image.title", "pause"),
    ("org.opencontainers.image.description", "Holds a pod's namespaces open and reaps its orphans"),
    ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION")),
    ("org.opencontainers.image.licenses", LICENSES),
    ("org.opencontainers.image.base.name", "scratch"),
];

const REF_NAME: &str = "org.opencontainers.image.ref.name";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[derive(Clone)]
pub struct Descriptor {
    pub media_type: &'static str,
    /// SHA-256, in hexadecimal.
    pub digest: String,
    pub size: u64,
}

impl Descriptor {
    pub fn of(media_type: &'static str, content: &[u8]) -> Self {
        Self { media_type, digest: sha256(content), size: content.len() as u64 }
    }

    pub fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    pub fn to_json(&self) -> Value {
        let Self { media_type, digest, size } = self;
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
    }
}

pub struct Image {
    pub platform: &'static str,
    /// Size of the program.
    pub binary: u64,
    pub manifest: Descriptor,
    pub config: Descriptor,
    pub layer: Descriptor,
}

impl Image {
    /// Bytes that a host pulls, without the index.
    pub fn pull(&self) -> u64 {
        self.layer.size + self.config.size + self.manifest.size
    }
}

pub struct Layout {
    pub images: Vec<Image>,
    /// The blob that `index.json` names: the index of all platforms, or a single platform's manifest.
    pub root: Descriptor,
    /// Content of each file by path, in the archive's order.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Docker's `manifest.json`, which names the same blobs, and is in archives only.
    docker: Vec<u8>,
}

impl Layout {
    /// Makes the image of these binaries, in the form that docs/readers.md gives reasons for.
    ///
    /// `index.json` names an index of all platforms, since skopeo refuses to choose among manifests. Each name of the
    /// image has a descriptor, as containerd writes them. Docker loads the first platform, on every machine.
    pub fn of(binaries: &[Binary], contents: &Contents) -> Result<Self> {
        let mut files = BTreeMap::from([("oci-layout".into(), canonical(json!({ "imageLayoutVersion": "1.0.0" })))]);
        let mut add = |media_type, content: Vec<u8>| {
            let descriptor = Descriptor::of(media_type, &content);
            files.insert(descriptor.path(), content);
            descriptor
        };
        let (mut images, mut manifests) = (Vec::new(), Vec::new());
        for binary in binaries {
            let name = binary.platform.name;
            // Without an entry for the root, mkfs.erofs makes one that any user can write to.
            let root = (EntryType::Directory, "./", 0o755, &[][..]);
            let program = (EntryType::Regular, PROGRAM, 0o555, &*binary.content);
            let links = contents.links.iter().map(|link| (EntryType::Link, link.as_str(), 0o555, &[][..]));
            let layer = archive([root, program].into_iter().chain(links))?;
            let platform: Value = ["os", "architecture", "variant"].into_iter().zip(name.split('/')).collect();
            // Docker 25 panics if an entry of the history has no time. A time for the image itself would make it older
            // than anything else, so that `docker image prune --filter until=1h` removes it.
            let mut config = platform.clone();
            config["config"] = json!({ "User": contents.user, "Entrypoint": [format!("/{PROGRAM}")] });
            config["rootfs"] = json!({ "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] });
            config["history"] = json!([{ "created": "1970-01-01T00:00:00Z" }]);
            let config = add(CONFIG, canonical(config));
            let layer = add(LAYER, compress(layer)?);
            let layers = [layer.to_json()];
            let manifest =
                json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config.to_json(), "layers": layers });
            let manifest = add(MANIFEST, canonical(manifest));
            let mut descriptor = manifest.to_json();
            descriptor["platform"] = platform;
            manifests.push(descriptor);
            images.push(Image { platform: name, binary: binary.content.len() as u64, manifest, config, layer });
        }
        let annotations = ANNOTATIONS.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter();
        let annotations: Value = annotations.chain(contents.annotations.iter().cloned()).collect();
        let (root, mut named) = match &images[..] {
            [image] => (image.manifest.clone(), manifests.remove(0)),
            _ => {
                let mut index = index(manifests);
                index["annotations"] = annotations.clone();
                let root = add(INDEX, canonical(index));
                (root.clone(), root.to_json())
            }
        };
        let references = contents.references();
        let list = references.iter().map(|reference| {
            named["annotations"] = json!({ REF_NAME: reference });
            named.clone()
        });
        let mut list = index(list.collect());
        if images.len() == 1 {
            list["annotations"] = annotations;
        }
        files.insert("index.json".into(), canonical(list));
        let first = &images[0];
        let (config, layers) = (first.config.path(), [first.layer.path()]);
        let docker = canonical(json!([{ "Config": config, "RepoTags": references, "Layers": layers }]));
        Ok(Self { images, root, files, docker })
    }

    /// Returns an archive of all files, with Docker's `manifest.json`.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let docker = ("manifest.json".to_owned(), self.docker.clone());
        let files: BTreeMap<_, _> = self.files.clone().into_iter().chain([docker]).collect();
        archive(files.iter().map(|(path, content)| (EntryType::Regular, path.as_str(), 0o644, content.as_slice())))
    }
}

/// Compresses a layer, or returns the result of the last time: each is in two archives.
fn compress(layer: Vec<u8>) -> Result<Vec<u8>> {
    static COMPRESSED: Mutex<BTreeMap<Vec<u8>, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut compressed = COMPRESSED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(content) = compressed.get(&layer) {
        return Ok(content.clone());
    }
    let mut content = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, &*layer, &mut content)?;
    compressed.insert(layer, content.clone());
    Ok(content)
}

/// Compact JSON with sorted keys, even if another crate makes serde_json keep their order.
fn canonical(mut value: Value) -> Vec<u8> {
    value.sort_all_objects();
    value.to_string().into()
}

fn index(manifests: Vec<Value>) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

/// Makes a tar archive of root's entries from 1970, without names of owners. Links lead to the program. An entry's type
/// is explicit, because the crate's default is NUL. Each directory has an entry: without one, it gets an owner that a
/// user who isn't root can't set, and skopeo fails.
pub fn archive<'a>(entries: impl Iterator<Item = (EntryType, &'a str, u32, &'a [u8])>) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut directories = BTreeSet::new();
    for entry in entries {
        let parents = entry.1.trim_end_matches('/').match_indices('/').map(|(end, _)| &entry.1[..=end]);
        let parents = parents.filter(|directory| directories.insert(*directory));
        let parents: Vec<_> = parents.map(|directory| (EntryType::Directory, directory, 0o755, &[][..])).collect();
        for (entry_type, path, mode, content) in parents.into_iter().chain([entry]) {
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
            archive.append_data(&mut header, path, content)?;
        }
    }
    Ok(archive.into_inner()?)
}
