//! Writes artefacts. Those of [`Staged`] and [`provide`] are whole or absent at any time; other files stay as they are.
//!
//! A file is written under a temporary name next to its target, then renamed. A signal waits for that.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::{Builder, NamedTempFile};

/// Prefix of temporary names.
const PREFIX: &str = ".xtask-";

/// The file of an OCI image layout that lists its images.
const INDEX: &str = "index.json";

/// The size of the largest configuration of an image that is read, in bytes.
const LARGEST_CONFIG: u64 = 1 << 20;

/// Directories that another program is filling. No signal ends the process while this is locked.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn hold() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cleans up before a signal ends the process. Blocks other threads that write from then on.
pub fn cleanup() {
    let unfinished = hold();
    unfinished.iter().for_each(|directory| drop(fs::remove_dir_all(directory)));
    std::mem::forget(unfinished);
}

/// A command's artefacts, in memory until they are committed. A layout, which has an `index.json`, replaces another.
pub struct Staged {
    directory: PathBuf,
    files: Vec<(PathBuf, Vec<u8>, u32)>,
}

impl Staged {
    /// Fails at once if the directory, which may be missing, can't be written later.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        check_writable(&directory)?;
        Ok(Self { directory, files: Vec::new() })
    }

    /// Adds a file. The process's umask applies to `mode`.
    pub fn file(&mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>, mode: u32) {
        self.files.push((self.directory.join(path), content.into(), mode));
    }

    /// Writes everything. If that fails before the first file is replaced, nothing has changed.
    pub fn commit(mut self) -> Result<()> {
        // An index comes last, so it never refers to a missing blob.
        self.files.sort_by_key(|(path, ..)| path.ends_with(INDEX));
        let mut made = Vec::new();
        make_directory(&self.directory, &mut made)?;
        let _lock = lock(&self.directory);
        let _uninterrupted = hold();
        let written = self.write(&mut made);
        if written.is_err() {
            // Only empty ones are removed.
            made.iter().rev().for_each(|directory| drop(fs::remove_dir(directory)));
        }
        written
    }

    fn write(&self, made: &mut Vec<PathBuf>) -> Result<()> {
        let mut old = Vec::new();
        for layout in self.files.iter().filter_map(|(path, ..)| path.ends_with(INDEX).then(|| path.parent())?) {
            ensure!(!layout.is_symlink(), "{} is a link; move it away", layout.display());
            if layout.is_dir() {
                old.extend(list_layout(layout)?);
            }
        }
        let mut staged = Vec::new();
        for (path, content, mode) in &self.files {
            ensure!(!path.is_dir(), "{} is a directory; move it away", path.display());
            let parent = path.parent().context("a file in a directory")?;
            make_directory(parent, made)?;
            // The error without the temporary path.
            let file = builder(*mode).tempfile_in(parent).map_err(|error| error.kind().into());
            let write = |mut file: NamedTempFile| file.write_all(content).map(|()| staged.push((path, file)));
            file.and_then(write).with_context(|| format!("can't write in {}", parent.display()))?;
        }
        for (path, file) in staged {
            file.persist(path).with_context(|| format!("can't write {}", path.display()))?;
        }
        old.retain(|old| self.files.iter().all(|(path, ..)| path != old));
        old.iter().try_for_each(fs::remove_file).context("can't remove the old image's blobs")
    }
}

/// Writes one file in place, such as a golden one: it keeps its owner and permissions, and a link stays a link. If the
/// disk is full, it is cut short.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let _uninterrupted = hold();
    fs::write(path, content).with_context(|| format!("can't write {}", path.display()))
}

/// Fails if no file can be created in a directory, which may be missing.
fn check_writable(directory: &Path) -> Result<()> {
    let leads_nowhere = directory.is_symlink() && !directory.exists();
    ensure!(!leads_nowhere, "{} is a link that leads nowhere; remove it", directory.display());
    let parent = directory.ancestors().find(|directory| directory.exists()).context("no such directory")?;
    ensure!(parent.is_dir(), "{} is not a directory; move it away", parent.display());
    match tempfile::tempfile_in(parent) {
        Ok(_) => Ok(()),
        Err(error) => bail!("can't write in {}: {}", parent.display(), error.kind()),
    }
}

/// Makes a directory unless it exists: renames a temporary one after `fill` has filled it.
pub fn provide(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let parent = path.parent().context("a directory in a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
    let mut unfinished = hold();
    let new = builder(0o755).tempdir_in(parent)?;
    unfinished.push(new.path().into());
    drop(unfinished);
    let filled = fill(new.path());
    let mut unfinished = hold();
    unfinished.retain(|directory| directory != new.path());
    let made = filled.and_then(|()| match fs::rename(new.path(), path) {
        // Another process has made it in the meantime.
        Err(_) if path.exists() => Ok(()),
        renamed => renamed.with_context(|| format!("can't make {}", path.display())),
    });
    // No signal ends the process before that is removed.
    drop(new);
    made
}

/// Keeps other processes from writing in a directory until the file is closed, if the file system has locks.
fn lock(directory: &Path) -> Option<File> {
    let file = File::open(directory).ok()?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        crate::status!("waiting for another command that writes in {}", directory.display());
        file.lock().ok()?;
    }
    Some(file)
}

/// Makes a directory and its parents, and adds those that were missing to `made`.
fn make_directory(path: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    ensure!(path.symlink_metadata().is_err(), "{} is not a directory; move it away", path.display());
    let parent = path.parent().context("the root is a directory")?;
    make_directory(parent, made)?;
    let created = fs::create_dir(path).map_err(|error| std::io::Error::from(error.kind()));
    created.with_context(|| format!("can't write in {}", parent.display()))?;
    made.push(path.into());
    Ok(())
}

/// Lists the files of a layout. Fails if another program has written one of them.
fn list_layout(layout: &Path) -> Result<Vec<PathBuf>> {
    let is_digest = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (mut files, mut configs) = (Vec::new(), Vec::new());
    for directory in ["", "blobs", "blobs/sha256"].map(|name| layout.join(name)) {
        let entries = fs::read_dir(&directory).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let entries = match entries {
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            entries => entries.with_context(|| format!("can't read {}", directory.display()))?,
        };
        for path in entries.iter().map(fs::DirEntry::path) {
            let name = path.strip_prefix(layout)?.to_string_lossy();
            let metadata = path.symlink_metadata()?;
            if metadata.is_dir() && ["blobs", "blobs/sha256"].contains(&&*name) {
                continue;
            }
            let is_blob = name.strip_prefix("blobs/sha256/").is_some_and(is_digest);
            // A killed process leaves temporary files.
            let is_temporary = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
            let is_known = is_blob || is_temporary || ["oci-layout", INDEX].contains(&&*name);
            let (at, name) = (layout.display(), name.escape_debug());
            let is_ours = is_known && metadata.is_file();
            ensure!(is_ours, "{at} holds {name}, which this command did not write; move it away");
            if is_blob && metadata.len() <= LARGEST_CONFIG {
                let blob = serde_json::from_slice::<Value>(&fs::read(&path)?).ok();
                configs.extend(blob.filter(|blob| blob["rootfs"].is_object()));
            }
            files.push(path);
        }
    }
    // A command that was killed may have left blobs without an index.
    let is_ours = |config: &Value| config["config"]["Entrypoint"] == json!(["/pause"]);
    let are_ours = !configs.is_empty() && configs.iter().all(is_ours) || !layout.join(INDEX).exists();
    ensure!(are_ours, "{} holds another image; move it away", layout.display());
    Ok(files)
}

fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}
