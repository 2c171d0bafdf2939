//! `cargo xtask verify`: an image, compared digest by digest with what this source makes.

use crate::difference;
use crate::found::{Blob, DOCKER, Found, Image, Layout, path_of};
use crate::push;
use crate::registry::{self, Connection, Registry};
use anyhow::{Context, Result, bail, ensure};
use oci_client::RegistryOperation;
use oci_spec::image::Descriptor;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::command::{Failed, Misuse};
use xtask::compiler::{self, Compiler};
use xtask::image::{self, ANNOTATIONS, Contents};
use xtask::needs::Needs;
use xtask::platform::{self, PLATFORMS, Platform};
use xtask::{note, ports, say};

/// What is compared.
#[derive(clap::Args)]
#[command(after_help = "\
The same: exit status 0, and one line with the digest. Different: exit status 1, and lines that say which platform, \
which blob, and what. No image: exit status 2. Names and annotations are the releaser's to choose; they are said, and \
are no difference.")]
pub struct Arguments {
    /// An image in a registry (registry.example/pause:3.10, …@sha256:1a2b…), a layout folder, or an archive [default:
    /// dist/pause.oci]
    #[arg(value_name = "REFERENCE | FOLDER | ARCHIVE")]
    image: Option<String>,

    /// Build with this compiler alone, and say for each platform whether it gives the same bytes [default: rustup's,
    /// as far as it can]
    #[arg(long, value_name = "WHOSE")]
    toolchain: Option<Compiler>,

    /// The program has this path too, as in images that were made with the same option; may be given several times
    #[arg(long = "link", value_name = "PATH", value_parser = image::parse_link)]
    links: Vec<String>,

    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Where the image differs, can't be had, or can't be built.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let (found, beside) = find(shell, arguments)?;
    say_choices(&found);
    let unknown = found.images.iter().filter(|image| platform::parse(&image.platform).is_err());
    let mut differences: Vec<_> =
        unknown.map(|image| format!("{}: this source has no such platform", image.platform)).collect();
    let has = |platform: &&Platform| found.images.iter().any(|image| image.platform == platform.name);
    let platforms: Vec<_> = PLATFORMS.iter().filter(has).collect();
    let explained = !differences.is_empty();
    if let Some((index, fault)) = found.index.as_ref().and_then(|index| Some((index, index.fault()?))) {
        // Where it leads to is nobody's word.
        differences.push(format!("the index: {} {fault}", index.digest()));
    } else if !platforms.is_empty() {
        let compilers = choose(shell, &platforms, arguments.toolchain)?;
        let binaries = build::build_by(shell, &platforms, &compilers)?;
        differences.extend(Comparison { shell, arguments, found: &found, compilers, binaries }.run(explained)?);
    } else if found.images.is_empty() {
        differences.push("the index: it has no platform".into());
    }
    differences.extend(beside);

    let digest = found.top().digest();
    if differences.is_empty() {
        say!("equal: {digest}");
        return Ok(());
    }
    say!("different: {digest}");
    differences.iter().for_each(|difference| say!("{difference}"));
    bail!(Failed(1))
}

/// Finds what is to be compared, and what is beside it that should not be there.
fn find(shell: &Shell, arguments: &Arguments) -> Result<(Found, Vec<String>)> {
    let path = arguments.image.as_deref().map(Path::new);
    match (path, &arguments.image) {
        (Some(path), Some(text)) if !path.exists() => {
            // Docker's own registry has to be named: a path that is not there is more likely.
            let is_reference =
                text.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
            let Some(reference) = registry::parse(text).ok().filter(|_| is_reference) else {
                bail!(Misuse(format!(
                    "{text} is neither there nor an image in a registry (registry.example/pause:3.10, say)"
                )));
            };
            let registry = Registry::open(&reference, &arguments.connection, RegistryOperation::Pull);
            let found =
                registry.and_then(|registry| registry.image()).with_context(|| format!("can't read {reference}"))?;
            let wanted = reference.digest().filter(|digest| *digest != found.top().digest());
            ensure!(wanted.is_none(), "the registry gives something else for {reference}: {}", found.top().digest());
            Ok((found, Vec::new()))
        }
        _ => {
            let layout = push::open(shell, path)?;
            let found = layout.image()?;
            // A broken blob leads nowhere, and so what it should lead to says nothing.
            if found.blobs().iter().any(|(_, blob)| blob.fault().is_some()) {
                return Ok((found, Vec::new()));
            }
            let mut beside: Vec<_> =
                layout.strangers(&found).iter().map(|path| format!("{path}: nothing refers to it")).collect();
            beside.extend(layout.docker()?.and_then(|docker| of_docker(&docker, &found)));
            Ok((found, beside))
        }
    }
}

/// What is wrong with Docker's part of an archive: it must be one of the platforms.
fn of_docker(docker: &Value, found: &Found) -> Option<String> {
    let path = |descriptor: &Descriptor| Value::from(path_of(descriptor));
    let is_its = |image: &Image| {
        let config = image.config.as_ref().map(|config| path(&config.descriptor));
        let layers: Vec<_> = image.layers.iter().map(|layer| path(&layer.descriptor)).collect();
        docker[0]["Config"] == config.unwrap_or_default() && docker[0]["Layers"] == Value::from(layers)
    };
    let entries = docker.as_array().map_or(0, Vec::len);
    let names = docker[0]["RepoTags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stranger = names.iter().find(|name| !name.as_str().is_some_and(|name| found.names.contains(name)));
    if entries != 1 || !found.images.iter().any(is_its) {
        Some(format!("{DOCKER}: what Docker would load is none of the image's platforms"))
    } else {
        stranger.map(|name| format!("{DOCKER}: Docker would call it {name}, which is none of its names"))
    }
}

/// Says what the releaser chose.
fn say_choices(found: &Found) {
    for name in &found.names {
        note!("its name: {name}");
    }
    for (key, value) in &found.annotations {
        if !ANNOTATIONS.contains(&(key, value)) {
            note!("an annotation of the releaser's: {key}={value}");
        }
    }
    let has = |platform: &&Platform| found.images.iter().any(|image| image.platform == platform.name);
    let (there, missing): (Vec<_>, Vec<_>) = PLATFORMS.iter().partition(has);
    if found.index.is_none() {
        note!("it has no index: it is the image of one platform, {}", found.images[0].platform);
    } else if !missing.is_empty() && !there.is_empty() {
        note!("it has {} of the {} platforms; it lacks {}", there.len(), PLATFORMS.len(), names(&missing));
    }
    for referrer in &found.referrers {
        note!("beside it, and not compared: {} {}", referrer.artifact_type(), referrer.manifest.digest());
    }
}

fn names(platforms: &[&Platform]) -> String {
    platforms.iter().map(|platform| platform.name).collect::<Vec<_>>().join(", ")
}

/// Finds the compilers for these platforms, one for all where one is asked for.
fn choose(
    shell: &Shell,
    platforms: &[&'static Platform],
    toolchain: Option<Compiler>,
) -> Result<BTreeMap<&'static str, Compiler>> {
    ports::check(shell)?;
    let mut needs = Needs::of("cargo xtask verify");
    let targets = platforms.iter().map(|platform| platform.target);
    let compilers = match toolchain {
        None => compiler::choose(shell, targets, &mut needs),
        Some(compiler) => compiler::only(shell, compiler, targets, &mut needs),
    }?;
    needs.provide(shell)?;
    Ok(compilers)
}

struct Comparison<'a> {
    shell: &'a Shell,
    arguments: &'a Arguments,
    /// What was found.
    found: &'a Found,
    /// Which compiler builds for which target.
    compilers: BTreeMap<&'static str, Compiler>,
    /// The programs of this source, for the same platforms.
    binaries: Vec<Binary>,
}

impl Comparison<'_> {
    /// What differs. Whether that of the index is `explained` already, the caller knows.
    fn run(&self, explained: bool) -> Result<Vec<String>> {
        let own = self.make()?;
        let mut differences = Vec::new();
        for here in &own.images {
            let its = |image: &&Image| image.platform == here.platform;
            let there = self.found.images.iter().find(its).context("a platform that was found")?;
            let wrong = self.compare_images(here, there)?;
            if let Some(whose) = self.arguments.toolchain {
                let same = if wrong.is_empty() { "the same bytes" } else { "other bytes" };
                say!("{:<14}  {whose:<8}  {same}", here.platform);
            }
            differences.extend(wrong);
        }
        // What differs in a manifest shows in the index, too.
        if differences.is_empty()
            && !explained
            && let (Some(here), Some(there)) = (&own.index, &self.found.index)
        {
            differences.extend(compare("the index", here, there, of_json)?);
        }
        Ok(differences)
    }

    /// The image of this source, as the releaser would have made it.
    fn make(&self) -> Result<Found> {
        let contents = Contents {
            annotations: self.found.annotations.clone().into_iter().collect(),
            links: self.arguments.links.clone(),
            // No digest depends on names.
            ..Contents::usual()
        };
        let packed = image::pack(&self.binaries, &contents)?;
        Layout::of("this source's image", packed.files()).image()
    }

    fn compare_images(&self, here: &Image, there: &Image) -> Result<Vec<String>> {
        let name = &here.platform;
        let mut differences = Vec::new();
        for (here, there) in here.layers.iter().zip(&there.layers) {
            let of_layers = |here: &[u8], there: &[u8]| difference::of_layers(here, there, || self.dissect(name));
            differences.extend(compare(&format!("{name}: the layer"), here, there, of_layers)?);
        }
        if let (Some(here), Some(there)) = (&here.config, &there.config) {
            // What differs in a layer shows in the config's digest of it, too.
            let implied = !differences.is_empty()
                && there.fault().is_none()
                && difference::only_layers(&here.content, &there.content);
            if !implied {
                differences.extend(compare(&format!("{name}: the config"), here, there, of_json)?);
            }
        }
        // What differs in a config or a layer shows in the manifest, too.
        if differences.is_empty() {
            differences.extend(compare(&format!("{name}: the manifest"), &here.manifest, &there.manifest, of_json)?);
        }
        Ok(differences)
    }

    /// A platform's program of this source, and what its bytes belong to.
    fn dissect(&self, name: &str) -> Result<(Vec<u8>, Vec<parts::Part>)> {
        let platform = platform::parse(name)?;
        let build = || Ok(build::build_by(self.shell, &[platform], &self.compilers)?.remove(0).content);
        let (program, map) = parts::build_with_map(self.shell, build)?;
        let parts = parts::dissect(&program, &map, <[u8]>::len)?;
        Ok((program, parts))
    }
}

fn of_json(here: &[u8], there: &[u8]) -> Result<String> {
    Ok(difference::of_json(here, there))
}

/// What differs between two blobs, if something does.
fn compare(
    name: &str,
    here: &Blob,
    there: &Blob,
    explain: impl FnOnce(&[u8], &[u8]) -> Result<String>,
) -> Result<Option<String>> {
    let fault = there.fault();
    if fault.is_none() && here.digest() == there.digest() {
        return Ok(None);
    }
    let digests = match fault {
        Some(fault) => format!("{} {fault}", there.digest()),
        None => format!("{} here, {} there", here.digest(), there.digest()),
    };
    let explained = if here.content == there.content {
        "it holds what it should hold, and is said to be something else".into()
    } else {
        explain(&here.content, &there.content)?
    };
    Ok(Some(format!("{name}: {digests}: {explained}")))
}
