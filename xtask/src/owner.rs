//! Gives files that root has written in a user's directories to that user.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

/// Gives root's files in the checkout, and in the homes of cargo and rustup, to the owner of each directory: a
/// command started with sudo leaves none that the user can't remove.
pub fn give_back() {
    if !crate::prerequisites::is_root() {
        return;
    }
    let home =
        |variable, name| std::env::var_os(variable).map(PathBuf::from).or(Some(std::env::home_dir()?.join(name)));
    let checkout = crate::command::repository().ok().map(|shell| shell.current_dir());
    let directories = [checkout, home("CARGO_HOME", ".cargo"), home("RUSTUP_HOME", ".rustup")];
    for directory in directories.into_iter().flatten().filter_map(|directory| directory.canonicalize().ok()) {
        let Some(owner) = fs::metadata(&directory).ok().filter(|owner| owner.uid() != 0) else { continue };
        let mut files = HashMap::new();
        find(&directory, &mount_points(), &mut files);
        for (metadata, paths) in files.into_values() {
            // A file with a name elsewhere stays root's.
            if metadata.is_dir() || metadata.nlink() == paths.len() as u64 {
                // It may be gone.
                let _ = lchown(&paths[0], Some(owner.uid()), Some(owner.gid()));
            }
        }
    }
}

/// Finds root's files by inode, with all their names below the directory. Doesn't follow links or enter mount points.
fn find(directory: &Path, mount_points: &HashSet<PathBuf>, files: &mut HashMap<u64, (Metadata, Vec<PathBuf>)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        // Another command may be using its temporary directory.
        let is_temporary = entry.file_name().as_encoded_bytes().starts_with(b".tmp");
        if mount_points.contains(&path) || is_temporary {
            continue;
        }
        if metadata.is_dir() {
            find(&path, mount_points, files);
        }
        if metadata.uid() == 0 {
            files.entry(metadata.ino()).or_insert_with(|| (metadata, Vec::new())).1.push(path);
        }
    }
}

fn mount_points() -> HashSet<PathBuf> {
    // https://github.com/torvalds/linux/blob/v6.12/fs/proc_namespace.c
    const ESCAPED: [(&str, &str); 4] = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    let list = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let paths = list.lines().filter_map(|line| line.split(' ').nth(4));
    let unescape = |path: &str| ESCAPED.iter().fold(path.to_owned(), |path, (from, to)| path.replace(from, to));
    paths.map(|path| unescape(path).into()).collect()
}
