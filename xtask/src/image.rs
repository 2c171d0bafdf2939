//! `cargo xtask image`: the OCI image of all platforms, as a folder and as one archive that every tool loads.

use crate::build::{self, Binary};
use crate::platform::Selection;
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
use std::path::Path;
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
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the index says of the image. A pull asks for the index anyway, so here this costs nothing that counts
/// against the budget. The revision is not here: the same sources must give the same bytes whether or not
/// they are in a git repository.
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
    let references = references(&arguments.names, &arguments.tags);
    let binaries = build::build(shell, &arguments.selection.platforms())?;

    pack(&binaries, &references, &shell.current_dir().join("dist"))?;
    println!("\nIn dist/pause.oci and dist/pause.oci.tar:");
    for reference in &references {
        println!("  {reference}");
    }
    if references.len() > 1 {
        println!("skopeo must be told which name: oci-archive:dist/pause.oci.tar:NAME");
    }
    Ok(())
}

/// Makes the image of these binaries, of these names, and writes it into a folder as `pause.oci` and
/// `pause.oci.tar`. Prints the sizes, in bytes.
///
/// # Errors
/// Where the image is over its budget or can't be written.
pub fn pack(binaries: &[Binary], references: &BTreeSet<String>, folder: &Path) -> Result<()> {
    let mut layout = Layout::new()?;
    let mut images = Vec::new();
    println!(
        "\n{:<16} {:>6} {:>6} {:>6} {:>8} {:>6} {:>7}",
        "platform", "binary", "layer", "config", "manifest", "sum", "budget"
    );
    for binary in binaries {
        let image = layout.add_image(binary)?;
        let (layer, config) = (image.manifest.layers()[0].size(), image.manifest.config().size());
        let manifest = image.descriptor.size();
        let (name, size, sum) = (binary.platform.name, binary.size, layer + config + manifest);
        println!("{name:<16} {size:>6} {layer:>6} {config:>6} {manifest:>8} {sum:>6} {BUDGET:>7}");
        ensure!(sum <= BUDGET, "{name} is {sum} bytes to pull, over the budget of {BUDGET}");
        images.push(image);
    }
    layout.add_index(&images, references)?;

    let native = binaries.iter().position(|binary| binary.platform.is_native());
    let archive = layout.archive(&images[native.unwrap_or(0)], references)?;

    std::fs::create_dir_all(folder)?;
    layout.write(&folder.join("pause.oci"))?;
    build::replace(&folder.join("pause.oci.tar"), &archive, 0o644)
}

/// How many bytes one downloads for the image of this binary, beside the index: manifest, config and layer.
///
/// # Errors
/// Where the binary can't be read.
pub fn pull_size(binary: &Binary) -> Result<u64> {
    let Image { descriptor, manifest } = Layout::new()?.add_image(binary)?;
    Ok(descriptor.size() + manifest.config().size() + manifest.layers()[0].size())
}

/// What the image is called unless somebody says otherwise.
pub fn default_references() -> BTreeSet<String> {
    BTreeSet::from([format!("{DEFAULT_NAME}:{VERSION}")])
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
    fn new() -> Result<Self> {
        let mark = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        Ok(Self(BTreeMap::from([("oci-layout".into(), json(&mark)?)])))
    }

    /// Adds a blob and describes it.
    fn add_blob(&mut self, media_type: MediaType, content: Vec<u8>) -> Result<Descriptor> {
        let digest = Sha256Digest::from_str(&sha256(&content))?;
        let descriptor = Descriptor::new(media_type, content.len() as u64, digest);
        self.0.insert(blob(&descriptor), content);
        Ok(descriptor)
    }

    /// Adds layer, config and manifest of a platform.
    fn add_image(&mut self, binary: &Binary) -> Result<Image> {
        let platform = platform(binary.platform.name)?;
        let program = std::fs::read(&binary.path).with_context(|| format!("can't read {}", binary.path.display()))?;
        let layer = layer(&program)?;
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
    fn add_index(&mut self, images: &[Image], references: &BTreeSet<String>) -> Result<()> {
        let mut platforms = index(images.iter().map(|image| image.descriptor.clone()))?;
        platforms.set_annotations(Some(annotations(ANNOTATIONS)));
        let descriptor = self.add_blob(MediaType::ImageIndex, json(&platforms)?)?;
        let named = references.iter().map(|reference| {
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
        tar(files.iter().map(|(path, content)| (path.as_str(), content.as_slice(), 0o644)))
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
    let config: Config = ConfigBuilder::default().user("65535:65535").entrypoint(["/pause".into()]).build()?;
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

/// The file system: one file.
fn layer(program: &[u8]) -> Result<Vec<u8>> {
    tar([("pause", program, 0o555)])
}

/// An archive of files that belong to root and to no time.
fn tar<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8], u32)>) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(&mut header, path, content)?;
    }
    Ok(archive.into_inner()?)
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
