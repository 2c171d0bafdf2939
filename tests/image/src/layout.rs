//! The image: its bytes are golden, and it has what readers rely on.

use anyhow::{Context, Result, bail, ensure};
use contract::{PULL_BUDGET, SYSTEM_CALLS};
use flate2::read::GzDecoder;
use libtest_mimic::{Completion, Trial};
use oci_spec_0_7::image::ImageConfiguration;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use xtask::digest::sha256;
use xtask::image::air_gap_archive;
use xtask::platform::{self, PLATFORMS, Platform};
use xtask::test::Program;
use xtask::{output, seccomp};

const ARCHIVE: &str = "pause.oci.tar";

type Case = (&'static str, fn(&Layout, &[Program]) -> Result<()>);

const CASES: [Case; 6] = [
    ("every digest and size is right, and every file is referred to", |layout, _| {
        let descriptors = layout.named.iter().chain(layout.images.iter().flat_map(|image| &image.parts));
        let mut known = BTreeSet::from(["oci-layout", "index.json", "manifest.json"].map(String::from));
        for descriptor in descriptors {
            let path = path_of(descriptor)?;
            let blob = layout.file(&path)?;
            ensure!(descriptor["digest"] == digest(blob), "{descriptor} is {}", digest(blob));
            ensure!(descriptor["size"] == blob.len(), "{descriptor} has {} bytes", blob.len());
            known.insert(path);
        }
        let files = layout.entries.iter().map(|entry| entry.path.clone());
        let files = BTreeSet::from_iter(files.filter(|path| !path.ends_with('/')));
        ensure!(files == known, "{:?}", files.symmetric_difference(&known));
        Ok(())
    }),
    // Without these, skopeo can unpack the archive only as root.
    ("the archive has an entry for each directory before the files in it", |layout, _| {
        let mut seen = BTreeSet::new();
        for Entry { path, .. } in &layout.entries {
            let parent = path.trim_end_matches('/').rfind('/').map(|end| &path[..=end]);
            ensure!(parent.is_none_or(|parent| seen.contains(parent)), "the directory of {path} has no entry");
            ensure!(seen.insert(path.as_str()), "{path} is there twice");
        }
        Ok(())
    }),
    ("the config's diff_id is the digest of the uncompressed layer", |layout, _| {
        for Image { platform, config, layer, .. } in &layout.images {
            let diff_ids = &config["rootfs"]["diff_ids"];
            ensure!(*diff_ids == Value::from(vec![digest(layer)]), "{platform}: {diff_ids}");
        }
        Ok(())
    }),
    ("the layer's file is the program under test", |layout, programs| {
        let platforms = layout.images.iter().map(|image| &image.platform);
        ensure!(platforms.eq(programs.iter().map(|program| &program.name)), "it has images for other platforms");
        for (image, program) in layout.images.iter().zip(programs) {
            let entries = entries(&image.layer)?;
            let file = entries.iter().find(|entry| entry.path == "pause").context("there is no pause")?;
            ensure!(file.content == fs::read(&program.file)?, "{} has another program", program.name);
        }
        Ok(())
    }),
    ("manifest, config and layer are within the budget of a pull", |layout, _| {
        for Image { platform, parts, .. } in &layout.images {
            let sum: u64 = parts.iter().filter_map(|part| part["size"].as_u64()).sum();
            ensure!(sum <= PULL_BUDGET, "{platform} is {sum} bytes, over {PULL_BUDGET}");
        }
        Ok(())
    }),
    // This version refuses a config without history.
    ("the crate oci-spec 0.7.1 reads the config", |layout, _| {
        for image in &layout.images {
            let mut config = image.config.clone();
            let read = |config: &Value| ImageConfiguration::deserialize(config);
            ensure!(read(&config)?.history().len() == 1, "it reads {config}");
            config.as_object_mut().context("a config is an object")?.remove("history");
            ensure!(read(&config).is_err(), "it needs no history");
        }
        Ok(())
    }),
];

pub fn trials(directory: &Path, programs: &[Program], bless: bool) -> Vec<Trial> {
    let is_built = |platform: &&Platform| programs.iter().any(|program| program.name == platform.name);
    let mut goldens: Vec<_> = PLATFORMS.iter().take(1).filter(is_built).map(air_gap_archive).collect();
    goldens.extend(PLATFORMS.iter().all(|platform| is_built(&platform)).then(|| ARCHIVE.into()));
    let golden = |name: String| {
        let sentence = format!("{} is its golden text", name.replace("air-gap/", ""));
        trial(directory, &sentence, move |directory| compare(directory, &name, bless))
    };
    let of_archives = |(sentence, check): Case| {
        let programs = programs.to_vec();
        trial(directory, sentence, move |directory| {
            let check = |archive: &str, programs: &[Program]| {
                check(&Layout::read(&directory.join(archive))?, programs).context(archive.to_owned())
            };
            check(ARCHIVE, &programs)?;
            programs.iter().try_for_each(|program| {
                check(&air_gap_archive(platform::parse(&program.name)?), std::slice::from_ref(program))
            })
        })
    };
    let of_directory =
        trial(directory, "the directory pause.oci has the archive's files, without Docker's", is_the_archive);
    let of_profile = trial(directory, "pause.seccomp.json allows the calls of the contract", allows_the_calls);
    goldens.into_iter().map(golden).chain(CASES.map(of_archives)).chain([of_directory, of_profile]).collect()
}

fn trial(directory: &Path, sentence: &str, run: impl FnOnce(&Path) -> Result<()> + Send + 'static) -> Trial {
    let directory = directory.to_owned();
    crate::case("image", sentence, move || run(&directory).map(|()| Completion::Completed))
}

/// Compares an artefact with its golden file, or replaces the golden file.
fn compare(directory: &Path, name: &str, bless: bool) -> Result<()> {
    let artefact = directory.join(name);
    let text = Layout::read(&artefact)?.describe()?;
    let name = format!("{}.txt", artefact.file_name().context("an artefact has a name")?.display());
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

/// Checks the shipped profile: one rule for the program, and one for other calls, of the runtimes that start it.
fn allows_the_calls(directory: &Path) -> Result<()> {
    let profile: Value = serde_json::from_slice(&fs::read(directory.join(seccomp::FILE))?)?;
    let [program, start] = [0, 1].map(|rule| list(&profile["syscalls"][rule]["names"]));
    let (program, start) = (program?, start?);
    let expected = BTreeSet::from_iter(SYSTEM_CALLS.iter().flat_map(|calls| calls.all()));
    ensure!(program.iter().map(Value::as_str).eq(expected.iter().copied().map(Some)), "{program:?}, not {expected:?}");
    let is_in_both = |call: &Value| call.as_str().is_none_or(|call| expected.contains(call));
    ensure!(!start.iter().any(is_in_both), "a call is in both rules: {start:?}");
    Ok(())
}

struct Layout {
    entries: Vec<Entry>,
    /// The descriptors of `index.json`.
    named: Vec<Value>,
    images: Vec<Image>,
}

struct Entry {
    header: [u8; 512],
    path: String,
    content: Vec<u8>,
}

struct Image {
    platform: String,
    /// Descriptors of the manifest, the config and the layer.
    parts: [Value; 3],
    config: Value,
    /// The unpacked layer.
    layer: Vec<u8>,
}

impl Layout {
    fn read(path: &Path) -> Result<Self> {
        let archive = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        let mut layout = Self { entries: entries(&archive)?, named: Vec::new(), images: Vec::new() };
        layout.named = list(&layout.json("index.json")?["manifests"])?;
        // The first is the index of all platforms, or the manifest of the only one.
        let top = layout.json(&path_of(&layout.named[0])?)?;
        let images = list(&top["manifests"]).unwrap_or_else(|_| layout.named[..1].to_vec());
        layout.images = images.into_iter().map(|descriptor| layout.image(descriptor)).collect::<Result<_>>()?;
        Ok(layout)
    }

    fn image(&self, descriptor: Value) -> Result<Image> {
        let words = ["os", "architecture", "variant"].map(|key| descriptor["platform"][key].as_str());
        let mut manifest = self.json(&path_of(&descriptor)?)?;
        let [config, layer] = ["/config", "/layers/0"].map(|part| manifest.pointer_mut(part).map(Value::take));
        let (config, layer) = (config.context("there is no config")?, layer.context("there is no layer")?);
        Ok(Image {
            platform: words.into_iter().flatten().collect::<Vec<_>>().join("/"),
            config: self.json(&path_of(&config)?)?,
            layer: unpack(self.file(&path_of(&layer)?)?)?,
            parts: [descriptor, config, layer],
        })
    }

    fn file(&self, path: &str) -> Result<&[u8]> {
        let entry = self.entries.iter().find(|entry| entry.path == path);
        Ok(&entry.with_context(|| format!("{path} is missing"))?.content)
    }

    fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_slice(self.file(path)?)?)
    }

    /// Describes every byte: the header of each entry, then its content, or for a layer the headers of its files. Names
    /// replace the digests of the image's parts, so that the text of one part doesn't depend on another part's bytes.
    fn describe(&self) -> Result<String> {
        let mut names = Vec::new();
        for Image { platform, parts, config, .. } in &self.images {
            let digests = parts.iter().map(|part| &part["digest"]).chain([&config["rootfs"]["diff_ids"][0]]);
            for (part, digest) in ["manifest", "config", "layer", "unpacked layer"].iter().zip(digests) {
                names.push((text(digest)?.replace("sha256:", ""), format!("<{platform} {part}>")));
            }
        }
        names.push((text(&self.named[0]["digest"])?.replace("sha256:", ""), "<index>".into()));
        let layers = self.images.iter().map(|image| path_of(&image.parts[2])).collect::<Result<Vec<_>>>()?;

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

/// Reads a tar archive of ustar headers, independently of the crate that has written it, and checks every byte.
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
    let run = |run: &[u8]| if run[0] == 0 { format!("{{{}}}", run.len()) } else { run.escape_ascii().to_string() };
    header.chunk_by(|left, right| (*left == 0) == (*right == 0)).map(run).collect()
}

fn unpack(layer: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Vec::new();
    GzDecoder::new(layer).read_to_end(&mut archive)?;
    Ok(archive)
}

fn list(value: &Value) -> Result<Vec<Value>> {
    value.as_array().filter(|list| !list.is_empty()).cloned().with_context(|| format!("{value} is not a list"))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is not a string"))
}

/// The path of a descriptor's blob.
fn path_of(descriptor: &Value) -> Result<String> {
    Ok(format!("blobs/{}", text(&descriptor["digest"])?.replace(':', "/")))
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn is_the_archive(image: &Path) -> Result<()> {
    let unpacked = tempfile::tempdir()?;
    let script = r#"tar -xf "$0/pause.oci.tar" -C "$1" && rm "$1/manifest.json" && diff -r "$1" "$0/pause.oci""#;
    let output = Command::new("sh").args(["-c", script]).args([image, unpacked.path()]).output()?;
    ensure!(output.status.success(), "{}{}", String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(())
}
