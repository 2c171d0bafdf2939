//! `cargo xtask image`: the OCI image of all platforms, as a folder and as one archive that every tool loads.

mod layout;

use crate::build::{self, Binary};
use crate::needs::Needs;
use crate::output::Staged;
use crate::platform::{Platform, Selection};
use crate::progress::Progress;
use crate::say;
use crate::seccomp::{self, Profile};
use crate::sizes::{self, Sizes};
use anyhow::{Result, bail, ensure};
use contract::PULL_BUDGET;
pub use layout::{ANNOTATIONS, LICENSES};
use layout::{Image, Layout, PROGRAM};
use oci_spec::distribution::Reference;
use std::collections::BTreeSet;
use std::str::FromStr;
use xshell::Shell;

/// Build the image of all platforms into dist/pause.oci and dist/pause.oci.tar
///
/// dist/pause.oci is a folder in the OCI image layout. dist/pause.oci.tar is the same as one archive, which
/// podman load, ctr images import, skopeo (oci-archive: and docker-archive:) and docker load all take. Docker
/// loads one platform: this machine's, else the first. dist/pause.seccomp.json allows what the program calls.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    contents: ContentsArguments,
    /// Write an archive for each platform too, into dist/air-gap: for nodes without a network
    #[arg(long)]
    air_gap: bool,
}

/// What a command line can say of the image's contents.
#[derive(clap::Args)]
pub struct ContentsArguments {
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
}

impl ContentsArguments {
    /// What the image is to be made of.
    pub fn contents(&self) -> Contents {
        Contents {
            references: references(&self.names, &self.tags),
            annotations: self.annotations.clone(),
            links: self.links.clone(),
        }
    }
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
    /// The image that `cargo xtask image` makes unless it is told otherwise.
    pub fn usual() -> Self {
        Self::named(format!("{DEFAULT_NAME}:{VERSION}"))
    }

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

const DEFAULT_NAME: &str = "localhost/pause";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the command.
///
/// # Errors
/// Where something can't be built, is over its budget, or can't be written.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let contents = arguments.contents.contents();
    let mut dist = Staged::new(shell.current_dir().join("dist"))?;
    let binaries = build::build_with(shell, &arguments.selection.platforms(), None, Needs::of("cargo xtask image"))?;
    let packed = pack(&binaries, &contents)?;
    let progress = Progress::new(1);
    progress.step("writing dist");
    let all_sizes = stage(&mut dist, &binaries, packed, &contents, arguments.air_gap)?;
    dist.commit()?;
    drop(progress);

    let mut table = sizes::table(&all_sizes);
    table.headings.extend(["budget".into(), "compiler".into()]);
    for (row, binary) in table.rows.iter_mut().zip(&binaries) {
        row.extend([PULL_BUDGET.to_string(), binary.compiler.to_string()]);
    }
    say!("{table}\n\nIn dist/pause.oci and dist/pause.oci.tar:");
    for reference in &contents.references {
        say!("  {reference}");
    }
    if contents.references.len() > 1 {
        say!("skopeo must be told which name: oci-archive:dist/pause.oci.tar:NAME");
    }
    Ok(())
}

/// Stages all that the command makes. Returns the sizes.
pub fn stage(
    staged: &mut Staged,
    binaries: &[Binary],
    packed: Packed,
    contents: &Contents,
    air_gap: bool,
) -> Result<Vec<Sizes>> {
    build::stage(staged, binaries);
    if air_gap {
        stage_each(staged, binaries, contents)?;
    }
    packed.stage(staged)
}

/// An image, ready to be written.
pub struct Packed {
    layout: Layout,
    archive: Vec<u8>,
    images: Vec<Image>,
    sizes: Vec<Sizes>,
}

impl Packed {
    /// What each file of the folder `pause.oci` holds, by its path there.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.layout.files()
    }

    /// The same as an archive.
    pub fn archive(&self) -> &[u8] {
        &self.archive
    }

    /// The digest of its index, in hexadecimal.
    pub fn index(&self) -> &str {
        self.layout.index()
    }

    /// Each platform, and the digests of its manifest and of the blobs that this names, in hexadecimal.
    pub fn images(&self) -> impl Iterator<Item = (&'static str, &str, Vec<&str>)> {
        self.sizes.iter().zip(&self.images).map(|(sizes, Image { descriptor, manifest })| {
            let blobs = manifest.layers().iter().chain([manifest.config()]).map(|blob| blob.digest().digest());
            (sizes.platform, descriptor.digest().digest(), blobs.collect())
        })
    }

    /// Stages it as `pause.oci` and `pause.oci.tar`, and the seccomp profile. Returns the sizes.
    pub fn stage(self, staged: &mut Staged) -> Result<Vec<Sizes>> {
        staged.layout("pause.oci", self.layout.files());
        staged.file("pause.oci.tar", self.archive, 0o644);
        staged.file(seccomp::FILE, Profile::of_the_program().to_json()?, 0o644);
        Ok(self.sizes)
    }
}

/// Makes the image of these binaries.
///
/// # Errors
/// Where the image is over its budget.
pub fn pack(binaries: &[Binary], contents: &Contents) -> Result<Packed> {
    let progress = Progress::new(1);
    progress.step("packing the image");
    let (layout, images) = Layout::of(binaries, contents)?;
    let mut all_sizes = Vec::new();
    for (binary, image) in binaries.iter().zip(&images) {
        let sizes = sizes(binary, image);
        let (platform, pull) = (sizes.platform, sizes.pull());
        ensure!(pull <= PULL_BUDGET, "{platform} is {pull} bytes to pull, over the budget of {PULL_BUDGET}");
        all_sizes.push(sizes);
    }
    // Docker's side of the archive is of one platform.
    let local = binaries.iter().position(|binary| binary.platform.is_local());
    let archive = layout.archive(&images[local.unwrap_or(0)], &contents.references)?;
    Ok(Packed { layout, archive, images, sizes: all_sizes })
}

/// Stages an archive per platform, at the path of [`air_gap_archive`].
pub fn stage_each(staged: &mut Staged, binaries: &[Binary], contents: &Contents) -> Result<()> {
    air_gap(binaries, contents)?.into_iter().for_each(|(path, archive)| staged.file(path, archive, 0o644));
    Ok(())
}

/// The archive of each platform, with its path.
pub fn air_gap(binaries: &[Binary], contents: &Contents) -> Result<Vec<(String, Vec<u8>)>> {
    let archive = |binary| {
        let (layout, images) = Layout::of(std::slice::from_ref(binary), contents)?;
        Ok((air_gap_archive(binary.platform), layout.archive(&images[0], &contents.references)?))
    };
    binaries.iter().map(archive).collect()
}

/// Where the archive of this platform alone is, from the folder that holds the image.
pub fn air_gap_archive(platform: &Platform) -> String {
    format!("air-gap/pause-{}.tar", platform.file_name())
}

fn sizes(binary: &Binary, Image { descriptor, manifest }: &Image) -> Sizes {
    Sizes {
        platform: binary.platform.name,
        binary: binary.size(),
        layer: manifest.layers()[0].size(),
        config: manifest.config().size(),
        manifest: descriptor.size(),
    }
}

/// How many bytes one downloads for the image of this binary, beside the index: manifest, config and layer.
///
/// # Errors
/// Where there can be no such image.
pub fn pull_size(binary: &Binary) -> Result<u64> {
    Ok(sizes(binary, &Layout::of(std::slice::from_ref(binary), &Contents::default())?.1[0]).pull())
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
///
/// # Errors
/// Where it is no other path of the program.
pub fn parse_link(text: &str) -> Result<String> {
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
