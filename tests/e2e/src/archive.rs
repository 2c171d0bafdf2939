//! Small images in the format of `docker save`, which every host loads too.

use anyhow::Result;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tar::{Builder, EntryType, Header};
use xtask::digest::sha256;
use xtask::platform;

/// Writes an image of executable files: each with its path in the image and where it comes from. `config` is
/// how a container of it starts.
///
/// # Errors
/// Where a file can't be read, or the archive not be written.
pub fn write(archive: &Path, reference: &str, config: &Value, files: &[(&str, &Path)]) -> Result<()> {
    let mut layer = Builder::new(Vec::new());
    for (path, source) in files {
        append(&mut layer, path, &fs::read(source)?)?;
    }
    let layer = layer.into_inner()?;
    let mut platform = platform::native()?.name.split('/');
    let config = serde_json::to_vec(&json!({
        "os": platform.next(),
        "architecture": platform.next(),
        "variant": platform.next(),
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    }))?;
    let name = format!("{}.json", sha256(&config));
    let manifest = json!([{ "Config": name, "RepoTags": [reference], "Layers": ["layer.tar"] }]);

    let mut image = Builder::new(fs::File::create(archive)?);
    append(&mut image, "manifest.json", &serde_json::to_vec(&manifest)?)?;
    append(&mut image, &name, &config)?;
    append(&mut image, "layer.tar", &layer)?;
    image.finish()?;
    Ok(())
}

/// Adds an executable file of root's.
fn append(archive: &mut Builder<impl std::io::Write>, path: &str, content: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    Ok(archive.append_data(&mut header, path, content)?)
}
