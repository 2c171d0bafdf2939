//! `cargo xtask image`: the OCI image of all platforms, as a directory and as one archive that every tool loads.

pub mod golden;
mod layout;

use crate::build::{self, Binary};
use crate::command::UsageError;
use crate::output::Staged;
use crate::platform::{Platform, Selection};
use crate::prerequisites::Prerequisites;
use crate::{outln, seccomp, status};
use anyhow::{Result, bail, ensure};
use contract::PULL_BUDGET;
use layout::PROGRAM;
pub use layout::{Descriptor, Image, LICENSES, Layout, MANIFEST, archive};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xshell::Shell;

/// Build the image of all platforms into dist/pause.oci and dist/pause.oci.tar
///
/// dist/pause.oci is a directory in the OCI image layout. dist/pause.oci.tar is the same as one archive, which podman
/// load, ctr images import, skopeo (oci-archive: and docker-archive:) and docker load all take. docker load takes the
/// first platform. With a single --platform, index.json names that platform's manifest instead of an index.
/// dist/pause.seccomp.json is a seccomp profile with the system calls that the program makes. Pass dist/LICENSE-syscalls
/// on with the image.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    contents: Contents,
    /// Also write an archive of each single platform into dist/air-gap, for nodes without a network
    #[arg(long)]
    air_gap: bool,
}

/// The parts of an image that aren't built.
#[derive(Clone, clap::Args)]
pub struct Contents {
    /// Image name; may be repeated
    #[arg(long = "name", value_name = "NAME[:TAG]", value_parser = parse_name, default_value = DEFAULT_NAME)]
    pub names: Vec<String>,
    /// Tag for every name; may be repeated [default: the version, for a name without a tag]
    #[arg(long = "tag", value_name = "TAG", value_parser = parse_tag)]
    pub tags: Vec<String>,
    /// Annotation of the index, such as org.opencontainers.image.source=https://…; may be repeated
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = parse_annotation)]
    pub annotations: Vec<(String, String)>,
    /// Another path of the program, such as /usr/bin/pod for OpenShift; may be repeated
    #[arg(long = "link", value_name = "PATH", value_parser = parse_link)]
    pub links: Vec<String>,
    /// User that runs the program; without GID, runtimes take group 0
    #[arg(long, value_name = "UID[:GID]", value_parser = parse_user, default_value = DEFAULT_USER)]
    pub user: String,
}

impl Contents {
    /// The contents that `cargo xtask image` has without options.
    pub fn usual() -> Self {
        Self::named(DEFAULT_NAME)
    }

    /// The same with another name.
    pub fn named(name: &str) -> Self {
        let (names, user) = (vec![name.into()], DEFAULT_USER.into());
        Self { names, tags: Vec::new(), annotations: Vec::new(), links: Vec::new(), user }
    }

    /// Sorts the links. Fails if the program's paths can't all be files.
    pub fn checked(&self) -> Result<Self> {
        let mut contents = self.clone();
        contents.links.sort();
        let mut paths = vec![PROGRAM];
        for link in &contents.links {
            for path in &paths {
                ensure!(path != link, UsageError(format!("the image has /{link} already; give another link")));
                let is_inside = |inner: &str, outer: &str| Path::new(inner).starts_with(outer);
                let fits = !is_inside(link, path) && !is_inside(path, link);
                ensure!(fits, UsageError(format!("/{path} and /{link} can't both be the program; leave out one")));
            }
            paths.push(link);
        }
        Ok(contents)
    }

    /// Combines every name with its own tag and all of `--tag`, or with the version if there are none.
    pub fn references(&self) -> BTreeSet<String> {
        let references = self.names.iter().flat_map(|name| {
            let (repository, tag) = split_tag(name);
            let mut tags: Vec<_> = tag.into_iter().chain(self.tags.iter().map(String::as_str)).collect();
            if tags.is_empty() {
                tags.push(VERSION);
            }
            tags.into_iter().map(move |tag| format!("{repository}:{tag}"))
        });
        references.collect()
    }
}

pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub const ARCHIVE: &str = "pause.oci.tar";
/// The image's directory, and that of the archives of single platforms, as prefixes of paths.
pub const LAYOUT: &str = "pause.oci/";
const AIR_GAP: &str = "air-gap/";
/// The licence of the crate `syscalls`, which must be passed on with the program.
pub const NOTICE: &str = "LICENSE-syscalls";

const DEFAULT_NAME: &str = "localhost/pause";
const DEFAULT_USER: &str = "65535:65535";

pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let contents = arguments.contents.checked()?;
    let mut dist = Staged::new(shell.current_dir().join("dist"))?;
    let binaries =
        build::build_with(shell, &arguments.selection.platforms(), None, Prerequisites::of("cargo xtask image"))?;
    let mut packed = pack(&binaries, &contents)?;
    status!("writing dist");
    packed.artefacts.retain(|path, _| arguments.air_gap || !path.starts_with(AIR_GAP));
    packed.stage(&mut dist);
    dist.file(NOTICE, shell.read_binary_file(NOTICE)?, 0o644);
    dist.commit()?;

    let mut table = golden::sizes(&packed.layout.images);
    table.headings.extend(["budget", "toolchain", "golden"].map(String::from));
    let golden = golden::are_golden(&shell.current_dir(), &binaries)?;
    for (row, (binary, golden)) in table.rows.iter_mut().zip(binaries.iter().zip(golden)) {
        row.extend([PULL_BUDGET.to_string(), binary.compiler.to_string(), golden.into()]);
    }
    outln!("{table}\n\nIn dist/pause.oci and dist/pause.oci.tar:");
    let references = contents.references();
    references.iter().for_each(|reference| outln!("  {reference}"));
    if references.len() > 1 {
        outln!("skopeo needs the name that you mean: oci-archive:dist/pause.oci.tar:NAME");
    }
    Ok(())
}

/// An image, and all artefacts by their paths: programs, the image's directory and archives, the seccomp profile.
pub struct Packed {
    pub layout: Layout,
    pub artefacts: BTreeMap<String, Vec<u8>>,
}

/// Makes the image of these binaries. Fails if a platform is over the budget.
pub fn pack(binaries: &[Binary], contents: &Contents) -> Result<Packed> {
    status!("packing the image");
    let layout = Layout::of(binaries, contents)?;
    let mut artefacts =
        BTreeMap::from([(ARCHIVE.into(), layout.archive()?), (seccomp::FILE.into(), seccomp::PROFILE.into())]);
    for (binary, image) in binaries.iter().zip(&layout.images) {
        let (platform, pull) = (image.platform, image.pull());
        ensure!(pull <= PULL_BUDGET, "{platform} is {pull} bytes to pull, over the budget of {PULL_BUDGET}");
        artefacts.insert(format!("bin/{}", binary.file_name()), binary.content.clone());
        let alone = Layout::of(std::slice::from_ref(binary), contents)?;
        artefacts.insert(air_gap_archive(binary.platform), alone.archive()?);
    }
    artefacts.extend(layout.files.iter().map(|(path, content)| (format!("{LAYOUT}{path}"), content.clone())));
    Ok(Packed { layout, artefacts })
}

impl Packed {
    pub fn stage(&self, staged: &mut Staged) {
        for (path, content) in &self.artefacts {
            staged.file(path, content.clone(), if path.starts_with("bin/") { 0o755 } else { 0o644 });
        }
    }
}

/// Path of a single platform's archive, relative to the image's directory.
pub fn air_gap_archive(platform: &Platform) -> String {
    format!("{AIR_GAP}pause-{}.tar", platform.file_name())
}

/// Splits a tag from an image's name. A port isn't a tag.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// Parses the value of `--name`, by the grammar of <https://github.com/distribution/reference/blob/v0.6.0/reference.go>,
/// without a digest or an IPv6 address. Completes it as Docker does.
fn parse_name(text: &str) -> Result<String> {
    let (name, tag) = split_tag(text);
    let (registry, path) = match name.split_once('/') {
        Some((registry, path)) if registry == "localhost" || registry.contains(['.', ':']) => (registry, path),
        _ => (DOCKER_HUB, name),
    };
    let is_path = path.split('/').all(is_component) && name.len() <= 255;
    let is_name = is_registry(registry) && is_path && tag.is_none_or(is_tag);
    ensure!(is_name, "an image's name looks like localhost/pause or registry.example/pause:3.10, in small letters");
    let library = if registry == DOCKER_HUB && !path.contains('/') { "library/" } else { "" };
    Ok(format!("{registry}/{library}{path}{}", &text[name.len()..]))
}

const DOCKER_HUB: &str = "docker.io";

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_label = |label: &str| {
        let is_plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(is_label) && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_component(text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let is_separator = |text: &str| ["", ".", "_", "__"].contains(&text) || text.bytes().all(|byte| byte == b'-');
    text.starts_with(is_plain) && text.ends_with(is_plain) && text.split(is_plain).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with(['.', '-'])
}

/// Parses the value of `--tag`.
fn parse_tag(text: &str) -> Result<String> {
    ensure!(is_tag(text), "a tag is up to 128 letters, digits, dots, dashes and underscores, not `.` or `-` first");
    Ok(text.into())
}

/// Parses the value of `--annotation`.
fn parse_annotation(text: &str) -> Result<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && !text.contains(char::is_control) => Ok((key.into(), value.into())),
        _ => bail!("an annotation looks like org.opencontainers.image.revision=1a2b3c, without control characters"),
    }
}

/// Parses the value of `--user`. Docker's largest number is the limit.
fn parse_user(text: &str) -> Result<String> {
    let is_id = |id: &str| id.parse::<i32>().is_ok_and(|number| number >= 0 && number.to_string() == id);
    let is_user = text.split(':').count() <= 2 && text.split(':').all(is_id);
    ensure!(is_user, "a user is UID or UID:GID, in decimal numbers up to 2147483647");
    Ok(text.into())
}

/// Parses the value of `--link`. A name like `.wh.pod` would delete a file; runtimes mount over some directories.
fn parse_link(text: &str) -> Result<String> {
    let path = text.strip_prefix('/').unwrap_or_default();
    let mounted = ["dev", "etc", "proc", "run", "sys"].iter().any(|name| path.split('/').next() == Some(name));
    let is_special = |part: &str| ["", ".", ".."].contains(&part) || part.starts_with(".wh.");
    let is_plain = path.len() <= 100 && path.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(
        is_plain && !path.split('/').any(is_special) && !mounted,
        "a link is a path like /usr/bin/pod: up to 100 ASCII characters, without blanks or components like `.`, `..` \
         and `.wh.pod`, and not in /dev, /etc, /proc, /run or /sys"
    );
    Ok(path.into())
}
