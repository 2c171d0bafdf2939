//! `cargo xtask image`: the OCI image of all platforms, as a directory and as one archive that every tool loads.

mod layout;

use crate::build::{self, Binary};
use crate::command::Misuse;
use crate::needs::Needs;
use crate::output::Staged;
use crate::platform::{Platform, Selection};
use crate::progress::Progress;
use crate::seccomp::{self, Profile};
use crate::sizes::{self, Sizes};
use crate::{digests, say};
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
/// dist/pause.oci is a directory in the OCI image layout. dist/pause.oci.tar is the same as one archive, which podman
/// load, ctr images import, skopeo (oci-archive: and docker-archive:) and docker load all take. docker load takes the
/// first platform. With a single --platform, index.json names that platform's manifest, and not an index.
/// dist/pause.seccomp.json is a seccomp profile with the system calls that the program makes. Pass dist/LICENSE-syscalls
/// on with the image.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    contents: ContentsArguments,
    /// Also write an archive of each single platform into dist/air-gap, for nodes without a network
    #[arg(long)]
    air_gap: bool,
}

/// Options for the image's contents.
#[derive(clap::Args)]
pub struct ContentsArguments {
    /// Image name; may be repeated
    #[arg(long = "name", value_name = "NAME[:TAG]", value_parser = parse_name, default_value = DEFAULT_NAME)]
    names: Vec<Name>,
    /// Tag for every name; may be repeated [default: the version, for a name without a tag]
    #[arg(long = "tag", value_name = "TAG", value_parser = parse_tag)]
    tags: Vec<String>,
    /// Annotation of the index, such as org.opencontainers.image.source=https://…; may be repeated
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = parse_annotation)]
    annotations: Vec<(String, String)>,
    /// Another path of the program, such as /usr/bin/pod for OpenShift; may be repeated
    #[arg(long = "link", value_name = "PATH", value_parser = parse_link)]
    links: Vec<String>,
    /// User that runs the program; without GID, runtimes take group 0
    #[arg(long, value_name = "UID[:GID]", value_parser = parse_user, default_value = DEFAULT_USER)]
    user: String,
}

impl ContentsArguments {
    /// Returns the image's contents. Fails if the links can't be together in one image.
    pub fn contents(&self) -> Result<Contents> {
        let mut links = self.links.clone();
        links.sort();
        check_links(&links)?;
        Ok(Contents {
            references: references(&self.names, &self.tags),
            annotations: self.annotations.clone(),
            links,
            user: self.user.clone(),
        })
    }
}

/// The parts of an image that are not built.
pub struct Contents {
    /// Full names with tags.
    pub references: BTreeSet<String>,
    /// Annotations of the index, besides [`ANNOTATIONS`].
    pub annotations: Vec<(String, String)>,
    /// Other paths of the program, relative to the root.
    pub links: Vec<String>,
    /// `UID[:GID]`.
    pub user: String,
}

impl Contents {
    /// The contents that `cargo xtask image` has without options.
    pub fn usual() -> Self {
        Self::named(format!("{DEFAULT_NAME}:{VERSION}"))
    }

    /// The same with another name.
    pub fn named(reference: impl Into<String>) -> Self {
        let references = BTreeSet::from([reference.into()]);
        Contents { references, annotations: Vec::new(), links: Vec::new(), user: DEFAULT_USER.into() }
    }
}

/// A name for the image, from the command line.
#[derive(Clone)]
struct Name {
    /// With the registry.
    repository: String,
    tag: Option<String>,
}

const DEFAULT_NAME: &str = "localhost/pause";

/// The licence of the crate `syscalls`, which must be passed on with the program.
const NOTICE: &str = "LICENSE-syscalls";

const DEFAULT_USER: &str = "65535:65535";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the command.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let contents = arguments.contents.contents()?;
    let mut dist = Staged::new(shell.current_dir().join("dist"))?;
    let binaries = build::build_with(shell, &arguments.selection.platforms(), None, Needs::of("cargo xtask image"))?;
    let packed = pack(&binaries, &contents)?;
    let progress = Progress::new(1);
    progress.step("writing dist");
    let all_sizes = stage(&mut dist, &binaries, packed, &contents, arguments.air_gap)?;
    dist.file(NOTICE, shell.read_binary_file(NOTICE)?, 0o644);
    dist.commit()?;
    drop(progress);

    let mut table = sizes::table(&all_sizes);
    table.headings.extend(["budget".into(), "toolchain".into(), "golden".into()]);
    let golden = digests::are_golden(&shell.current_dir(), &binaries)?;
    for (row, (binary, golden)) in table.rows.iter_mut().zip(binaries.iter().zip(golden)) {
        row.extend([PULL_BUDGET.to_string(), binary.compiler.to_string(), golden.into()]);
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

/// Stages all artefacts of the command. Returns the sizes.
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
    images: Vec<Image>,
    sizes: Vec<Sizes>,
}

impl Packed {
    /// Returns the path and content of each file in `pause.oci`.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.layout.files()
    }

    /// The same as an archive.
    pub fn archive(&self) -> Result<Vec<u8>> {
        self.layout.archive()
    }

    /// The image's digest in hexadecimal: of its index, or of a single platform's manifest.
    pub fn digest(&self) -> &str {
        self.layout.digest()
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
        staged.file("pause.oci.tar", self.archive()?, 0o644);
        staged.file(seccomp::FILE, Profile::of_the_program().to_json()?, 0o644);
        Ok(self.sizes)
    }
}

/// Makes the image of these binaries. Fails if a platform is over the budget.
pub fn pack(binaries: &[Binary], contents: &Contents) -> Result<Packed> {
    let progress = Progress::new(1);
    progress.step("packing the image");
    let (layout, images) = Layout::of(binaries, contents)?;
    let all_sizes: Vec<_> = binaries.iter().zip(&images).map(|(binary, image)| sizes(binary, image)).collect();
    for sizes in &all_sizes {
        let (platform, pull) = (sizes.platform, sizes.pull());
        ensure!(pull <= PULL_BUDGET, "{platform} is {pull} bytes to pull, over the budget of {PULL_BUDGET}");
    }
    Ok(Packed { layout, images, sizes: all_sizes })
}

/// Stages an archive per platform, at the path of [`air_gap_archive`].
pub fn stage_each(staged: &mut Staged, binaries: &[Binary], contents: &Contents) -> Result<()> {
    air_gap(binaries, contents)?.into_iter().for_each(|(path, archive)| staged.file(path, archive, 0o644));
    Ok(())
}

/// The archive of each platform, with its path.
pub fn air_gap(binaries: &[Binary], contents: &Contents) -> Result<Vec<(String, Vec<u8>)>> {
    let archive = |binary| {
        let (layout, _) = Layout::of(std::slice::from_ref(binary), contents)?;
        Ok((air_gap_archive(binary.platform), layout.archive()?))
    };
    binaries.iter().map(archive).collect()
}

/// The path of a single platform's archive, relative to the image's directory.
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

/// The bytes of manifest, config and layer for this binary.
pub fn pull_size(binary: &Binary) -> Result<u64> {
    Ok(sizes(binary, &Layout::of(std::slice::from_ref(binary), &Contents::usual())?.1[0]).pull())
}

/// Parses the value of `--name`.
fn parse_name(text: &str) -> Result<Name> {
    let reference = Reference::from_str(text).ok().filter(|reference| text.is_ascii() && reference.digest().is_none());
    let Some(reference) = reference else {
        bail!("an image's name looks like localhost/pause or registry.example/pause:3.10, in small letters");
    };
    // `Reference` adds "latest" if there is no tag.
    let tag = reference.tag().filter(|tag| text.ends_with(&format!(":{tag}"))).map(String::from);
    Ok(Name { repository: format!("{}/{}", reference.registry(), reference.repository()), tag })
}

/// Parses the value of `--tag`.
fn parse_tag(text: &str) -> Result<String> {
    match parse_name(&format!("localhost/pause:{text}")) {
        Ok(Name { tag: Some(tag), .. }) if tag == text => Ok(tag),
        _ => bail!("a tag is up to 128 letters, digits, dots, dashes and underscores, and starts with none of .-"),
    }
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
    ensure!(
        text.split(':').count() <= 2 && text.split(':').all(is_id),
        "a user is UID or UID:GID, in decimal numbers up to 2147483647"
    );
    Ok(text.into())
}

/// Parses the value of `--link`. A name that starts with `.wh.` would delete a file, and runtimes mount over some
/// directories.
pub fn parse_link(text: &str) -> Result<String> {
    let path = text.strip_prefix('/').unwrap_or_default();
    let mounted = ["dev", "etc", "proc", "run", "sys"].iter().any(|name| path.split('/').next() == Some(name));
    let is_plain = |part: &str| {
        !["", ".", ".."].contains(&part)
            && !part.starts_with(".wh.")
            && part.bytes().all(|byte| byte.is_ascii_graphic())
    };
    ensure!(
        path.len() <= 100 && path.split('/').all(is_plain) && !mounted,
        "a link is a path like /usr/bin/pod: up to 100 ASCII characters, without blanks or components like `.`, `..` \
         and `.wh.pod`, and not in /dev, /etc, /proc, /run or /sys"
    );
    Ok(path.into())
}

/// Fails if the program's paths can't all be files.
fn check_links(links: &[String]) -> Result<()> {
    let mut paths = vec![PROGRAM];
    for link in links {
        for path in &paths {
            ensure!(path != link, Misuse(format!("the image has /{link} already; give another link")));
            let inside = |outer: &str, inner: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
            let fits = !inside(path, link) && !inside(link, path);
            ensure!(fits, Misuse(format!("/{path} and /{link} can't both be the program; leave out one")));
        }
        paths.push(link);
    }
    Ok(())
}

/// Combines every name with its own tag and all of `tags`, or with the version if there are none.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_or_two_plain_numbers() {
        for user in ["0", "1000", "65535:65535", "0:2147483647"] {
            assert_eq!(parse_user(user).unwrap(), user);
        }
        for user in
            ["", ":", "1:", ":1", "1:2:3", "root", "-1", "+1", "007", "1 ", "0x10", "2147483648", "1:root", "1\n"]
        {
            assert!(parse_user(user).is_err(), "{user:?}");
        }
    }

    #[test]
    fn a_link_is_a_path_that_unpacks() {
        let longest = format!("/{}", "a".repeat(100));
        for link in ["/usr/bin/pod", "/pause2", "/.hidden", &longest] {
            assert_eq!(parse_link(link).unwrap(), link[1..]);
        }
        let too_long = format!("{longest}a");
        let bad = ["", "/", "pod", "//pod", "/usr/", "/./pod", "/../pod", "/.wh.pause", "/usr/.wh..wh..opq", "/a b"];
        let worse = ["/a\nb", "/a\u{1b}b", "/pöd", "/dev", "/proc/1/exe", "/etc/pod", "/run", "/sys/pod", &too_long];
        for link in bad.into_iter().chain(worse) {
            assert!(parse_link(link).is_err(), "{link:?}");
        }
    }

    #[test]
    fn links_and_the_program_are_files_of_their_own() {
        let check = |links: &[&str]| check_links(&links.iter().map(|&link| link.into()).collect::<Vec<_>>());
        check(&["a", "ab", "b/c", "b/d", "pause2"]).unwrap();
        for links in [&["pause"][..], &["pause/x"], &["a", "a"], &["a", "a/b"], &["a/b", "a"], &["a", "a.b", "a/b/c"]] {
            assert!(check(links).unwrap_err().is::<Misuse>(), "{links:?}");
        }
    }

    #[test]
    fn an_annotation_is_a_key_and_a_value_without_control_characters() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(parse_annotation("a=b=c").unwrap(), pair("a", "b=c"));
        assert_eq!(parse_annotation("a=").unwrap(), pair("a", ""));
        for annotation in ["", "a", "=b", "a=b\n", "a\t=b", "a=\u{1b}[2J", "a=\u{9b}2J", "a\0=b"] {
            assert!(parse_annotation(annotation).is_err(), "{annotation:?}");
        }
    }
}
