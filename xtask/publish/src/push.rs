//! `cargo xtask push`: the image, into registries, without a container engine.
//!
//! A tag never leads to half an image: first come the blobs, then the manifests and the index, by their digests, then
//! what is said about them, and the tag is last.

use crate::found::{Blob, Found, Layout, Referrer};
use crate::registry::{self, Connection, Registry};
use anyhow::{Context, Result, bail, ensure};
use oci_client::{Reference, RegistryOperation};
use oci_spec::image::Descriptor;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xshell::Shell;
use xtask::command::Misuse;
use xtask::{note, say};

/// What is pushed, and where to.
#[derive(clap::Args)]
#[command(after_help = "\
The credentials are those of PAUSE_REGISTRY_USER and PAUSE_REGISTRY_PASSWORD, else those that `podman login` or `docker \
login` keep. What the registry has is not pushed again. The last line is the image's name with its digest.")]
pub struct Arguments {
    /// Where it goes: registry.example/pause:3.10, say [default tag: the version]
    #[arg(value_name = "REFERENCE", required = true, value_parser = parse)]
    references: Vec<Reference>,

    /// Push the image in this layout folder or archive [default: dist/pause.oci]
    #[arg(long, value_name = "PATH")]
    image: Option<PathBuf>,

    #[command(flatten)]
    connection: Connection,
}

/// What a REFERENCE may be.
fn parse(text: &str) -> Result<Reference> {
    let reference = registry::parse(text)?;
    ensure!(reference.digest().is_none(), "the digest follows from the image; name a tag");
    Ok(reference)
}

/// Runs the command.
///
/// # Errors
/// Where there is no image, or a registry does not take it.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let image = open(shell, arguments.image.as_deref())?.image()?;
    for (name, blob) in image.blobs() {
        if let Some(fault) = blob.fault() {
            bail!("{name} {} {fault}; it is not pushed", blob.digest());
        }
    }
    for reference in &arguments.references {
        push(&image, reference, &arguments.connection).with_context(|| format!("can't push {reference}"))?;
    }
    Ok(())
}

/// The layout at a path, or the one that was made last.
///
/// # Errors
/// Where there is none.
pub fn open(shell: &Shell, path: Option<&Path>) -> Result<Layout> {
    let usual = shell.current_dir().join("dist/pause.oci");
    match path {
        Some(path) => Layout::open(path),
        None if usual.exists() => Layout::open(&usual),
        None => bail!(Misuse(format!("{} is not there; `cargo xtask image` makes it", usual.display()))),
    }
}

fn push(image: &Found, reference: &Reference, connection: &Connection) -> Result<()> {
    let registry = Registry::open(reference, connection, RegistryOperation::Push)?;
    for part in &image.images {
        let mut sizes = Vec::new();
        let mut push = |kind: &str, blob: &Blob, pushed: Result<bool>| -> Result<()> {
            if pushed.with_context(|| format!("{}, {kind} {}", part.platform, blob.digest()))? {
                sizes.push(blob.content.len());
            }
            Ok(())
        };
        for (kind, blob) in part.blobs() {
            push(kind, blob, registry.push_blob(blob))?;
        }
        push("manifest", &part.manifest, registry.push_manifest(&part.manifest))?;
        let done = match sizes.len() {
            0 => "is there already".into(),
            count => format!("{count} blobs pushed, {} bytes", sizes.iter().sum::<usize>()),
        };
        note!("{reference}: {}: {done}", part.platform);
    }
    if let Some(index) = &image.index {
        registry.push_manifest(index).context("the index")?;
    }
    push_referrers(image, reference, &registry)?;
    let top = image.top();
    registry.tag(top)?;
    let read = registry.top()?;
    let (digest, there) = (top.digest(), read.digest());
    ensure!(there.as_ref() == digest, "read back, it is {there}, not {digest}: somebody else pushes there, too");
    say!("{reference}@{digest}");
    Ok(())
}

/// Pushes what is said about the image, and sees to it that one finds it.
fn push_referrers(image: &Found, reference: &Reference, registry: &Registry) -> Result<()> {
    let mut subjects: BTreeMap<String, (Descriptor, Vec<Descriptor>)> = BTreeMap::new();
    for referrer in &image.referrers {
        let Referrer { manifest, content, blobs } = referrer;
        let (digest, kind) = (manifest.digest(), referrer.artifact_type());
        for blob in blobs {
            registry.push_blob(blob).with_context(|| format!("the referrer {digest}"))?;
        }
        registry.push_manifest(manifest).with_context(|| format!("the referrer {digest}"))?;
        note!("{reference}: {kind}: {digest}");
        // Without one, it is beside the image and not about it.
        if let Some(subject) = content.subject() {
            let mut descriptor = manifest.descriptor.clone();
            descriptor.set_artifact_type(Some(kind.clone()));
            descriptor.set_annotations(content.annotations().clone());
            let (_, referrers) =
                subjects.entry(subject.digest().to_string()).or_insert_with(|| (subject.clone(), Vec::new()));
            referrers.push(descriptor);
        }
    }
    for (subject, referrers) in subjects.values() {
        registry
            .list_referrers(subject, referrers)
            .with_context(|| format!("the list of what is said about {}", subject.digest()))?;
    }
    Ok(())
}
