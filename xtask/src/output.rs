//! Files and folders that are written whole or not at all, whatever comes between.
//!
//! What is new is written beside what it replaces, under a name of its own (`.dist.new` for `dist`), and takes
//! its place in the end. An error or an interrupt removes it; what a killed process leaves behind, the next one
//! does.

use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What is being written now.
static PENDING: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes what is half-written, for a process that ends now. Whoever writes, waits forever.
pub fn abandon() {
    let pending = PENDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    pending.iter().for_each(|path| remove(path));
    std::mem::forget(pending);
}

/// Writes a file.
///
/// # Errors
/// Where it can't be written: which, and why.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    ensure!(!path.is_dir(), "can't write {}: it is a folder", path.display());
    let new = Pending::beside(path)?;
    let write = || write(&new.path, content, 0o644).and_then(|()| rename(&new.path, path));
    write().with_context(|| format!("can't write {}", path.display()))
}

/// The file that a command line names for a result: an absolute path, which means the caller's folder whatever
/// folder the command works in. Asked before the work, so that none is lost.
///
/// # Errors
/// Where nothing can be written there.
pub fn destination(path: PathBuf) -> Result<PathBuf> {
    // A link stays a link: what it leads to is replaced.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(_) if path.is_symlink() => bail!("it is a link that leads nowhere"),
        Err(_) => std::path::absolute(path)?,
    };
    ensure!(!path.is_dir(), "it is a folder");
    ensure!(path.is_file() || !path.exists(), "it is no file that could be replaced");
    let folder = path.parent().context("it is a folder")?;
    // The parser of the command line shows an error without its causes.
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(path),
        Err(error) => bail!("can't write in {}: {}", folder.display(), error.kind()),
    }
}

/// A folder that will take another one's place.
pub struct Folder {
    path: PathBuf,
    new: Pending,
    /// Keeps other processes from the same.
    _lock: File,
}

impl Folder {
    /// Begins a new version of the folder at `path`, which need not exist. Waits for others that do the same.
    ///
    /// # Errors
    /// Where something that is no folder is there, or nothing can be written beside it.
    pub fn begin(path: &Path) -> Result<Self> {
        // A link stays a link: what it leads to is replaced.
        let path = match path.canonicalize() {
            Ok(path) => path,
            Err(_) if path.is_symlink() => bail!("{} is a link that leads nowhere; remove it", path.display()),
            Err(_) => path.to_path_buf(),
        };
        ensure!(!path.exists() || path.is_dir(), "{} is not a folder; move it away", path.display());
        let parent = path.parent().context("the root can't be replaced")?;
        fs::create_dir_all(parent).with_context(|| format!("can't make {}", parent.display()))?;
        let lock = File::open(parent).with_context(|| format!("can't open {}", parent.display()))?;
        lock.lock().with_context(|| format!("can't lock {}", parent.display()))?;
        let new = Pending::beside(&path)?;
        fs::create_dir(&new.path).with_context(|| format!("can't make {}", new.path.display()))?;
        Ok(Self { path, new, _lock: lock })
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
        // Where it will be is what a reader can make sense of.
        let written = write(&self.new.path.join(path), content, mode);
        written.with_context(|| format!("can't write {}", self.path.join(path).display()))
    }

    /// Puts the new version in the place of the old one, in one step where the system can do that. What the old
    /// one has beside what is new, and beside `gone`, stays.
    ///
    /// # Errors
    /// Where that can't be done; nothing has changed then.
    pub fn finish(self, gone: &[&str]) -> Result<()> {
        let all = || -> Result<()> {
            if !self.path.exists() {
                return Ok(rename(&self.new.path, &self.path)?);
            }
            for entry in fs::read_dir(&self.path)? {
                let (old, name) = (entry.as_ref().map(fs::DirEntry::path), entry.as_ref().map(fs::DirEntry::file_name));
                let (Ok(old), Ok(name)) = (old, name) else { bail!("{:?}", entry.err()) };
                let new = self.new.path.join(&name);
                if !new.exists() && !gone.iter().any(|gone| name == *gone) {
                    link(&old, &new)?;
                }
            }
            exchange(&self.new.path, &self.path)
        };
        all().with_context(|| format!("can't replace {}", self.path.display()))
    }
}

/// Something new, which is removed unless it took its place.
struct Pending {
    path: PathBuf,
}

impl Pending {
    fn beside(path: &Path) -> Result<Self> {
        let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
        let path = path.with_file_name(format!(".{}.new", name.to_string_lossy()));
        PENDING.lock().expect("no panic while it is held").push(path.clone());
        remove(&path);
        Ok(Self { path })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        remove(&self.path);
        PENDING.lock().expect("no panic while it is held").retain(|path| *path != self.path);
    }
}

/// Removes a file or a folder, if it is there. What can't be removed could not be written either.
fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
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

fn rename(from: &Path, to: &Path) -> std::io::Result<()> {
    // Not while an interrupt removes it.
    let _pending = PENDING.lock();
    fs::rename(from, to)
}

/// Gives a file, or all files of a folder, a second name.
fn link(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() && !from.is_symlink() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            link(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    // Some file systems know no second names.
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(|_| ()))?;
    Ok(())
}

/// Lets two folders change places.
fn exchange(new: &Path, old: &Path) -> Result<()> {
    let _pending = PENDING.lock();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::errno::Errno;
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        match renameat2(AT_FDCWD, new, AT_FDCWD, old, RenameFlags::RENAME_EXCHANGE) {
            // The file system can't.
            Err(Errno::EINVAL | Errno::ENOSYS) => {}
            done => return Ok(done?),
        }
    }
    let aside = old.with_extension("old");
    if let Err(error) = fs::remove_dir_all(&aside)
        && error.kind() != ErrorKind::NotFound
    {
        bail!(error);
    }
    fs::rename(old, &aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        bail!(error);
    }
    // Where the new one was, so that it goes the same way.
    Ok(fs::rename(aside, new)?)
}
