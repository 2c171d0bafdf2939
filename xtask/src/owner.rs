//! Gives files that root has written in a user's directories to that user.

use crate::needs::is_root;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

/// Gives root's files in the checkout, and in the homes of cargo and rustup, to the owner of each directory: a
/// command started with sudo leaves none that the user can't remove.
pub fn give_back(checkout: Option<PathBuf>) {
    if !is_root() {
        return;
    }
    let home =
        |variable, name| std::env::var_os(variable).map(PathBuf::from).or(Some(std::env::home_dir()?.join(name)));
    let directories = [checkout, home("CARGO_HOME", ".cargo"), home("RUSTUP_HOME", ".rustup")];
    for directory in directories.into_iter().flatten() {
        if let Ok(there) = fs::metadata(&directory)
            && there.uid() != 0
        {
            give(&directory, &there);
        }
    }
}

/// Gives root's files below a directory to its owner. Doesn't follow links, or enter other file systems.
fn give(directory: &Path, owner: &Metadata) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(there) = entry.metadata() else { continue };
        if there.dev() != owner.dev() {
            continue;
        }
        if there.uid() == 0 {
            // It may be gone.
            let _ = lchown(entry.path(), Some(owner.uid()), Some(owner.gid()));
        }
        if there.is_dir() {
            give(&entry.path(), owner);
        }
    }
}
