//! Small images in the format of `docker save`, which every host loads too.

use anyhow::Result;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tar::{Builder, EntryType, Header};
use xtask::digest::sha256;
use xtask::platform;

/// The mode of a program.
const PROGRAM: u32 = 0o755;

/// Writes an image of executable files: each with its path in the image and where it comes from. `config` is
/// how a container of it starts.
///
/// # Errors
/// Where a file can't be read, or the archive not be written.
pub fn write(archive: &Path, reference: &str, config: &Value, files: &[(&str, &Path)]) -> Result<()> {
    let mut layer = Layer::default();
    for (path, source) in files {
        layer.file(path, &fs::read(source)?, PROGRAM)?;
    }
    write_layer(archive, reference, config, &layer.finish()?)
}

/// Writes an image of one layer.
///
/// # Errors
/// Where the archive can't be written.
pub fn write_layer(archive: &Path, reference: &str, config: &Value, layer: &[u8]) -> Result<()> {
    let mut platform = platform::native()?.name.split('/');
    let config = serde_json::to_vec(&json!({
        "os": platform.next(),
        "architecture": platform.next(),
        "variant": platform.next(),
        "config": config,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(layer))] },
    }))?;
    let name = format!("{}.json", sha256(&config));
    let manifest = json!([{ "Config": name, "RepoTags": [reference], "Layers": ["layer.tar"] }]);

    let mut image = Builder::new(fs::File::create(archive)?);
    append(&mut image, "manifest.json", &serde_json::to_vec(&manifest)?, PROGRAM)?;
    append(&mut image, &name, &config, PROGRAM)?;
    append(&mut image, "layer.tar", layer, PROGRAM)?;
    image.finish()?;
    Ok(())
}

/// A layer of an image. All that is in it is root's.
pub struct Layer(Builder<Vec<u8>>);

impl Default for Layer {
    fn default() -> Self {
        Self(Builder::new(Vec::new()))
    }
}

impl Layer {
    /// Adds a file.
    ///
    /// # Errors
    /// Where the path is too long.
    pub fn file(&mut self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        append(&mut self.0, path, content, mode)
    }

    /// Adds another name of a file.
    ///
    /// # Errors
    /// Where a path is too long.
    pub fn link(&mut self, path: &str, file: &str) -> Result<()> {
        let mut header = header(EntryType::Link, 0, PROGRAM);
        Ok(self.0.append_link(&mut header, path, file)?)
    }

    /// Adds a folder that anybody may write to.
    ///
    /// # Errors
    /// Where the path is too long.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        let mut header = header(EntryType::Directory, 0, 0o1777);
        Ok(self.0.append_data(&mut header, path, &[][..])?)
    }

    /// The layer.
    ///
    /// # Errors
    /// Where it can't be completed.
    pub fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

/// Adds a file of root's.
fn append(archive: &mut Builder<impl std::io::Write>, path: &str, content: &[u8], mode: u32) -> Result<()> {
    let mut header = header(EntryType::Regular, content.len(), mode);
    Ok(archive.append_data(&mut header, path, content)?)
}

fn header(kind: EntryType, size: usize, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(mode);
    header
}
