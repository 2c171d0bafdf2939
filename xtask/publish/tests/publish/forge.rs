//! Images that are changed on purpose.

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use xtask::digest::sha256;

/// A layout folder that is changed, one platform of it.
pub struct Forgery {
    pub folder: PathBuf,
    /// The place of the platform in the index.
    platform: usize,
}

/// What makes other bytes of some.
type Change<'a> = Box<dyn FnOnce(Vec<u8>) -> Result<Vec<u8>> + 'a>;

/// The kinds of blobs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Index,
    Manifest,
    Config,
    Layer,
}

impl Forgery {
    /// Copies a layout folder to where nothing is yet, to change it there.
    pub fn of(image: &Path, to: PathBuf) -> Result<Self> {
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        copy(image, &to)?;
        Ok(Self { folder: to, platform: 1 })
    }

    fn json(path: &Path) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    fn blob(&self, descriptor: &Value) -> Result<PathBuf> {
        let digest = descriptor["digest"].as_str().context("a digest")?;
        Ok(self.folder.join("blobs").join(digest.replace(':', "/")))
    }

    /// Where a blob is.
    pub fn path(&self, kind: Kind) -> Result<PathBuf> {
        let index = self.blob(&Self::json(&self.folder.join("index.json"))?["manifests"][0])?;
        if kind == Kind::Index {
            return Ok(index);
        }
        let manifest = self.blob(&Self::json(&index)?["manifests"][self.platform])?;
        match kind {
            Kind::Config => self.blob(&Self::json(&manifest)?["config"]),
            Kind::Layer => self.blob(&Self::json(&manifest)?["layers"][0]),
            _ => Ok(manifest),
        }
    }

    /// Changes a blob, and all digests that lead to it: as somebody would who wants nobody to notice.
    pub fn change(&self, kind: Kind, change: impl FnOnce(Vec<u8>) -> Result<Vec<u8>>) -> Result<()> {
        self.change_all(kind, Box::new(change))
    }

    fn change_all(&self, kind: Kind, change: Change<'_>) -> Result<()> {
        let path = self.path(kind)?;
        let new = change(fs::read(&path)?)?;
        let name = sha256(&new);
        ensure!(!path.ends_with(&name), "nothing has changed");
        fs::write(path.with_file_name(&name), &new)?;
        let describe = |descriptor: &mut Value| {
            descriptor["digest"] = format!("sha256:{name}").into();
            descriptor["size"] = new.len().into();
        };
        let edit = |content: Vec<u8>, edit: &dyn Fn(&mut Value)| -> Result<Vec<u8>> {
            let mut value: Value = serde_json::from_slice(&content)?;
            edit(&mut value);
            Ok(serde_json::to_vec(&value)?)
        };
        match kind {
            Kind::Index => {
                let names = self.folder.join("index.json");
                fs::write(&names, edit(fs::read(&names)?, &|names| describe(&mut names["manifests"][0]))?)?;
            }
            Kind::Manifest => {
                let entry = |index: &mut Value| describe(&mut index["manifests"][self.platform]);
                self.change_all(Kind::Index, Box::new(|index| edit(index, &entry)))?;
            }
            Kind::Config => {
                let entry = |manifest: &mut Value| describe(&mut manifest["config"]);
                self.change_all(Kind::Manifest, Box::new(|manifest| edit(manifest, &entry)))?;
            }
            Kind::Layer => {
                let entry = |manifest: &mut Value| describe(&mut manifest["layers"][0]);
                self.change_all(Kind::Manifest, Box::new(|manifest| edit(manifest, &entry)))?;
            }
        }
        Ok(fs::remove_file(path)?)
    }

    /// Changes the archive in the layer.
    pub fn change_archive(&self, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.change(Kind::Layer, |layer| {
            let mut archive = Vec::new();
            GzDecoder::new(layer.as_slice()).read_to_end(&mut archive)?;
            change(&mut archive);
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&archive)?;
            Ok(encoder.finish()?)
        })
    }

    /// Packs the folder into an archive, with these further files.
    pub fn archive(&self, to: &Path, further: &[(&str, &[u8])]) -> Result<()> {
        let mut archive = tar::Builder::new(fs::File::create(to)?);
        archive.append_dir_all("", &self.folder)?;
        for (path, content) in further {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, *content)?;
        }
        Ok(archive.finish()?)
    }
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
