//! `cargo xtask verify` on images that are not this source's: whatever an accident or an attacker has done to one, it
//! is found to be different, or a line says why it can't be compared, within a second.
#![cfg(unix)]

use Kind::{Archive, Layout, Pulled};
use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Arguments, Completion, Trial};
use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Uid, setfsuid};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tar::EntryType;
use xshell::Shell;
use xtask::build::Binary;
use xtask::compiler::Compiler;
use xtask::digest::sha256;
use xtask::image::Contents;
use xtask::needs;
use xtask::platform::{PLATFORMS, Platform};
use xtask::verify::{self, Files, Ours};

/// Longest time that a comparison may take.
const LIMIT: Duration = Duration::from_secs(1);

/// What is compared.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// The directory `cargo xtask image` writes.
    Layout,
    /// The archive that it writes.
    Archive,
    /// What skopeo copies from a registry.
    Pulled,
}

/// A change to an image, and a part of the line that has to report it.
type Case = (Kind, &'static str, fn(&Image) -> Result<()>, &'static str);

const MISSING: &str = "it is missing, or not a regular file";
const STRANGE: &str = "it is not part of the image";
const LARGER: &str = ": more than ";
const OTHER: &str = " instead of sha256:";
const INDEX: &str = "index.json: ";
const TAR: &str = "pause.oci.tar: ";
const LIST: &str = r#""manifests":["#;

#[rustfmt::skip]
const CASES: &[Case] = &[
    // The JSON that two readers read differently.
    (Layout, "an artifact has the name, the index has none", |i| i.replace("index.json", LIST, &format!("{LIST}{},", i.evil(true)?)), INDEX),
    (Layout, "a second list of manifests, in capitals", |i| i.replace("index.json", LIST, &format!(r#""Manifests":[{}],{LIST}"#, i.evil(false)?)), INDEX),
    (Archive, "a second config for Docker, in small letters", |i| i.repack(|entries| rewrite(entries, "manifest.json", r#""Config":"#, r#""config":"blobs/sha256/0","Config":"#)), TAR),
    // What hosts would make of it.
    (Layout, "another media type", |i| i.replace("index.json", "image.index", "image.manifest"), INDEX),
    (Layout, "another platform", |i| i.replace("index.json", r#""size""#, r#""platform":{"os":"windows","architecture":"amd64"},"size""#), INDEX),
    (Layout, "a name for containerd alone", |i| i.replace("index.json", r#""org.opencontainers"#, r#""io.containerd.image.name":"nginx","org.opencontainers"#), INDEX),
    (Layout, "another name", |i| i.replace("index.json", "localhost/pause", "localhost/nginx"), INDEX),
    (Archive, "another name for Docker", |i| i.repack(|entries| rewrite(entries, "manifest.json", "localhost/pause", "localhost/nginx")), TAR),
    (Layout, "another version of the layout", |i| i.replace("oci-layout", "1.0.0", "1.0.1"), "oci-layout: sha256:"),
    (Layout, "one more referrer", |i| i.evil(true).map(|_| ()), STRANGE),
    // Bytes.
    (Layout, "a bit of a blob", |i| i.edit(&i.blobs[0], |bytes| bytes[0] ^= 1), OTHER),
    (Layout, "a byte more", |i| i.edit(&i.blobs[1], |bytes| bytes.push(b'\n')), LARGER),
    (Layout, "a byte less", |i| i.edit(&i.blobs[2], |bytes| bytes.truncate(bytes.len() - 1)), OTHER),
    (Layout, "an empty blob", |i| i.edit(&i.blobs[3], Vec::clear), OTHER),
    (Layout, "a terabyte of zeros", |i| Ok(File::options().write(true).open(i.path(&i.blobs[0]))?.set_len(1 << 40)?), LARGER),
    (Archive, "a terabyte of zeros at the end", |i| Ok(File::options().write(true).open(i.path(""))?.set_len(1 << 40)?), LARGER),
    (Archive, "a byte at the end", |i| i.edit("", |bytes| bytes.push(0)), TAR),
    (Archive, "another archive at the end", |i| i.edit("", |bytes| bytes.extend(bytes.clone())), LARGER),
    (Archive, "half of it", |i| i.edit("", |bytes| bytes.truncate(bytes.len() / 2)), OTHER),
    (Archive, "nothing", |i| i.edit("", Vec::clear), OTHER),
    (Pulled, "a bit of the index", |i| i.edit("manifest.json", |bytes| bytes[0] ^= 1), "manifest.json: sha256:"),
    (Pulled, "a bit of a blob that a registry keeps", |i| i.edit(&i.blobs[0], |bytes| bytes[0] ^= 1), OTHER),
    // Files.
    (Layout, "a blob is missing", |i| Ok(fs::remove_file(i.path(&i.blobs[0]))?), MISSING),
    (Layout, "a blob twice", |i| fs::copy(i.path(&i.blobs[0]), i.path("blobs/sha256/0")).map(drop).map_err(Into::into), STRANGE),
    (Layout, "a blob under another name", |i| Ok(fs::rename(i.path(&i.blobs[0]), i.path("blobs/sha256/0"))?), MISSING),
    (Layout, "a blob in the place of another one", |i| fs::copy(i.path(&i.blobs[0]), i.path(&i.blobs[1])).map(drop).map_err(Into::into), "sha256:"),
    (Layout, "an empty directory more", |i| Ok(fs::create_dir(i.path("blobs/sha512"))?), STRANGE),
    (Layout, "nothing is there", |i| { fs::remove_dir_all(i.path(""))?; Ok(fs::create_dir(i.path(""))?) }, MISSING),
    (Layout, "a link to the blob", |i| { fs::rename(i.path(&i.blobs[0]), i.aside())?; Ok(symlink(i.aside(), i.path(&i.blobs[0]))?) }, MISSING),
    (Layout, "a link that leads to itself", |i| { fs::remove_file(i.path(&i.blobs[0]))?; Ok(symlink(i.path(&i.blobs[0]), i.path(&i.blobs[0]))?) }, MISSING),
    (Layout, "a link to the directory of the blobs", |i| { fs::rename(i.path("blobs"), i.aside())?; Ok(symlink(i.aside(), i.path("blobs"))?) }, MISSING),
    (Layout, "a hard link to another blob", |i| { fs::remove_file(i.path(&i.blobs[0]))?; Ok(fs::hard_link(i.path(&i.blobs[1]), i.path(&i.blobs[0]))?) }, "instead of sha256:"),
    (Layout, "a directory in place of a file", |i| { fs::remove_file(i.path("oci-layout"))?; Ok(fs::create_dir(i.path("oci-layout"))?) }, MISSING),
    (Layout, "a pipe that nothing is written to", |i| i.make(&i.blobs[0], SFlag::S_IFIFO), MISSING),
    (Layout, "a pipe more", |i| i.make("pipe", SFlag::S_IFIFO), STRANGE),
    (Layout, "an endless device", |i| i.make(&i.blobs[0], SFlag::S_IFCHR), MISSING),
    (Layout, "a socket", |i| i.make("oci-layout", SFlag::S_IFSOCK), MISSING),
    (Layout, "20,000 files more", |i| (0..20_000).try_for_each(|n| Ok(File::create(i.path(&n.to_string())).map(drop)?)), "and 19995 more"),
    (Layout, "a name with orders for a terminal", |i| i.create(b"\x1b[2J\x1b]0;x\x07\r"), r"\u{1b}[2J\u{1b}]0;x\u{7}\r"),
    (Layout, "a name that would be another line", |i| i.create(b"x\nequal: sha256:1111"), r"x\nequal: sha256:1111: it is not"),
    (Layout, "a name that is written from right to left", |i| i.create("\u{202e}rat".as_bytes()), r"\u{202e}rat"),
    (Layout, "a name that is not UTF-8", |i| i.create(b"\xff"), "\u{fffd}: it is not"),
    (Layout, "a name of 255 characters", |i| i.create(&[b'x'; 255]), "x…: it is not"),
    (Pulled, "a blob more in a registry", |i| i.create(b"0"), STRANGE),
    (Pulled, "a blob that a registry lacks", |i| Ok(fs::remove_file(i.path(&i.blobs[0]))?), MISSING),
    // Archives with the same files.
    (Archive, "in another order", |i| i.repack(|entries| entries.reverse()), TAR),
    (Archive, "with a file twice, the good one last", |i| i.repack(|entries| entries.insert(0, entry("index.json", EntryType::Regular, "{}"))), TAR),
    (Archive, "with a link to a file", |i| i.repack(|entries| entries.push(entry("x", EntryType::Symlink, ""))), TAR),
    (Archive, "with a hard link to a file", |i| i.repack(|entries| entries.push(entry("x", EntryType::Link, ""))), TAR),
    (Archive, "with a header of PAX", |i| i.repack(|entries| entries.insert(0, entry("x", EntryType::XHeader, "18 path=index.json\n"))), TAR),
    (Archive, "with a long name of GNU", |i| i.repack(|entries| entries.insert(0, entry("././@LongLink", EntryType::GNULongName, "index.json\0"))), TAR),
    (Archive, "compressed", |i| i.edit("", |bytes| *bytes = gzip(bytes)), TAR),
];

/// An entry of an archive.
type Entry = (tar::Header, Vec<u8>);

/// An image that a case changes.
struct Image {
    directory: tempfile::TempDir,
    blobs: Vec<String>,
}

impl Image {
    fn new(ours: &Ours, kind: Kind) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("image");
        let files = if kind == Pulled { &ours.copies[0].1 } else { &ours.layout };
        match kind {
            Archive => fs::write(path, &ours.archives[Path::new("pause.oci.tar")])?,
            _ => write(files, &path)?,
        }
        let is_blob = |path: &&PathBuf| path.extension().is_none() && *path != Path::new("oci-layout");
        let blobs = files.keys().filter(is_blob).map(|path| path.display().to_string());
        Ok(Self { directory, blobs: blobs.collect() })
    }

    /// A file of the image, or all of it.
    fn path(&self, name: &str) -> PathBuf {
        let image = self.directory.path().join("image");
        if name.is_empty() { image } else { image.join(name) }
    }

    /// A place next to the image.
    fn aside(&self) -> PathBuf {
        self.directory.path().join("aside")
    }

    fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut bytes = fs::read(self.path(name))?;
        edit(&mut bytes);
        Ok(fs::write(self.path(name), bytes)?)
    }

    fn replace(&self, name: &str, from: &str, to: &str) -> Result<()> {
        self.edit(name, |bytes| replace(bytes, from, to))
    }

    fn create(&self, name: &[u8]) -> Result<()> {
        Ok(fs::write(self.path("").join(OsStr::from_bytes(name)), "")?)
    }

    /// Puts a special file in the place of another one.
    fn make(&self, name: &str, kind: SFlag) -> Result<()> {
        let _ = fs::remove_file(self.path(name));
        // The device is /dev/zero.
        Ok(mknod(&self.path(name), kind, Mode::S_IRWXU, makedev(1, 5))?)
    }

    /// Adds blobs of an image that runs as root. Returns its descriptor.
    fn evil(&self, is_artifact: bool) -> Result<String> {
        let add = |content: &str| -> Result<String> {
            let digest = sha256(content.as_bytes());
            fs::write(self.path("blobs/sha256").join(&digest), content)?;
            Ok(format!(r#""digest":"sha256:{digest}","size":{}"#, content.len()))
        };
        let config = add(r#"{"os":"linux","architecture":"amd64","config":{"User":"0:0"}}"#)?;
        let kind = if is_artifact { r#""artifactType":"x/y","# } else { "" };
        let manifest = add(&format!(r#"{{"schemaVersion":2,"config":{{{config}}},"layers":[]}}"#))?;
        Ok(format!(
            r#"{{{kind}{manifest},"annotations":{{"org.opencontainers.image.ref.name":"localhost/pause:0.1.0"}}}}"#
        ))
    }

    /// Writes the archive anew, with other entries.
    fn repack(&self, edit: impl FnOnce(&mut Vec<Entry>)) -> Result<()> {
        let original = fs::read(self.path(""))?;
        let mut entries = Vec::new();
        for entry in tar::Archive::new(original.as_slice()).entries()? {
            let mut entry = entry?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            entries.push((entry.header().clone(), content));
        }
        ensure!(pack(&entries)? == original, "packing it anew changes it already");
        edit(&mut entries);
        Ok(fs::write(self.path(""), pack(&entries)?)?)
    }
}

fn write(files: &Files, directory: &Path) -> Result<()> {
    let shell = Shell::new()?;
    Ok(files.iter().try_for_each(|(path, content)| shell.write_file(directory.join(path), content))?)
}

fn pack(entries: &[Entry]) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    entries.iter().try_for_each(|(header, content)| archive.append(header, content.as_slice()))?;
    Ok(archive.into_inner()?)
}

fn entry(path: &str, entry_type: EntryType, content: &str) -> Entry {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).expect("a short path");
    header.set_entry_type(entry_type);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    if entry_type.is_symlink() || entry_type.is_hard_link() {
        header.set_link_name("oci-layout").expect("a short path");
    }
    header.set_cksum();
    (header, content.into())
}

/// Replaces the content of an entry.
fn rewrite(entries: &mut [Entry], path: &str, from: &str, to: &str) {
    let found = entries.iter_mut().find(|(header, _)| header.path().is_ok_and(|its| its == Path::new(path)));
    let (header, content) = found.expect("the entry");
    replace(content, from, to);
    header.set_size(content.len() as u64);
    header.set_cksum();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    zopfli::compress(zopfli::Options::default(), zopfli::Format::Gzip, bytes, &mut compressed).expect("room");
    compressed
}

fn replace(bytes: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(bytes.clone()).expect("text");
    assert!(text.contains(from), "no {from} in {text}");
    *bytes = text.replacen(from, to, 1).into();
}

/// This source's image, but for the programs.
fn ours(platforms: &'static [Platform]) -> Result<Ours> {
    let binary = |platform: &'static _| {
        let content = format!("the program of {platform:?}").into();
        Binary { platform, content, compiler: Compiler::Active }
    };
    Ours::of(&platforms.iter().map(binary).collect::<Vec<_>>(), &Contents::usual())
}

/// Compares an image in time. Returns what is equal, or the lines that say what isn't.
fn compare(ours: &Ours, kind: Kind, image: &Path) -> Result<std::result::Result<String, Vec<String>>> {
    let begin = Instant::now();
    let verdict = if kind == Pulled { ours.compare_copy(image) } else { ours.compare(image) };
    ensure!(begin.elapsed() < LIMIT, "it takes {:?}", begin.elapsed());
    Ok(verdict?.map_err(|difference| difference.lines))
}

/// Changes an image, which has to be equal before, and compares it.
fn try_case(ours: &Ours, (kind, _, change, part): Case) -> Result<()> {
    let image = Image::new(ours, kind)?;
    ensure!(compare(ours, kind, &image.path(""))?.is_ok(), "it is different already");
    change(&image)?;
    let Err(lines) = compare(ours, kind, &image.path(""))? else { bail!("it is equal") };
    ensure!(lines.iter().any(|line| line.contains(part)), "no {part:?} in {lines:#?}");
    ensure!(lines.len() <= 7, "{} lines", lines.len());
    for line in &lines {
        ensure!(line.len() < 400 && !line.contains(|char: char| char.is_control() || char == '\u{202e}'), "{line:?}");
    }
    Ok(())
}

/// What is equal, and stays so.
fn equals(ours: &Ours) -> Result<()> {
    for (kind, expected) in [(Layout, "index sha256:"), (Archive, "pause.oci.tar sha256:"), (Pulled, "index sha256:")] {
        let image = Image::new(ours, kind)?;
        // The caller may name it by a link.
        symlink(image.path(""), image.aside())?;
        let equal = compare(ours, kind, &image.aside())?;
        ensure!(equal.as_ref().is_ok_and(|equal| equal.starts_with(expected)), "{equal:?}");
    }
    let directory = tempfile::tempdir()?;
    for (name, archive) in &ours.archives {
        let path = directory.path().join("archive");
        fs::write(&path, archive)?;
        let equal = compare(ours, Archive, &path)?;
        ensure!(equal.as_ref().is_ok_and(|equal| equal.starts_with(&name.display().to_string())), "{equal:?}");
    }
    // A single platform has no index.
    let one = self::ours(&PLATFORMS[..1])?;
    ensure!(one.copies.len() == 1 && one.copies[0] == ours.copies[1], "its image is another one");
    let image = Image::new(&one, Layout)?;
    let equal = compare(&one, Layout, &image.path(""))?;
    ensure!(equal.as_ref().is_ok_and(|equal| equal.starts_with("manifest of linux/amd64 sha256:")), "{equal:?}");
    for (index, (name, files)) in ours.copies.iter().enumerate() {
        let path = directory.path().join(index.to_string());
        write(files, &path)?;
        let equal = compare(ours, Pulled, &path)?;
        ensure!(equal.as_ref().is_ok_and(|equal| equal.starts_with(name)), "{equal:?}");
    }
    Ok(())
}

/// The platforms are told apart.
fn platforms(ours: &Ours) -> Result<()> {
    let [(good, _), (bad, manifest), ..] = &ours.manifests[..] else { bail!("there are two platforms") };
    let expected = [format!("of this source: {good}, linux/"), format!("; other or missing ones: {bad}")];
    let change = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(manifest.len()).position(|bytes| bytes == manifest);
        bytes[at.expect("the manifest")] = b' ';
    };
    for kind in [Layout, Archive, Pulled] {
        let image = Image::new(ours, kind)?;
        let digest = sha256(manifest);
        let name = match kind {
            Layout => format!("blobs/sha256/{digest}"),
            Archive => String::new(),
            Pulled => format!("{digest}.manifest.json"),
        };
        image.edit(&name, change)?;
        let Err(lines) = compare(ours, kind, &image.path(""))? else { bail!("it is equal") };
        let last = lines.last().context("there are lines")?;
        ensure!(expected.iter().all(|part| last.contains(part)), "{last}");
    }
    Ok(())
}

/// A file that the caller may not read is an error, which names it.
fn unreadable(ours: &Ours) -> Result<()> {
    let image = Image::new(ours, Layout)?;
    fs::set_permissions(image.directory.path(), PermissionsExt::from_mode(0o755))?;
    fs::set_permissions(image.path(&image.blobs[0]), PermissionsExt::from_mode(0o000))?;
    // The user of one thread.
    let compared = thread::scope(|scope| {
        let compare = || {
            if needs::is_root() {
                setfsuid(Uid::from_raw(65534));
            }
            compare(ours, Layout, &image.path(""))
        };
        scope.spawn(compare).join().expect("no panic")
    });
    let error = format!("{:#}", compared.err().context("it can be read")?);
    ensure!(error == format!("can't read {}: Permission denied (os error 13)", image.blobs[0]), "{error}");
    Ok(())
}

/// What stands in for skopeo, the time that it gets in seconds, and the error.
#[rustfmt::skip]
const COPIES: &[(&str, u64, &str)] = &[
    ("printf 'first\\n\\033[2J\\342\\200\\256last\\n' >&2; exit 1", 60, r"skopeo can't copy the image: \u{1b}[2J\u{202e}last"),
    ("exit 1", 60, "skopeo can't copy the image: no reason given"),
    ("head --bytes 5000000 /dev/zero >\"${8#dir:}/blob\"; exec sleep 60", 60, "the image has more than 4194304 bytes: it is not this source's"),
    ("head --bytes 5000000 /dev/zero >&2; exec sleep 60", 60, "the image has more than 4194304 bytes: it is not this source's"),
    ("exec sleep 60", 1, "skopeo has not copied the image within 1 s"),
];

/// A registry that does its worst.
fn copies(_: &Ours) -> Result<()> {
    for (script, seconds, expected) in COPIES {
        let directory = tempfile::tempdir()?;
        let skopeo = directory.path().join("skopeo");
        fs::write(&skopeo, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&skopeo, PermissionsExt::from_mode(0o755))?;
        let shell = Shell::new()?;
        let path = std::env::var("PATH")?;
        shell.set_var("PATH", format!("{}:{path}", directory.path().display()));
        let to = directory.path().join("copy");
        let fetched = verify::fetch(&shell, "docker://registry.example/pause", &[], &to, Duration::from_secs(*seconds));
        let error = format!("{:#}", fetched.err().context("it is copied")?);
        ensure!(error == *expected, "{error}");
    }
    Ok(())
}

/// A test of several images.
type Test = fn(&Ours) -> Result<()>;

#[rustfmt::skip]
const TESTS: &[(&str, Test)] = &[
    ("what is the same is equal", equals),
    ("it is said whose manifests differ", platforms),
    ("what can't be read is an error", unreadable),
    ("what can't be copied is an error", copies),
];

fn trial(name: &str, ours: &Arc<Ours>, run: impl Fn(&Ours) -> Result<()> + Send + 'static) -> Trial {
    let ours = ours.clone();
    Trial::ignorable_test(name, move || match run(&ours) {
        Ok(()) => Ok(Completion::Completed),
        Err(error) if error.downcast_ref() == Some(&Errno::EPERM) => {
            Ok(Completion::ignored_with("making a device takes root"))
        }
        Err(error) => Err(format!("{error:#}").into()),
    })
}

fn main() -> ExitCode {
    let ours = Arc::new(ours(PLATFORMS).expect("an image"));
    let cases = CASES.iter().map(|case| trial(case.1, &ours, |ours| try_case(ours, *case)));
    let tests = TESTS.iter().map(|(name, run)| trial(name, &ours, run));
    libtest_mimic::run(&Arguments::from_args(), cases.chain(tests).collect()).exit_code()
}
