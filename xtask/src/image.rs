//! `cargo xtask image`: the OCI image of all platforms, as a folder and as one archive that every tool loads.

use crate::build::{self, Binary};
use crate::platform::Selection;
use crate::sizes::{Heading, Sizes};
use anyhow::{Context, Result, bail, ensure};
use oci_spec::distribution::Reference;
use oci_spec::image::{
    ANNOTATION_BASE_IMAGE_NAME, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REF_NAME, ANNOTATION_TITLE,
    ANNOTATION_VERSION, Config, ConfigBuilder, Descriptor, ImageConfiguration, ImageConfigurationBuilder, ImageIndex,
    ImageIndexBuilder, ImageManifest, ImageManifestBuilder, MediaType, OciLayoutBuilder, Platform, PlatformBuilder,
    RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use xshell::Shell;

/// Build the image of all platforms into dist/pause.oci and dist/pause.oci.tar
///
/// dist/pause.oci is a folder in the OCI image layout. dist/pause.oci.tar is the same as one archive, which
/// podman load, ctr images import, skopeo (oci-archive: and docker-archive:) and docker load all take. Docker
/// loads one platform: this machine's, else the first.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Call the image this; may be given several times
    #[arg(long = "name", value_name = "NAME[:TAG]", value_parser = parse_name, default_value = DEFAULT_NAME)]
    names: Vec<Name>,
    /// Add this tag to every name; may be given several times [default: the version, for a name without a tag]
    #[arg(long = "tag", value_name = "TAG", value_parser = parse_tag)]
    tags: Vec<String>,
    /// Say this of the image in its index (org.opencontainers.image.source=https://…, say); may be given several
    /// times
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = parse_annotation)]
    annotations: Vec<(String, String)>,
    /// Give the program this path too (/usr/bin/pod, say, where OpenShift looks); may be given several times
    #[arg(long = "link", value_name = "PATH", value_parser = parse_link)]
    links: Vec<String>,
    /// Write an archive for each platform too, into dist/air-gap: for nodes without a network
    #[arg(long)]
    air_gap: bool,
}

/// What an image is made of, beside the binaries.
#[derive(Default)]
pub struct Contents {
    /// What it is called.
    pub references: BTreeSet<String>,
    /// What its index says of it, besides the usual.
    pub annotations: Vec<(String, String)>,
    /// Other paths of the program.
    pub links: Vec<String>,
}

impl Contents {
    /// An image of that name, with nothing unusual about it.
    pub fn named(reference: impl Into<String>) -> Self {
        Contents { references: BTreeSet::from([reference.into()]), ..Contents::default() }
    }
}

/// A name for the image, from the command line.
#[derive(Clone)]
struct Name {
    /// The registry and the repository.
    repository: String,
    /// The tag, if one was given.
    tag: Option<String>,
}

/// An image for one platform.
struct Image {
    /// What the index says of it.
    descriptor: Descriptor,
    manifest: ImageManifest,
}

/// The most that manifest, config and layer of a platform may weigh together, in bytes: the load of one TCP
/// segment.
const BUDGET: u64 = 1460;

const DEFAULT_NAME: &str = "localhost/pause";
/// The program's path in the image, from its root.
const PROGRAM: &str = "pause";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the index says of the image, unless `--annotation` says otherwise. A pull asks for the index anyway, so
/// here this costs nothing that counts against the budget. Where the sources come from, and their revision, is
/// for who builds the image to say: the same sources must give the same bytes wherever they are.
const ANNOTATIONS: [(&str, &str); 5] = [
    (ANNOTATION_TITLE, "pause"),
    (ANNOTATION_DESCRIPTION, "Holds a pod's namespaces open and reaps its orphans"),
    (ANNOTATION_VERSION, VERSION),
    (ANNOTATION_LICENSES, env!("CARGO_PKG_LICENSE")),
    (ANNOTATION_BASE_IMAGE_NAME, "scratch"),
];

/// Runs the command.
///
/// # Errors
/// Where something can't be built or is over its budget.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let contents = Contents {
        references: references(&arguments.names, &arguments.tags),
        annotations: arguments.annotations.clone(),
        links: arguments.links.clone(),
    };
    let binaries = build::build(shell, &arguments.selection.platforms())?;

    pack(&binaries, &contents, &shell.current_dir().join("dist"))?;
    if arguments.air_gap {
        pack_each(&binaries, &contents, &shell.current_dir().join("dist"))?;
    }
    println!("\nIn dist/pause.oci and dist/pause.oci.tar:");
    for reference in &contents.references {
        println!("  {reference}");
    }
    if contents.references.len() > 1 {
        println!("skopeo must be told which name: oci-archive:dist/pause.oci.tar:NAME");
    }
    Ok(())
}

/// Makes the image of these binaries and writes it into a folder as `pause.oci` and `pause.oci.tar`. Prints and
/// returns the sizes.
///
/// # Errors
/// Where the image is over its budget or can't be written.
pub fn pack(binaries: &[Binary], contents: &Contents, folder: &Path) -> Result<Vec<Sizes>> {
    let (layout, images) = Layout::of(binaries, contents)?;
    let mut all_sizes = Vec::new();
    println!("\n{Heading} {:>6} {:>7}", "sum", "budget");
    for (binary, image) in binaries.iter().zip(&images) {
        let sizes = Sizes {
            platform: binary.platform.name.into(),
            binary: binary.size,
            layer: image.manifest.layers()[0].size(),
            config: image.manifest.config().size(),
            manifest: image.descriptor.size(),
        };
        let sum = sizes.layer + sizes.config + sizes.manifest;
        println!("{sizes} {sum:>6} {BUDGET:>7}");
        ensure!(sum <= BUDGET, "{} is {sum} bytes to pull, over the budget of {BUDGET}", sizes.platform);
        all_sizes.push(sizes);
    }
    let native = binaries.iter().position(|binary| binary.platform.is_native());
    let archive = layout.archive(&images[native.unwrap_or(0)], &contents.references)?;

    std::fs::create_dir_all(folder)?;
    layout.write(&folder.join("pause.oci"))?;
    build::replace(&folder.join("pause.oci.tar"), &archive, 0o644)?;
    Ok(all_sizes)
}

/// Writes an archive of its own for each platform, where [`air_gap_archive`] says.
///
/// # Errors
/// Where one can't be written.
pub fn pack_each(binaries: &[Binary], contents: &Contents, folder: &Path) -> Result<()> {
    for binary in binaries {
        let path = air_gap_archive(folder, binary.platform);
        std::fs::create_dir_all(path.parent().context("a file in a folder")?)?;
        let (layout, images) = Layout::of(std::slice::from_ref(binary), contents)?;
        let archive = layout.archive(&images[0], &contents.references)?;
        build::replace(&path, &archive, 0o644)?;
    }
    Ok(())
}

/// Where the archive of this platform alone is, if the image is in `folder`.
pub fn air_gap_archive(folder: &Path, platform: &crate::platform::Platform) -> PathBuf {
    folder.join(format!("air-gap/pause-{}.tar", platform.file_name()))
}

/// How many bytes one downloads for the image of this binary, beside the index: manifest, config and layer.
///
/// # Errors
/// Where the binary can't be read.
pub fn pull_size(binary: &Binary) -> Result<u64> {
    let Image { descriptor, manifest } = &Layout::of(std::slice::from_ref(binary), &Contents::default())?.1[0];
    Ok(descriptor.size() + manifest.config().size() + manifest.layers()[0].size())
}

/// The image that `cargo xtask image` makes unless it is told otherwise.
pub fn default_contents() -> Contents {
    Contents::named(format!("{DEFAULT_NAME}:{VERSION}"))
}

/// What `--name` accepts.
fn parse_name(text: &str) -> Result<Name> {
    let reference = Reference::from_str(text).ok().filter(|reference| text.is_ascii() && reference.digest().is_none());
    let Some(reference) = reference else {
        bail!("an image's name looks like localhost/pause or registry.example/pause:3.10, in small letters");
    };
    // Without a tag, `Reference` says "latest".
    let tag = reference.tag().filter(|tag| text.ends_with(&format!(":{tag}"))).map(String::from);
    Ok(Name { repository: format!("{}/{}", reference.registry(), reference.repository()), tag })
}

/// What `--tag` accepts.
fn parse_tag(text: &str) -> Result<String> {
    match parse_name(&format!("localhost/pause:{text}")) {
        Ok(Name { tag: Some(tag), .. }) if tag == text => Ok(tag),
        _ => bail!("a tag is up to 128 letters, digits, dots, dashes and underscores, and starts with none of .-"),
    }
}

/// What `--annotation` accepts.
fn parse_annotation(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => bail!("an annotation looks like org.opencontainers.image.revision=1a2b3c"),
    }
}

/// What `--link` accepts.
fn parse_link(text: &str) -> Result<String> {
    let is_plain = |part: &str| !["", ".", ".."].contains(&part);
    match text.strip_prefix('/') {
        Some(path) if path.split('/').all(is_plain) && path != PROGRAM && path.len() <= 100 => Ok(path.into()),
        _ => bail!("a link is an absolute path of up to 100 bytes other than /{PROGRAM}, like /usr/bin/pod"),
    }
}

/// Every name with its own tag and with all of `tags`, or with the version where there are none.
fn references(names: &[Name], tags: &[String]) -> BTreeSet<String> {
    let mut references = BTreeSet::new();
    for Name { repository, tag } in names {
        let mut tags: Vec<_> = tag.iter().chain(tags).map(String::as_str).collect();
        if tags.is_empty() {
            tags.push(VERSION);
        }
        references.extend(tags.into_iter().map(|tag| format!("{repository}:{tag}")));
    }
    references
}

/// A folder in the OCI image layout: what each file holds, by path. An ordered map, so that the archive's order
/// is fixed.
struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    /// The image of these binaries, and what it consists of, platform by platform.
    fn of(binaries: &[Binary], contents: &Contents) -> Result<(Self, Vec<Image>)> {
        let mark = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        let mut layout = Self(BTreeMap::from([("oci-layout".into(), json(&mark)?)]));
        let images = binaries.iter().map(|binary| layout.add_image(binary, &contents.links));
        let images = images.collect::<Result<Vec<_>>>()?;
        layout.add_index(&images, contents)?;
        Ok((layout, images))
    }

    /// Adds a blob and describes it.
    fn add_blob(&mut self, media_type: MediaType, content: Vec<u8>) -> Result<Descriptor> {
        let digest = Sha256Digest::from_str(&sha256(&content))?;
        let descriptor = Descriptor::new(media_type, content.len() as u64, digest);
        self.0.insert(blob(&descriptor), content);
        Ok(descriptor)
    }

    /// Adds layer, config and manifest of a platform.
    fn add_image(&mut self, binary: &Binary, links: &[String]) -> Result<Image> {
        let platform = platform(binary.platform.name)?;
        let program = std::fs::read(&binary.path).with_context(|| format!("can't read {}", binary.path.display()))?;
        let layer = layer(&program, links)?;
        let config = json(&configuration(&platform, &layer)?)?;
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

    /// Adds the index of all platforms, and the file that names it. skopeo refuses an `index.json` that lists the
    /// platforms itself. Several names are as many descriptors of the one index, as containerd writes them; podman
    /// then reads Docker's side of the archive.
    fn add_index(&mut self, images: &[Image], contents: &Contents) -> Result<()> {
        let mut platforms = index(images.iter().map(|image| image.descriptor.clone()))?;
        let mut all = annotations(ANNOTATIONS);
        all.extend(contents.annotations.iter().cloned());
        platforms.set_annotations(Some(all));
        let descriptor = self.add_blob(MediaType::ImageIndex, json(&platforms)?)?;
        let named = contents.references.iter().map(|reference| {
            let mut named = descriptor.clone();
            named.set_annotations(Some(annotations([(ANNOTATION_REF_NAME, reference)])));
            named
        });
        self.0.insert("index.json".into(), json(&index(named)?)?);
        Ok(())
    }

    /// All files in one archive, and Docker's `manifest.json`, which names the same blobs, beside them.
    fn archive(&self, docker: &Image, references: &BTreeSet<String>) -> Result<Vec<u8>> {
        let mut files = self.0.clone();
        let layers: Vec<_> = docker.manifest.layers().iter().map(blob).collect();
        let manifest = json!([{ "Config": blob(docker.manifest.config()), "RepoTags": references, "Layers": layers }]);
        files.insert("manifest.json".into(), json(&manifest)?);
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in &files {
            archive.append_data(&mut header(content.len(), 0o644), path, content.as_slice())?;
        }
        Ok(archive.into_inner()?)
    }

    /// Writes the folder whole or not at all, in place of what is there.
    fn write(&self, folder: &Path) -> Result<()> {
        let parent = folder.parent().context("a folder in a folder")?;
        let staging = tempfile::tempdir_in(parent)?;
        let (new, old) = (staging.path().join("new"), staging.path().join("old"));
        for (path, content) in &self.0 {
            let path = new.join(path);
            std::fs::create_dir_all(path.parent().context("a file in a folder")?)?;
            std::fs::write(path, content)?;
        }
        // A folder that isn't empty can't be replaced in one step.
        if folder.exists() {
            std::fs::rename(folder, old)?;
        }
        std::fs::rename(new, folder)?;
        Ok(())
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

/// What a runtime must know to start the program. A time of creation, a history and a `PATH` would only cost.
fn configuration(platform: &Platform, layer: &[u8]) -> Result<ImageConfiguration> {
    let config: Config = ConfigBuilder::default().user("65535:65535").entrypoint([format!("/{PROGRAM}")]).build()?;
    let rootfs = RootFsBuilder::default().diff_ids([format!("sha256:{}", sha256(layer))]).build()?;
    let mut configuration = ImageConfigurationBuilder::default()
        .os(platform.os().clone())
        .architecture(platform.architecture().clone())
        .config(config)
        .rootfs(rootfs)
        .build()?;
    configuration.set_variant(platform.variant().clone());
    Ok(configuration)
}

/// The file system: one file, at one path or more.
fn layer(program: &[u8], links: &[String]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header(program.len(), 0o555), PROGRAM, program)?;
    for link in links {
        let mut header = header(0, 0o555);
        header.set_entry_type(tar::EntryType::Link);
        archive.append_link(&mut header, link, PROGRAM)?;
    }
    Ok(archive.into_inner()?)
}

/// What an archive says of a file: it belongs to root and to no time.
fn header(size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Compresses as well as gzip's format allows; without a name or a time.
fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, content, &mut compressed)?;
    Ok(compressed)
}

fn index(manifests: impl Iterator<Item = Descriptor>) -> Result<ImageIndex> {
    let builder = ImageIndexBuilder::default().schema_version(SCHEMA_VERSION).media_type(MediaType::ImageIndex);
    Ok(builder.manifests(manifests.collect::<Vec<_>>()).build()?)
}

fn annotations<const N: usize>(annotations: [(&str, &str); N]) -> HashMap<String, String> {
    annotations.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}

/// Compact JSON with sorted keys: `oci_spec` keeps annotations in a hash map, which has another order each time.
fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
