//! `cargo xtask verify`: an image, compared byte by byte with the one that this source makes.
//!
//! Nothing that is found is parsed: if two programs read the same file, an attacker will find where they disagree.

use crate::build::{self, Binary};
use crate::command::{Failed, Misuse};
use crate::compiler::Compiler;
use crate::digest::sha256;
use crate::image::{self, Contents, ContentsArguments};
use crate::needs::Needs;
use crate::platform::Selection;
use crate::{note, say};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::{NamedTempFile, TempDir};
use xshell::{Shell, cmd};

/// Build the image and compare it, byte by byte, with an archive, a directory or an image in a registry
///
/// The options have to be those that the image was made with. An archive is equal if it is one of those that
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
    contents: ContentsArguments,

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

/// Most bytes that skopeo may write. The image has some 40,000.
const LIMIT: u64 = 4 << 20;

/// Most differences that are printed.
const LINES: usize = 5;

/// Most characters that are printed of a name or a message from outside.
const WIDTH: usize = 200;

/// Runs the command. Its exit statuses are those of `cmp` and `diff`.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let image = arguments.image.clone().unwrap_or_else(|| shell.current_dir().join("dist/pause.oci"));
    match verify(shell, arguments, &image) {
        Ok(true) => Ok(()),
        Ok(false) => bail!(Failed(1)),
        Err(error) => bail!(Misuse(format!("{error:#}"))),
    }
}

fn verify(shell: &Shell, arguments: &Arguments, image: &Path) -> Result<bool> {
    let reference = image.to_str().filter(|image| image.starts_with("docker://"));
    let mut needs = Needs::of("cargo xtask verify");
    if reference.is_some() {
        needs.file("skopeo", "skopeo", "copy the image from its registry");
    } else {
        let name = escape(&image.to_string_lossy());
        let there = fs::metadata(image)
            .with_context(|| format!("can't read {name} (an image in a registry would be docker://REGISTRY/NAME)"))?;
        ensure!(there.is_file() || there.is_dir(), "{name} is neither a file nor a directory");
    }
    let contents = arguments.contents.contents()?;
    let ours =
        Ours::of(&build::build_with(shell, &arguments.selection.platforms(), arguments.toolchain, needs)?, &contents)?;
    let place = TempDir::with_prefix("pause-verify-")?;
    let theirs = if reference.is_some() { place.path().join("theirs") } else { image.into() };
    let verdict = match reference {
        Some(reference) => {
            let options: &[&str] = if arguments.plain_http { &["--src-tls-verify=false"] } else { &[] };
            fetch(shell, reference, options, &theirs, Duration::from_secs(arguments.timeout))?;
            ours.compare_copy(&theirs)
        }
        None => ours.compare(image),
    };
    let Difference { lines, ours } = match verdict? {
        Ok(what) => {
            say!("equal: {what}");
            return Ok(true);
        }
        Err(difference) => difference,
    };
    // It stays, for the command that is printed.
    let place = place.keep().join("ours");
    ours.iter().try_for_each(|(path, content)| shell.write_file(place.join(path), content))?;
    say!("different: {}", escape(&image.to_string_lossy()));
    lines.iter().for_each(|line| say!("  {line}"));
    say!("To see more, run `{}`", escape(&cmd!(shell, "diffoscope {place} {theirs}").to_string()));
    Ok(false)
}

/// Copies an image from a registry into a new directory, unless that takes too many bytes or too long.
pub fn fetch(shell: &Shell, reference: &str, options: &[&str], to: &Path, timeout: Duration) -> Result<()> {
    fs::create_dir(to)?;
    // Signatures don't matter here.
    let options = [&["--quiet", "--all", "--preserve-digests", "--remove-signatures"], options].concat();
    let command = cmd!(shell, "skopeo --insecure-policy copy {options...} {reference} dir:{to}");
    note!("$ {}", escape(&command.to_string()));
    let messages = NamedTempFile::new()?;
    let mut command = Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(messages.reopen()?);
    #[cfg(target_os = "linux")]
    // SAFETY: a system call, which is all that is safe between fork and exec.
    unsafe {
        // Without this command, which watches it, it has no limits.
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?)
        });
    }
    let mut skopeo = command.spawn().context("can't start skopeo")?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = skopeo.try_wait()? {
            break status;
        }
        // A file may just have been renamed.
        let sizes = fs::read_dir(to)?.map(|file| Ok(file?.metadata().map_or(0, |there| there.len())));
        let size = sizes.sum::<std::io::Result<u64>>()? + messages.as_file().metadata()?.len();
        if size > LIMIT || begin.elapsed() > timeout {
            skopeo.kill()?;
            skopeo.wait()?;
            ensure!(size <= LIMIT, "the image has more than {LIMIT} bytes: it is not this source's");
            bail!("skopeo has not copied the image within {} s", timeout.as_secs());
        }
        sleep(Duration::from_millis(20));
    };
    if !status.success() {
        let messages = fs::read(messages.path())?;
        let messages = String::from_utf8_lossy(&messages);
        // After a time and a level.
        let message = messages.lines().last().map(|line| line.split_once("msg=").map_or(line, |(_, message)| message));
        bail!("skopeo can't copy the image: {}", shown(message.unwrap_or("no reason given")));
    }
    // The version of the format, which is skopeo's own.
    Ok(fs::remove_file(to.join("version"))?)
}

/// Files by their paths.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The image of this source.
pub struct Ours {
    /// The archives.
    pub archives: Files,
    /// The files of the layout.
    pub layout: Files,
    /// The files that skopeo's `dir:` makes of the image in a registry, and what its `manifest.json` is: the index of
    /// all platforms, or the manifest of one.
    pub copies: Vec<(String, Files)>,
    /// The digest of the index, or of a single platform's manifest, in hexadecimal.
    digest: String,
    /// The manifest of each platform.
    pub manifests: Vec<(&'static str, Vec<u8>)>,
}

/// What is equal, with its digest; or what is different.
pub type Verdict = std::result::Result<String, Difference>;

/// How an image differs from this source's.
pub struct Difference {
    /// For readers.
    pub lines: Vec<String>,
    /// What was compared with it.
    ours: Files,
}

impl Ours {
    /// Packs the image.
    pub fn of(binaries: &[Binary], contents: &Contents) -> Result<Self> {
        let packed = image::pack(binaries, contents)?;
        let archives = image::air_gap(binaries, contents)?.into_iter().map(|(path, content)| (path.into(), content));
        let archives = archives.chain([("pause.oci.tar".into(), packed.archive()?)]).collect();
        let layout: Files = packed.files().map(|(path, content)| (path.into(), content.into())).collect();
        let blob = |digest: &str| layout[&Path::new("blobs/sha256").join(digest)].clone();
        let mut all = Files::from([(MANIFEST.into(), blob(packed.digest()))]);
        let (mut copies, mut manifests) = (Vec::new(), Vec::new());
        for (platform, manifest, blobs) in packed.images() {
            let mut one: Files = blobs.iter().map(|digest| (digest.into(), blob(digest))).collect();
            all.extend(one.clone());
            all.insert(format!("{manifest}.{MANIFEST}").into(), blob(manifest));
            one.insert(MANIFEST.into(), blob(manifest));
            copies.push((format!("manifest of {platform}"), one));
            manifests.push((platform, blob(manifest)));
        }
        if manifests.len() > 1 {
            copies.insert(0, ("index".into(), all));
        }
        Ok(Self { archives, layout, copies, digest: packed.digest().into(), manifests })
    }

    /// Compares an archive or the directory of a layout. The path itself may be a link: it is the caller's.
    pub fn compare(&self, image: &Path) -> Result<Verdict> {
        if image.is_dir() {
            return self.compare_files(&format!("{} sha256:{}", self.copies[0].0, self.digest), image, &self.layout);
        }
        let limit = self.archives.values().map(Vec::len).max().unwrap_or_default();
        let found =
            read(Path::new(""), &image.canonicalize()?, limit)?.context("the archive is not a file any more")?;
        if let Some((name, _)) = self.archives.iter().find(|(_, archive)| **archive == found) {
            return Ok(Ok(format!("{} sha256:{}", name.display(), sha256(&found))));
        }
        // The one that has most in common with it.
        let common = |archive: &[u8]| archive.iter().zip(&found).take_while(|(ours, theirs)| ours == theirs).count();
        let closest = self.archives.iter().max_by_key(|(_, archive)| common(archive));
        let (name, archive) = closest.context("there are archives")?;
        let (digests, offset) = (difference(archive, &found), common(archive));
        let line = format!("{}: {digests}; the first other byte is {offset}", name.display());
        let is_ours = |manifest: &Vec<u8>| found.windows(manifest.len()).any(|bytes| bytes == manifest);
        let ours = Files::from([(name.clone(), archive.clone())]);
        Ok(Err(Difference { lines: vec![line, self.describe(is_ours)], ours }))
    }

    /// Compares what [`fetch`] has copied.
    pub fn compare_copy(&self, copy: &Path) -> Result<Verdict> {
        let manifest = Path::new(MANIFEST);
        let found = read(copy, manifest, self.copies[0].1[manifest].len())?;
        let same = self.copies.iter().find(|(_, files)| Some(&files[manifest]) == found.as_ref());
        let (what, files) = same.unwrap_or(&self.copies[0]);
        self.compare_files(&format!("{what} sha256:{}", sha256(&files[manifest])), copy, files)
    }

    /// Compares a directory, which must have these files and no others.
    fn compare_files(&self, what: &str, directory: &Path, ours: &Files) -> Result<Verdict> {
        let (mut equal, mut lines) = (Vec::new(), Vec::new());
        for (path, content) in ours {
            match read(directory, path, content.len())? {
                Some(found) if found == *content => equal.push(content),
                Some(found) => lines.push(format!("{}: {}", path.display(), difference(content, &found))),
                None => lines.push(format!("{}: it is missing, or not a regular file", path.display())),
            }
        }
        let directories: BTreeSet<&Path> = ours.keys().flat_map(|path| path.ancestors().skip(1)).collect();
        let mut strangers = BTreeSet::new();
        for parent in directories.iter().filter(|path| is_directory(directory, path)) {
            for entry in fs::read_dir(directory.join(parent))? {
                let path = parent.join(entry?.file_name());
                if !ours.contains_key(&path) && !directories.contains(&*path) {
                    strangers.insert(path);
                }
            }
        }
        let strange = |path: &PathBuf| format!("{}: it is not part of the image", shown(&path.to_string_lossy()));
        lines.extend(strangers.iter().map(strange));
        if lines.is_empty() {
            return Ok(Ok(what.into()));
        }
        if let Some(more) = lines.len().checked_sub(LINES).filter(|more| *more > 0) {
            lines.truncate(LINES);
            lines.push(format!("and {more} more"));
        }
        lines.push(self.describe(|manifest| equal.contains(&manifest)));
        Ok(Err(Difference { lines, ours: ours.clone() }))
    }

    /// Tells the platforms whose manifest is this source's from the others.
    fn describe(&self, is_ours: impl Fn(&Vec<u8>) -> bool) -> String {
        let names = |wanted: bool| {
            let manifests = self.manifests.iter().filter(|(_, manifest)| is_ours(manifest) == wanted);
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

/// The file that skopeo's `dir:` begins with.
const MANIFEST: &str = "manifest.json";

/// How a file differs from ours. Of a larger one, no more than a byte too many was read.
fn difference(ours: &[u8], theirs: &[u8]) -> String {
    let theirs = match theirs.len() > ours.len() {
        true => format!("more than {} bytes", ours.len()),
        false => format!("sha256:{}", sha256(theirs)),
    };
    format!("{theirs} instead of sha256:{}", sha256(ours))
}

/// Whether a path below a directory is one, too, without links.
fn is_directory(root: &Path, path: &Path) -> bool {
    let mut parts = path.ancestors().filter(|part| !part.as_os_str().is_empty());
    parts.all(|part| root.join(part).symlink_metadata().is_ok_and(|there| there.is_dir()))
}

/// Reads a file below a directory, and no more than one byte over the limit. `None` if it isn't there or is anything
/// else, which may be a pipe or a device that must not be opened.
fn read(root: &Path, path: &Path, limit: usize) -> Result<Option<Vec<u8>>> {
    let file = root.join(path);
    let read = || -> std::io::Result<_> {
        if !path.parent().is_some_and(|parent| is_directory(root, parent)) || !file.symlink_metadata()?.is_file() {
            return Ok(None);
        }
        let mut options = File::options();
        #[cfg(unix)]
        {
            // It may have been replaced since.
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

/// Text from outside, without anything that a terminal would take for an order.
fn escape(text: &str) -> String {
    let is_plain = |char: char| ['"', '\'', '\\'].contains(&char);
    text.chars().map(|char| if is_plain(char) { char.into() } else { char.escape_debug().to_string() }).collect()
}

/// The same, cut short.
fn shown(text: &str) -> String {
    let text = escape(text);
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
