//! Writes artefacts. Each is whole or absent at any time, and nothing else in its directory is touched.
//!
//! A file is written under a temporary name next to its target, then renamed. An interrupt waits for that.

use crate::note;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::{Builder, NamedTempFile};

/// How temporary names begin.
const PREFIX: &str = ".xtask-";

/// Directories that another program is filling. Nothing interrupts a process while this is locked.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn hold() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cleans up before an interrupted process exits. Blocks other threads that write from then on.
pub fn abandon() {
    let unfinished = hold();
    for directory in unfinished.iter() {
        let _ = fs::remove_dir_all(directory);
    }
    std::mem::forget(unfinished);
}

/// Artefacts of a command, in memory until they are committed.
pub struct Staged {
    directory: PathBuf,
    files: Vec<(PathBuf, Vec<u8>, u32)>,
    layouts: Vec<PathBuf>,
}

impl Staged {
    /// Starts with no files. Fails at once if the directory, which may be missing, can't be written later.
    pub fn new(directory: impl Into<PathBuf>) -> Result<Self> {
        let directory = directory.into();
        check_writable(&directory)?;
        Ok(Self { directory, files: Vec::new(), layouts: Vec::new() })
    }

    /// Adds a file. The process's umask applies to `mode`.
    pub fn file(&mut self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>, mode: u32) {
        self.files.push((self.directory.join(path), content.into(), mode));
    }

    /// Adds an OCI image layout, which replaces a layout that is there.
    pub fn layout<'a>(&mut self, path: &str, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        let mut files: Vec<_> = files.into_iter().collect();
        // The index last: it refers only to blobs that are there.
        files.sort_by_key(|(name, _)| *name == "index.json");
        for (name, content) in files {
            self.file(Path::new(path).join(name), content, 0o644);
        }
        self.layouts.push(self.directory.join(path));
    }

    /// Writes everything. If that fails before the first file is replaced, nothing has changed.
    pub fn commit(self) -> Result<()> {
        let mut made = Vec::new();
        make_directory(&self.directory, &mut made)?;
        let _lock = lock(&self.directory);
        let _uninterrupted = hold();
        let written = self.write(&mut made);
        if written.is_err() {
            // Those that are empty.
            made.iter().rev().for_each(|directory| drop(fs::remove_dir(directory)));
        }
        written
    }

    fn write(&self, made: &mut Vec<PathBuf>) -> Result<()> {
        let mut old = Vec::new();
        for layout in self.layouts.iter().filter(|layout| layout.is_dir()) {
            list_layout(layout, "", &mut old)?;
        }
        let mut staged = Vec::new();
        for (path, content, mode) in &self.files {
            ensure!(!path.is_dir(), "{} is a directory; move it away", path.display());
            let parent = path.parent().context("a file in a directory")?;
            make_directory(parent, made)?;
            let file = stage(path, content, *mode).with_context(|| format!("can't write in {}", parent.display()))?;
            staged.push((path, file));
        }
        for (path, file) in staged {
            persist(file, path).with_context(|| format!("can't write {}", path.display()))?;
        }
        old.retain(|old| self.files.iter().all(|(path, ..)| path != old));
        old.iter().try_for_each(fs::remove_file).context("can't remove the old image's blobs")
    }
}

/// Replaces one file that a command line names, and keeps its permissions. Follows a link. A pipe or a device is
/// written to.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        let path = std::path::absolute(resolve(path)?)?;
        let there = fs::metadata(&path).ok();
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            return Ok(fs::write(path, content)?);
        }
        let _uninterrupted = hold();
        let file = stage(&path, content, 0o644)?;
        if let Some(there) = there {
            file.as_file().set_permissions(there.permissions())?;
        }
        Ok(persist(file, &path)?)
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

/// Parses the path of a result on the command line. Fails at once if it can't be written later.
pub fn destination(path: PathBuf) -> Result<PathBuf> {
    let path = resolve(&std::path::absolute(path)?)?;
    ensure!(!path.is_dir(), "it is a directory");
    if !path.exists() || path.is_file() {
        let parent = path.parent().context("it is a directory")?;
        ensure!(parent.is_dir(), "there is no directory {}", parent.display());
        check_writable(parent)?;
    }
    Ok(path)
}

/// Fails if no file can be created in a directory, which may be missing.
pub fn check_writable(directory: &Path) -> Result<()> {
    let directory = resolve(directory)?;
    let there = directory.ancestors().find(|directory| directory.exists()).context("no such directory")?;
    ensure!(there.is_dir(), "{} is not a directory; move it away", there.display());
    match tempfile::tempfile_in(there) {
        Ok(_) => Ok(()),
        Err(error) => bail!("can't write in {}: {}", there.display(), error.kind()),
    }
}

/// Makes a directory unless it is there: `fill` is given an empty one, which is renamed when it is full.
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
    let result = filled.and_then(|()| match fs::rename(new.path(), path) {
        // Another process has made it in the meantime.
        Err(_) if path.exists() => Ok(()),
        renamed => renamed.with_context(|| format!("can't make {}", path.display())),
    });
    drop(new);
    result
}

/// Follows a link.
fn resolve(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(target) if path.is_symlink() => Ok(target),
        // The target may have no path: the pipe that /dev/stdout is.
        Err(_) if path.is_symlink() && !path.exists() => {
            bail!("{} is a link that leads nowhere; remove it", path.display())
        }
        _ => Ok(path.into()),
    }
}

/// Keeps other processes from writing in a directory until the file is closed, if the file system has locks.
fn lock(directory: &Path) -> Option<File> {
    let file = File::open(directory).ok()?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        note!("waiting for another command that writes in {}", directory.display());
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
    make_directory(path.parent().context("the root is a directory")?, made)?;
    fs::create_dir(path).with_context(|| format!("can't make {}", path.display()))?;
    made.push(path.into());
    Ok(())
}

/// Lists the files of a layout below `inside`. Fails if there is anything that a layout doesn't have.
fn list_layout(layout: &Path, inside: &str, files: &mut Vec<PathBuf>) -> Result<()> {
    let directory = layout.join(inside);
    for entry in fs::read_dir(&directory).with_context(|| format!("can't read {}", directory.display()))? {
        let entry = entry?;
        let (kind, file_name) = (entry.file_type()?, entry.file_name());
        let name = format!("{inside}{}", file_name.to_string_lossy());
        let is_blob = |name: &str| name.len() == 64 && name.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        match name.as_str() {
            "blobs" | "blobs/sha256" if kind.is_dir() => list_layout(layout, &format!("{name}/"), files)?,
            "oci-layout" | "index.json" if kind.is_file() => files.push(entry.path()),
            _ if kind.is_file() && name.strip_prefix("blobs/sha256/").is_some_and(is_blob) => files.push(entry.path()),
            // Left by a process that was killed.
            _ if kind.is_file() && file_name.to_string_lossy().starts_with(PREFIX) => files.push(entry.path()),
            _ => bail!(
                "{} holds {}, which this command did not write; move it away",
                layout.display(),
                name.escape_debug()
            ),
        }
    }
    Ok(())
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

/// Writes a file next to its target.
fn stage(path: &Path, content: &[u8], mode: u32) -> std::io::Result<NamedTempFile> {
    let parent = path.parent().unwrap_or(path);
    // The error without the temporary path.
    let mut file = builder(mode).tempfile_in(parent).map_err(|error| error.kind())?;
    file.as_file_mut().write_all(content)?;
    Ok(file)
}

fn persist(file: NamedTempFile, path: &Path) -> std::io::Result<()> {
    file.persist(path).map(drop).map_err(|error| error.error)
}
