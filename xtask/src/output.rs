//! Files and folders that are written whole or not at all, whatever comes between.
//!
//! What is new is written beside what it replaces, under a name of its own (`.dist.new` for `dist`), and takes
//! its place in the end. An error or an interrupt removes it; what a killed process leaves behind, the next one
//! does.

use crate::note;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is being written now.
static PENDING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// What is being written now. Whoever holds it is not interrupted.
fn pending() -> MutexGuard<'static, Vec<PathBuf>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is half-written, for a process that ends now. Whoever writes, waits forever.
pub fn abandon() {
    let pending = pending();
    for path in pending.iter() {
        // The next one says so.
        let _ = remove(path);
    }
    std::mem::forget(pending);
}

/// Writes a file. A device or a pipe takes it as it comes.
///
/// # Errors
/// Where it can't be written: which, and why.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => bail!("it is a folder"),
            Ok(there) if !there.is_file() => return Ok(fs::write(path, content)?),
            _ => {}
        }
        let path = resolve(path)?;
        let new = Pending::beside(&path)?;
        new.take_step(|new| {
            write(new, content, 0o644)?;
            Ok(fs::rename(new, &path)?)
        })
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

/// The file that a command line names for a result: an absolute path, which means the caller's folder whatever
/// folder the command works in. Asked before the work, so that none is lost.
///
/// # Errors
/// Where nothing can be written there.
pub fn destination(path: PathBuf) -> Result<PathBuf> {
    let path = resolve(&std::path::absolute(path)?)?;
    ensure!(!path.is_dir(), "it is a folder");
    if path.exists() && !path.is_file() {
        return Ok(path);
    }
    try_to_write(path.parent().context("it is a folder")?)?;
    Ok(path)
}

/// Fails where nothing can be written in a folder; in one message, as the parser of the command line shows an error
/// without its causes.
fn try_to_write(folder: &Path) -> Result<()> {
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(()),
        Err(error) => bail!("can't write in {}: {}", folder.display(), error.kind()),
    }
}

/// What a path stands for. A link stays a link: what it leads to is replaced.
fn resolve(path: &Path) -> Result<PathBuf> {
    match path.canonicalize() {
        Ok(target) if path.is_symlink() => Ok(target),
        // What is there may have no path, as the pipe that /dev/stdout is.
        Err(_) if path.is_symlink() && !path.exists() => {
            bail!("{} is a link that leads nowhere; remove it", path.display())
        }
        _ => Ok(path.into()),
    }
}

/// A folder that will take another one's place.
pub struct Folder {
    path: PathBuf,
    new: Pending,
    /// Keeps other processes from the same.
    _lock: Option<File>,
}

impl Folder {
    /// Begins a new version of the folder at `path`, which need not exist. Waits for others that do the same.
    ///
    /// # Errors
    /// Where something that is no folder is there, or nothing can be written there or beside it.
    pub fn begin(path: &Path) -> Result<Self> {
        let path = resolve(path)?;
        let parent = path.parent().context("the root can't be replaced")?;
        fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
        let lock = lock(parent);
        let aside = beside(&path, "old")?;
        if !path.exists() && aside.is_dir() {
            // Somebody was killed while the two changed places.
            fs::rename(&aside, &path).with_context(|| format!("can't rename {}", aside.display()))?;
        }
        ensure!(!path.exists() || path.is_dir(), "{} is not a folder; move it away", path.display());
        if path.exists() {
            // What can't be written can't be removed either, once it is replaced.
            try_to_write(&path)?;
        }
        remove(&aside)?;
        let new = Pending::beside(&path)?;
        new.take_step(|new| Ok(fs::create_dir(new)?)).with_context(|| format!("can't make {}", new.path.display()))?;
        Ok(Self { path, new, _lock: lock })
    }

    /// Has `fill` make the folder at `path`, unless it is there.
    ///
    /// # Errors
    /// Where it can't be made.
    pub fn provide(path: &Path, fill: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        if path.exists() {
            return Ok(());
        }
        let new = Self::begin(path)?;
        // Somebody else may have made it meanwhile.
        if path.exists() {
            return Ok(());
        }
        fill(&new)?;
        new.finish(&[])
    }

    /// Where the new version is until it is finished, for a program that writes it.
    pub fn new_path(&self) -> &Path {
        &self.new.path
    }

    /// Writes a file of the new version. `mode` is its permissions, where there are such.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn write(&self, path: impl AsRef<Path>, content: &[u8], mode: u32) -> Result<()> {
        let path = path.as_ref();
        let written = self.take_step(|new| Ok(write(&new.join(path), content, mode)?));
        // Where it will be is what a reader can make sense of.
        written.with_context(|| format!("can't write {}", self.path.join(path).display()))
    }

    /// Does something with the new version, in the folder where it is, that is not interrupted.
    ///
    /// # Errors
    /// Those of the step.
    pub fn take_step(&self, step: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.new.take_step(step)
    }

    /// Puts the new version in the place of the old one, in one step where the system can do that. What the old
    /// one has beside what is new, and beside `gone`, stays.
    ///
    /// # Errors
    /// Where that can't be done. Nothing has changed then, unless it is what was replaced that can't be removed.
    pub fn finish(self, gone: &[&str]) -> Result<()> {
        let Self { path, new, .. } = &self;
        let replaced = new.take_step(|new| {
            if !path.exists() {
                return Ok(fs::rename(new, path)?);
            }
            keep(path, new, gone)?;
            exchange(new, path)
        });
        replaced.with_context(|| format!("can't replace {}", path.display()))?;
        new.take_step(remove)
    }
}

/// Something new, which is removed unless it took its place.
struct Pending {
    path: PathBuf,
}

impl Pending {
    fn beside(path: &Path) -> Result<Self> {
        let path = beside(path, "new")?;
        let mut pending = pending();
        remove(&path)?;
        pending.push(path.clone());
        Ok(Self { path })
    }

    /// Does something with it that is not interrupted.
    fn take_step(&self, step: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let _pending = pending();
        step(&self.path)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = pending();
        pending.retain(|path| *path != self.path);
        // The next one says so.
        let _ = remove(&self.path);
    }
}

/// The hidden neighbour of a file or a folder: `.dist.new`.
fn beside(path: &Path, kind: &str) -> Result<PathBuf> {
    let mut name = OsString::from(".");
    name.push(path.file_name().with_context(|| format!("{} has no name", path.display()))?);
    name.push(format!(".{kind}"));
    Ok(path.with_file_name(name))
}

/// Keeps other processes from writing in a folder, until the file is closed. Not every system, and not every file
/// system, can lock a folder.
fn lock(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        note!("Waiting for another command that writes in {}", folder.display());
        file.lock().ok()?;
    }
    Some(file)
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.with_context(|| format!("can't remove {}", path.display()))
}

fn write(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().expect("a file in a folder"))?;
    fs::write(path, content)?;
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    #[cfg(not(unix))]
    let _ = mode;
    Ok(())
}

/// Gives what is in the old folder, and not in the new one, a second name there.
fn keep(old: &Path, new: &Path, gone: &[&str]) -> Result<()> {
    for entry in fs::read_dir(old)? {
        let name = entry?.file_name();
        let (old, new) = (old.join(&name), new.join(&name));
        if gone.iter().any(|gone| name == *gone) {
            continue;
        }
        if !new.exists() {
            link(&old, &new)?;
        } else if old.is_dir() != new.is_dir() {
            let kind = if old.is_dir() { "a folder" } else { "not a folder" };
            bail!("{} is {kind}; move it away", old.display());
        }
    }
    Ok(fs::set_permissions(new, fs::metadata(old)?.permissions())?)
}

/// Gives a file, or all files of a folder, a second name.
fn link(from: &Path, to: &Path) -> Result<()> {
    let link = || -> Result<()> {
        if from.is_dir() && !from.is_symlink() {
            fs::create_dir(to)?;
            return keep(from, to, &[]);
        }
        // Some file systems know no second names.
        fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))?;
        Ok(())
    };
    link().with_context(|| format!("can't keep {}", from.display()))
}

/// Lets two folders change places.
fn exchange(new: &Path, old: &Path) -> Result<()> {
    match exchange_at_once(new, old) {
        // The system or the file system can't.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => {}
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {
            bail!("it is a mount point; unmount it, or make it a link to a folder on what is mounted")
        }
        exchanged => return Ok(exchanged?),
    }
    let aside = beside(old, "old")?;
    remove(&aside)?;
    fs::rename(old, &aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        bail!(error);
    }
    // Where the new one was, so that it goes the same way.
    Ok(fs::rename(aside, new)?)
}

/// The same in one step, where the system can do that.
fn exchange_at_once(new: &Path, old: &Path) -> std::io::Result<()> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        Ok(renameat2(AT_FDCWD, new, AT_FDCWD, old, RenameFlags::RENAME_EXCHANGE)?)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        let _ = (new, old);
        Err(ErrorKind::Unsupported.into())
    }
}
