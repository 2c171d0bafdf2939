//! `cargo xtask verify`: compares an image, byte by byte, with the one that this source makes.
//!
//! It parses nothing: if two programs read the same file, an attacker will find where they disagree.

use crate::build::{self, Binary};
use crate::command::{ChildExit, UsageError};
use crate::compiler::Compiler;
use crate::digest::sha256;
use crate::image::{self, Contents, Descriptor, Image, Packed};
use crate::platform::Selection;
use crate::prerequisites::Prerequisites;
use crate::{outln, status};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::{Builder, NamedTempFile, TempDir};
use xshell::{Shell, cmd};

/// Build the image and compare it, byte by byte, with an archive, a directory or an image in a registry
///
/// Pass the options that the image was made with. An archive is equal if it is one of those that
/// `cargo xtask image --air-gap` writes, and a directory if it has the files of dist/pause.oci and no others. An image
/// in a registry is equal if its index, all manifests and all blobs are, as skopeo copies them; one platform's manifest
/// may be there without the index.
#[derive(clap::Args)]
#[command(after_help = "Exit status: 0 if equal, 1 if different, 2 if that can't be determined.")]
pub struct Arguments {
    /// A file, a directory, or docker://REGISTRY/NAME[:TAG|@DIGEST] [default: dist/pause.oci]
    image: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    contents: Contents,
    /// Build with this toolchain only [default: the active one, if it has `core` or its source]
    #[arg(long, value_name = "WHICH")]
    toolchain: Option<Compiler>,
    /// Talk HTTP to the registry
    #[arg(long)]
    plain_http: bool,
    /// Give up copying from the registry after this time
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

/// Most bytes that skopeo may write. The image has about 40,000.
const LIMIT: u64 = 4 << 20;

/// Largest number of differences that are printed.
const LINES: usize = 5;

/// Longest name or message from outside that is printed, in characters.
const WIDTH: usize = 200;

/// Runs the command. Its exit statuses are those of `cmp` and `diff`.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let image = arguments.image.clone().unwrap_or_else(|| shell.current_dir().join("dist/pause.oci"));
    match verify(shell, arguments, &image) {
        Ok(true) => Ok(()),
        Ok(false) => bail!(ChildExit(1)),
        Err(error) => bail!(UsageError(format!("{error:#}"))),
    }
}

fn verify(shell: &Shell, arguments: &Arguments, image: &Path) -> Result<bool> {
    let reference = image.to_str().filter(|image| image.starts_with("docker://"));
    let mut prerequisites = Prerequisites::of("cargo xtask verify");
    if let Some(reference) = reference {
        ensure!(reference[9..].contains('/'), "{} is not docker://REGISTRY/NAME", escape(reference));
        prerequisites.file("skopeo", "skopeo", "copy the image from its registry");
    } else {
        let name = escape(&image.to_string_lossy());
        let metadata = fs::metadata(image)
            .with_context(|| format!("can't read {name} (an image in a registry would be docker://REGISTRY/NAME)"))?;
        ensure!(metadata.is_file() || metadata.is_dir(), "{name} is neither a file nor a directory");
    }
    let contents = arguments.contents.checked()?;
    let platforms = arguments.selection.platforms();
    let ours = Ours::of(&build::build_with(shell, &platforms, arguments.toolchain, prerequisites)?, &contents)?;
    let place = Builder::new().prefix("verify-").tempdir_in(shell.create_dir("target")?)?;
    let (theirs, verdict) = match reference {
        Some(reference) => {
            let theirs = place.path().join("theirs");
            let options: &[&str] = if arguments.plain_http { &["--src-tls-verify=false"] } else { &[] };
            fetch(shell, reference, options, &theirs, Duration::from_secs(arguments.timeout))?;
            let verdict = ours.compare_copy(&theirs)?;
            (theirs, verdict)
        }
        None => (image.into(), ours.compare(image)?),
    };
    let (lines, ours) = match verdict {
        Ok(equal) => {
            outln!("equal: {equal}");
            return Ok(true);
        }
        Err(difference) => difference,
    };
    // Both images stay, for the command that is printed.
    let place = place.keep().join("ours");
    ours.iter().try_for_each(|(path, content)| shell.write_file(place.join(path), content))?;
    outln!("different: {}", escape(&image.to_string_lossy()));
    lines.iter().for_each(|line| outln!("  {line}"));
    outln!("To see more, run `{}`", escape(&cmd!(shell, "diffoscope {place} {theirs}").to_string()));
    Ok(false)
}

/// Copies an image from a registry into a new directory, unless that takes too many bytes or too long.
fn fetch(shell: &Shell, reference: &str, options: &[&str], to: &Path, timeout: Duration) -> Result<()> {
    fs::create_dir(to)?;
    // Signatures don't matter here.
    let options = [&["--quiet", "--all", "--preserve-digests", "--remove-signatures"], options].concat();
    let command = cmd!(shell, "skopeo --insecure-policy copy {options...} {reference} dir:{to}");
    status!("$ {}", escape(&command.to_string()));
    let messages = NamedTempFile::new()?;
    let mut command = Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(messages.reopen()?);
    // Root's cache of blobs would be the machine's. `blobInfoCacheDir` in
    // https://github.com/containers/image/blob/v5.36.0/pkg/blobinfocache/default.go
    let cache = TempDir::new()?;
    command.env("_CONTAINERS_ROOTLESS_UID", "65534").env("XDG_DATA_HOME", cache.path());
    #[cfg(target_os = "linux")]
    // SAFETY: a system call, which is all that is safe between fork and exec.
    unsafe {
        // Nothing but this process limits it.
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
        });
    }
    let mut skopeo = command.spawn().context("can't start skopeo")?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = skopeo.try_wait()? {
            break status;
        }
        // A file may have been renamed since it was listed.
        let sizes = fs::read_dir(to)?.map(|file| Ok(file?.metadata().map_or(0, |metadata| metadata.len())));
        let size = sizes.sum::<std::io::Result<u64>>()? + messages.as_file().metadata()?.len();
        if size > LIMIT || start.elapsed() > timeout {
            skopeo.kill()?;
            skopeo.wait()?;
            ensure!(size <= LIMIT, "the image has more than {LIMIT} bytes: it is not this source's");
            bail!("skopeo has not copied the image within {} s", timeout.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        let messages = fs::read(messages.path())?;
        let messages = String::from_utf8_lossy(&messages);
        let last = messages.lines().last().unwrap_or("no reason given");
        // The time and the level come first.
        bail!("skopeo can't copy the image: {}", shown(last.split_once("msg=").map_or(last, |(_, message)| message)));
    }
    // The version of skopeo's format.
    Ok(fs::remove_file(to.join("version"))?)
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

struct Ours {
    archives: Files,
    layout: Files,
    /// The files that skopeo's `dir:` makes of the index of all platforms, and of each manifest, with their names.
    copies: Vec<(String, Files)>,
    manifests: Vec<(&'static str, Vec<u8>)>,
}

/// The equal part with its digest; or lines about the difference, and the files with which the image was compared.
type Verdict = std::result::Result<String, (Vec<String>, Files)>;

impl Ours {
    fn of(binaries: &[Binary], contents: &Contents) -> Result<Self> {
        let Packed { layout: packed, artefacts } = image::pack(binaries, contents)?;
        let archives = artefacts.into_iter().filter(|(path, _)| path.ends_with(".tar"));
        let archives = archives.map(|(path, content)| (path.into(), content)).collect();
        let layout: Files = packed.files.into_iter().map(|(path, content)| (path.into(), content)).collect();
        let blob = |descriptor: &Descriptor| layout[Path::new(&descriptor.path())].clone();
        let mut all = Files::from([(MANIFEST.into(), blob(&packed.root))]);
        let (mut copies, mut manifests) = (Vec::new(), Vec::new());
        for Image { platform, manifest, config, layer, .. } in &packed.images {
            let mut one: Files =
                [config, layer].map(|descriptor| (PathBuf::from(&descriptor.digest), blob(descriptor))).into();
            all.extend(one.clone());
            all.insert(format!("{}.{MANIFEST}", manifest.digest).into(), blob(manifest));
            one.insert(MANIFEST.into(), blob(manifest));
            copies.push((format!("manifest of {platform}"), one));
            manifests.push((*platform, blob(manifest)));
        }
        if manifests.len() > 1 {
            copies.insert(0, ("index".into(), all));
        }
        Ok(Self { archives, layout, copies, manifests })
    }

    /// Compares an archive or the directory of a layout. The path itself may be a link, because it is the caller's.
    fn compare(&self, image: &Path) -> Result<Verdict> {
        if image.is_dir() {
            return self.compare_files(&self.copies[0], image, &self.layout);
        }
        let limit = self.archives.values().map(Vec::len).max().unwrap_or_default();
        let theirs = read(Path::new(""), &image.canonicalize()?, limit)?.context("the archive is no longer a file")?;
        // The archive with the longest common start.
        let common = |ours: &[u8]| ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
        let closest = self.archives.iter().max_by_key(|(_, ours)| (**ours == theirs, common(ours)));
        let (name, ours) = closest.context("there are archives")?;
        if *ours == theirs {
            return Ok(Ok(format!("{} sha256:{}", name.display(), sha256(&theirs))));
        }
        let line = format!("{}: {}, from byte {} on", name.display(), difference(ours, &theirs), common(ours));
        let platforms = self.describe(|manifest| theirs.windows(manifest.len()).any(|bytes| bytes == manifest));
        Ok(Err((vec![line, platforms], Files::from([(name.clone(), ours.clone())]))))
    }

    /// Compares a copy made by [`fetch`].
    fn compare_copy(&self, copy: &Path) -> Result<Verdict> {
        let manifest = Path::new(MANIFEST);
        let found = read(copy, manifest, self.copies[0].1[manifest].len())?;
        let same = self.copies.iter().find(|(_, files)| Some(&files[manifest]) == found.as_ref());
        let ours = same.unwrap_or(&self.copies[0]);
        self.compare_files(ours, copy, &ours.1)
    }

    /// Compares a directory, which must have these files and no others.
    fn compare_files(&self, root: &(String, Files), directory: &Path, ours: &Files) -> Result<Verdict> {
        let (mut equal, mut lines) = (Vec::new(), Vec::new());
        for (path, content) in ours {
            match read(directory, path, content.len())? {
                Some(theirs) if theirs == *content => equal.push(content),
                Some(theirs) => lines.push(format!("{}: {}", path.display(), difference(content, &theirs))),
                None => lines.push(format!("{}: it is missing, or not a regular file", path.display())),
            }
        }
        let directories: BTreeSet<&Path> = ours.keys().flat_map(|path| path.ancestors().skip(1)).collect();
        let mut unreferenced = BTreeSet::new();
        for parent in directories.iter().filter(|path| is_directory(directory, path)) {
            for entry in fs::read_dir(directory.join(parent))? {
                let path = parent.join(entry?.file_name());
                if !ours.contains_key(&path) && !directories.contains(&*path) {
                    unreferenced.insert(path);
                }
            }
        }
        let line = |path: &PathBuf| format!("{}: it is not part of the image", shown(&path.to_string_lossy()));
        lines.extend(unreferenced.iter().map(line));
        if lines.is_empty() {
            return Ok(Ok(format!("{} sha256:{}", root.0, sha256(&root.1[Path::new(MANIFEST)]))));
        }
        let more = lines.len().saturating_sub(LINES);
        lines.truncate(LINES);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines.push(self.describe(|manifest| equal.contains(&manifest)));
        Ok(Err((lines, ours.clone())))
    }

    /// Lists the platforms with this source's manifest, and the others.
    fn describe(&self, is_ours: impl Fn(&Vec<u8>) -> bool) -> String {
        let names = |ours: bool| {
            let manifests = self.manifests.iter().filter(|(_, manifest)| is_ours(manifest) == ours);
            let names: Vec<_> = manifests.map(|(platform, _)| *platform).collect();
            match names.len() {
                0 => "none".into(),
                count if count == self.manifests.len() => "all".into(),
                _ => names.join(", "),
            }
        };
        format!("manifests of this source: {}; other or missing ones: {}", names(true), names(false))
    }
}

/// The root of skopeo's `dir:`.
const MANIFEST: &str = "manifest.json";

/// Describes a file that differs. Of a larger one, only one byte more was read.
fn difference(ours: &[u8], theirs: &[u8]) -> String {
    let is_larger = theirs.len() > ours.len();
    let theirs =
        if is_larger { format!("more than {} bytes", ours.len()) } else { format!("sha256:{}", sha256(theirs)) };
    format!("{theirs} instead of sha256:{}", sha256(ours))
}

/// Whether a path below a directory is itself a directory, without links.
fn is_directory(root: &Path, path: &Path) -> bool {
    let mut parts = path.ancestors().filter(|part| !part.as_os_str().is_empty());
    parts.all(|part| root.join(part).symlink_metadata().is_ok_and(|metadata| metadata.is_dir()))
}

/// Reads a file below a directory, up to one byte over the limit. `None` if it isn't regular: opening it could block.
fn read(root: &Path, path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    let file = root.join(path);
    let read = || -> std::io::Result<_> {
        if !path.parent().is_some_and(|parent| is_directory(root, parent)) || !file.symlink_metadata()?.is_file() {
            return Ok(None);
        }
        let mut options = File::options();
        #[cfg(unix)]
        {
            // The file may have been replaced since.
            let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits());
        }
        let mut content = Vec::new();
        options.read(true).open(&file)?.take(limit as u64 + 1).read_to_end(&mut content)?;
        Ok(Some(content))
    };
    match read() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.with_context(|| format!("can't read {}", path.display())),
    }
}

/// Escapes characters that a terminal would interpret.
fn escape(text: &str) -> String {
    let is_plain = |char: char| ['"', '\'', '\\'].contains(&char);
    text.chars().map(|char| if is_plain(char) { char.into() } else { char.escape_debug().to_string() }).collect()
}

/// Escapes and shortens text from outside.
fn shown(text: &str) -> String {
    let text = escape(text);
    text.char_indices().nth(WIDTH).map_or(text.clone(), |(end, _)| format!("{}…", &text[..end]))
}
