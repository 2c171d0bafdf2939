//! Cases of the image: its bytes are golden, and what readers of any image rely on holds.

use crate::{NO_IMAGE, fact};
use anyhow::{Context, Result, bail, ensure};
use contract::PULL_BUDGET;
use flate2::read::GzDecoder;
use libtest_mimic::{Completion, Trial};
use oci_spec_0_7::image::ImageConfiguration;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use xtask::digest::sha256;
use xtask::image::air_gap_archive;
use xtask::output;
use xtask::platform::{self, PLATFORMS};
use xtask::seccomp;
use xtask::test::{Order, Program};

const ARCHIVE: &str = "pause.oci.tar";

const NOT_ALL: &str = "not all platforms are built";

type Case = (&'static str, fn(&Layout, &[Program]) -> Result<()>);

/// The cases about every archive.
const CASES: [Case; 6] = [
    ("every digest and size is right, and every file is referred to", is_complete),
    ("the archive has an entry for each directory before the files in it", lists_directories),
    ("the config's diff_id is the digest of the uncompressed layer", has_right_diff_ids),
    ("the layer's file is the program under test", holds_the_program),
    ("manifest, config and layer are within the budget of a pull", is_within_budget),
    ("the crate oci-spec 0.7.1 reads the config", is_read_by_oci_spec),
];

pub fn trials(order: &Order) -> Vec<Trial> {
    let has = |platform| order.programs.iter().any(|program| program.name == platform);
    let bless = order.bless;
    let mut goldens = vec![(seccomp::FILE.to_owned(), true)];
    goldens.push((air_gap_archive(&PLATFORMS[0]), has(PLATFORMS[0].name)));
    goldens.push((ARCHIVE.into(), PLATFORMS.iter().all(|platform| has(platform.name))));
    let golden = |(name, is_built): (String, bool)| {
        case_of_image(order, &format!("{} is its golden text", name.replace("air-gap/", "")), move |directory| {
            if !is_built {
                return Ok(Completion::ignored_with(NOT_ALL));
            }
            compare(directory, &name, bless)?;
            Ok(Completion::Completed)
        })
    };
    let case = |(sentence, check): Case| {
        let programs = order.programs.clone();
        case_of_image(order, sentence, move |directory| {
            let check = |archive: &str, programs: &[Program]| {
                check(&Layout::read(&directory.join(archive))?, programs).context(archive.to_owned())
            };
            check(ARCHIVE, &programs)?;
            for program in &programs {
                check(&air_gap_archive(platform::parse(&program.name)?), std::slice::from_ref(program))?;
            }
            Ok(Completion::Completed)
        })
    };
    let directory =
        case_of_image(order, "the directory pause.oci has the archive's files, without Docker's", |image| {
            is_the_archive(image)?;
            Ok(Completion::Completed)
        });
    goldens.into_iter().map(golden).chain(CASES.map(case)).chain([directory]).collect()
}

/// A case about the directory with the image.
fn case_of_image(
    order: &Order,
    sentence: &str,
    run: impl FnOnce(&Path) -> Result<Completion> + Send + 'static,
) -> Trial {
    let image = order.image.clone();
    fact("image", sentence, move || match image {
        Some(directory) => run(&directory),
        None => Ok(Completion::ignored_with(NO_IMAGE)),
    })
}

/// Compares an artefact with its golden file, or replaces that.
fn compare(directory: &Path, name: &str, bless: bool) -> Result<()> {
    let artefact = directory.join(name);
    let text = match name.ends_with(".tar") {
        true => Layout::read(&artefact)?.describe()?,
        false => fs::read_to_string(&artefact)?,
    };
    let suffix = if name.ends_with(".tar") { ".txt" } else { "" };
    let name = format!("{}{suffix}", artefact.file_name().context("an artefact has a name")?.display());
    let golden = Path::new("tests/image").join(&name);
    if bless {
        return output::replace(&golden, text.as_bytes());
    }
    if fs::read_to_string(&golden)? != text {
        let new = directory.join(name);
        output::replace(&new, text.as_bytes())?;
        bail!("it has changed; see diff -u {} {}", golden.display(), new.display());
    }
    Ok(())
}

/// An image as an archive.
pub struct Layout {
    entries: Vec<Entry>,
}

/// An entry of a tar archive.
struct Entry {
    header: [u8; 512],
    path: String,
    content: Vec<u8>,
}

/// One platform's image.
pub struct Image {
    pub descriptor: Value,
    pub manifest: Value,
    pub config: Value,
    /// Compressed.
    pub layer: Vec<u8>,
}

impl Layout {
    pub fn read(path: &Path) -> Result<Self> {
        let archive = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(Self { entries: entries(&archive)? })
    }

    fn file(&self, path: &str) -> Result<&[u8]> {
        let entry = self.entries.iter().find(|entry| entry.path == path);
        Ok(&entry.with_context(|| format!("{path} is missing"))?.content)
    }

    fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_slice(self.file(path)?).with_context(|| format!("{path} is not JSON"))
    }

    fn blob(&self, descriptor: &Value) -> Result<&[u8]> {
        self.file(&path_of(descriptor)?)
    }

    /// The descriptors of `index.json`.
    fn named(&self) -> Result<Vec<Value>> {
        Ok(list(&self.json("index.json")?["manifests"])?.clone())
    }

    /// The names of the image.
    pub fn names(&self) -> Result<Vec<String>> {
        let name =
            |descriptor: &Value| Ok(text(&descriptor["annotations"]["org.opencontainers.image.ref.name"])?.to_owned());
        self.named()?.iter().map(name).collect()
    }

    /// Returns what `index.json` names: the index of all platforms, or the manifest of one.
    pub fn index(&self) -> Result<Vec<u8>> {
        Ok(self.blob(&self.named()?[0])?.into())
    }

    pub fn images(&self) -> Result<Vec<Image>> {
        let top: Value = serde_json::from_slice(&self.index()?)?;
        let descriptors = match top["manifests"].as_array() {
            Some(all) => all.clone(),
            None => vec![self.named()?.remove(0)],
        };
        let read = |descriptor: Value| {
            let manifest: Value = serde_json::from_slice(self.blob(&descriptor)?)?;
            let config = serde_json::from_slice(self.blob(&manifest["config"])?)?;
            let layer = self.blob(&manifest["layers"][0])?.to_vec();
            Ok(Image { descriptor, manifest, config, layer })
        };
        descriptors.into_iter().map(read).collect()
    }

    /// Describes every byte: the header of each entry, then its content. A layer is unpacked, and of its files there
    /// is the header. The digests of the image's parts are names, so that the text of one part doesn't depend on
    /// another part's bytes.
    fn describe(&self) -> Result<String> {
        let mut names = Vec::new();
        let mut layers = BTreeSet::new();
        for image in self.images()? {
            let platform = image.platform()?;
            layers.insert(path_of(&image.manifest["layers"][0])?);
            for (part, digest) in [
                ("manifest", &image.descriptor["digest"]),
                ("config", &image.manifest["config"]["digest"]),
                ("layer", &image.manifest["layers"][0]["digest"]),
                ("unpacked layer", &image.config["rootfs"]["diff_ids"][0]),
            ] {
                names.push((text(digest)?.replace("sha256:", ""), format!("<{platform} {part}>")));
            }
        }
        names.push((sha256(&self.index()?), "<index>".into()));

        let mut lines = Vec::new();
        for entry in &self.entries {
            lines.push(describe_header(&entry.header));
            if layers.contains(&entry.path) {
                lines.push(format!("  gzip {:02x?}", &entry.content[..10]));
                let unpacked = entries(&unpack(&entry.content)?)?;
                lines.extend(unpacked.iter().map(|entry| format!("  {}", describe_header(&entry.header))));
            } else if !entry.content.is_empty() {
                lines.push(format!("  {}", String::from_utf8(entry.content.clone())?));
            }
        }
        let all = lines.join("\n") + "\n";
        Ok(names.iter().fold(all, |all, (digest, name)| all.replace(digest, name)))
    }
}

impl Image {
    /// The platform's name, as in the descriptor.
    pub fn platform(&self) -> Result<String> {
        let words = ["os", "architecture", "variant"].map(|key| self.descriptor["platform"][key].as_str());
        Ok(words.into_iter().flatten().collect::<Vec<_>>().join("/"))
    }
}

/// Reads a tar archive of ustar headers. Not with the crate that has written it, and so that every byte is looked at.
fn entries(mut archive: &[u8]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    while let Some((header, rest)) = archive.split_first_chunk()
        && *header != [0; 512]
    {
        let path = header[..100].split(|&byte| byte == 0).next().unwrap_or_default();
        let size = usize::from_str_radix(str::from_utf8(&header[124..135])?, 8)?;
        let (content, rest) = rest.split_at_checked(size.next_multiple_of(512)).context("an entry is cut short")?;
        let (content, padding) = content.split_at(size);
        ensure!(padding.iter().all(|&byte| byte == 0), "the padding is not zero");
        entries.push(Entry { header: *header, path: String::from_utf8(path.into())?, content: content.into() });
        archive = rest;
    }
    ensure!(archive == [0; 1024], "the archive doesn't end with two blocks of zeros");
    Ok(entries)
}

/// The bytes of a header, with `{n}` for n zeros.
fn describe_header(header: &[u8]) -> String {
    let run = |run: &[u8]| match run[0] {
        0 => format!("{{{}}}", run.len()),
        _ => run.escape_ascii().to_string(),
    };
    header.chunk_by(|left, right| (*left == 0) == (*right == 0)).map(run).collect()
}

fn unpack(layer: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    GzDecoder::new(layer).read_to_end(&mut archive)?;
    Ok(archive)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is not a string"))
}

fn list(value: &Value) -> Result<&Vec<Value>> {
    value.as_array().filter(|list| !list.is_empty()).with_context(|| format!("{value} is not a list, or empty"))
}

/// The path of a descriptor's blob.
fn path_of(descriptor: &Value) -> Result<String> {
    Ok(format!("blobs/{}", text(&descriptor["digest"])?.replace(':', "/")))
}

/// The digest of some bytes, as in a descriptor.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn is_complete(layout: &Layout, _: &[Program]) -> Result<()> {
    let mut descriptors = layout.named()?;
    for Image { descriptor, manifest, .. } in layout.images()? {
        descriptors.extend([descriptor, manifest["config"].clone(), manifest["layers"][0].clone()]);
    }
    let mut known = BTreeSet::from(["oci-layout", "index.json", "manifest.json"].map(String::from));
    for descriptor in descriptors {
        let blob = layout.blob(&descriptor)?;
        ensure!(descriptor["digest"] == digest(blob), "{descriptor} is {}", digest(blob));
        ensure!(descriptor["size"] == blob.len(), "{descriptor} has {} bytes", blob.len());
        known.insert(path_of(&descriptor)?);
    }
    let files = layout.entries.iter().map(|entry| &entry.path).filter(|path| !path.ends_with('/'));
    let files: BTreeSet<_> = files.cloned().collect();
    ensure!(files == known, "{:?}", files.symmetric_difference(&known));
    Ok(())
}

/// Without these, skopeo can unpack the archive only as root.
fn lists_directories(layout: &Layout, _: &[Program]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for Entry { path, .. } in &layout.entries {
        let parent = path.trim_end_matches('/').rfind('/').map(|end| &path[..=end]);
        ensure!(parent.is_none_or(|parent| seen.contains(parent)), "there is no entry for the directory of {path}");
        ensure!(seen.insert(path.as_str()), "{path} is there twice");
    }
    Ok(())
}

fn has_right_diff_ids(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let unpacked = digest(&unpack(&image.layer)?);
        let diff_ids = &image.config["rootfs"]["diff_ids"];
        ensure!(*diff_ids == Value::from(vec![unpacked]), "{}: {diff_ids}", image.platform()?);
    }
    Ok(())
}

fn holds_the_program(layout: &Layout, programs: &[Program]) -> Result<()> {
    let images = layout.images()?;
    ensure!(images.len() == programs.len(), "{} images of {} programs", images.len(), programs.len());
    for (image, program) in images.iter().zip(programs) {
        ensure!(image.platform()? == program.name, "{} instead of {}", image.platform()?, program.name);
        let entries = entries(&unpack(&image.layer)?)?;
        let file = entries.iter().find(|entry| entry.path == "pause").context("there is no pause")?;
        ensure!(file.content == fs::read(&program.file)?, "{} has another program", program.name);
    }
    Ok(())
}

fn is_within_budget(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let parts = [&image.descriptor, &image.manifest["config"], &image.manifest["layers"][0]];
        let sizes = parts.map(|part| part["size"].as_u64().context("a size is a number"));
        let sum = sizes.into_iter().sum::<Result<u64>>()?;
        ensure!(sum <= PULL_BUDGET, "{} is {sum} bytes, over {PULL_BUDGET}", image.platform()?);
    }
    Ok(())
}

/// This version wants a history.
fn is_read_by_oci_spec(layout: &Layout, _: &[Program]) -> Result<()> {
    for image in layout.images()? {
        let mut config = image.config;
        ensure!(
            serde_json::from_value::<ImageConfiguration>(config.clone())?.history().len() == 1,
            "it reads {config}"
        );
        config.as_object_mut().context("a config is an object")?.remove("history");
        ensure!(serde_json::from_value::<ImageConfiguration>(config).is_err(), "it needs no history");
    }
    Ok(())
}

fn is_the_archive(image: &Path) -> Result<()> {
    let archive = Layout::read(&image.join(ARCHIVE))?;
    let directory = image.join("pause.oci");
    let mut count = 0;
    for Entry { path, content, .. } in archive.entries.iter().filter(|entry| entry.path != "manifest.json") {
        ensure!(path.ends_with('/') || fs::read(directory.join(path))? == *content, "{path} differs");
        count += usize::from(path != "blobs/sha256/");
    }
    let list = |path: &str| -> Result<Vec<PathBuf>> {
        fs::read_dir(directory.join(path))?.map(|entry| Ok(entry?.path())).collect()
    };
    let files = [list(".")?, list("blobs/sha256")?].concat();
    ensure!(files.len() == count, "there are other files among {files:?}");
    Ok(())
}
