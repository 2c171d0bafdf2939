//! Gives files that root has written in a user's directories to that user.

use crate::needs::is_root;
use std::collections::{HashMap, HashSet};
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
        if let Ok(directory) = directory.canonicalize()
            && let Ok(there) = fs::metadata(&directory)
            && there.uid() != 0
        {
            give(&directory, &there);
        }
    }
}

/// Gives root's files below a directory to its owner. Doesn't follow links, or enter what is mounted there. A file with a
/// name elsewhere stays root's.
fn give(directory: &Path, owner: &Metadata) {
    let mut files = HashMap::new();
    find(directory, &mounts(), &mut files);
    for (there, paths) in files.into_values() {
        if there.is_dir() || there.nlink() == paths.len() as u64 {
            // It may be gone.
            paths.first().map(|path| lchown(path, Some(owner.uid()), Some(owner.gid())));
        }
    }
}

/// Finds root's files, with all their names below the directory.
fn find(directory: &Path, mounts: &HashSet<PathBuf>, files: &mut HashMap<u64, (Metadata, Vec<PathBuf>)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, Ok(there)) = (entry.path(), entry.metadata()) else { continue };
        if mounts.contains(&path) {
            continue;
        }
        if there.is_dir() {
            find(&path, mounts, files);
        }
        if there.uid() == 0 {
            files.entry(there.ino()).or_insert_with(|| (there, Vec::new())).1.push(path);
        }
    }
}

/// Mount points, bind mounts among them.
fn mounts() -> HashSet<PathBuf> {
    // https://github.com/torvalds/linux/blob/v6.12/fs/proc_namespace.c
    const ESCAPED: [(&str, &str); 4] = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    let list = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let paths = list.lines().filter_map(|line| line.split(' ').nth(4));
    let unescape = |path: &str| ESCAPED.iter().fold(path.to_owned(), |path, (from, to)| path.replace(from, to));
    paths.map(|path| unescape(path).into()).collect()
}
