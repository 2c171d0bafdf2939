//! Gets what a boot needs and the machine lacks: kernels, kept in `target/kernels`, and emulators.

use super::kernels::{Kernel, Machine};
use super::machine::Emulator;
use super::packages::Archive;
use crate::install;
use anyhow::{Context, Result, ensure};
use ruzstd::decoding::StreamingDecoder;
use std::ffi::CStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use xshell::{Shell, cmd};

/// Where the newest emulator for a Debian stable is found.
const BACKPORTS: &str = "bookworm-backports";

/// A kernel as files.
pub struct Image {
    /// The kernel.
    pub kernel: PathBuf,
    /// The device tree of the machine that it is to boot on, if it needs one.
    pub device_tree: Option<PathBuf>,
}

/// Gets a kernel, from the cache if it is there.
///
/// # Errors
/// Where Debian's archive doesn't have it or can't be reached.
pub fn kernel(shell: &Shell, kernel: &Kernel) -> Result<Image> {
    let folder = cached(shell, kernel.name, |folder, new| {
        println!("Fetching the kernel {}", kernel.name);
        let archive = Archive::open(shell, kernel.suite, kernel.architecture)?;
        // Newer packages come in parts: the image package depends on one with the binary.
        let packages = archive.dependencies(kernel.package, &["linux-image-", "linux-binary-"])?;
        archive.unpack(&packages, folder)?;
        let image = find(folder, &|name| name.starts_with("vmlinu"))?.context("the package has no kernel in it")?;
        fs::write(new.join("kernel"), unwrap(fs::read(image)?)?)?;
        if let Some(name) = kernel.machine.device_tree {
            let tree = find(folder, &|file| file == name)?;
            fs::copy(tree.with_context(|| format!("the package has no {name} in it"))?, new.join("device-tree"))?;
        }
        Ok(())
    })?;
    let device_tree = kernel.machine.device_tree.map(|_| folder.join("device-tree"));
    Ok(Image { kernel: folder.join("kernel"), device_tree })
}

/// Gets the emulator of a machine: the installed one, or, where that is too old, a newer one beside it.
///
/// # Errors
/// Where it can't be installed or fetched.
pub fn emulator(shell: &Shell, machine: &Machine) -> Result<Emulator> {
    let Machine { emulator, package, version, .. } = machine;
    install::ensure(shell, emulator, &[package], "boot a kernel")?;
    // QEMU emulator version 7.2.19 (Debian …)
    let output = cmd!(shell, "{emulator} --version").quiet().read()?;
    let installed = output.split(' ').nth(3).and_then(|number| number.split('.').next()?.parse().ok());
    if installed >= Some(*version) {
        return Ok(Emulator { program: emulator.into(), root: None });
    }
    let root = cached(shell, emulator, |_, new| {
        println!("Fetching a newer {emulator}; version {version} is the first that boots this machine");
        let architecture = cmd!(shell, "dpkg --print-architecture").quiet().read()?;
        let archive = Archive::open(shell, BACKPORTS, &architecture)?;
        let packages = archive.dependencies(package, &["qemu-system-"])?;
        archive.unpack(&packages, new)
    })?;
    Ok(Emulator { program: root.join("usr/bin").join(emulator), root: Some(root) })
}

/// A folder in the cache. Where it is missing, `fill` makes it, given a folder for what isn't kept, and the
/// new folder itself.
fn cached(shell: &Shell, name: &str, fill: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<PathBuf> {
    let cache = shell.current_dir().join("target/kernels");
    let folder = cache.join(name);
    if !folder.exists() {
        fs::create_dir_all(&cache)?;
        let (rest, new) = (TempDir::new_in(&cache)?, TempDir::new_in(&cache)?);
        fill(rest.path(), new.path()).with_context(|| format!("can't fetch {name}"))?;
        fs::rename(new.keep(), &folder)?;
    }
    Ok(folder)
}

/// A file of that name somewhere in a tree.
fn find(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&entry.path(), is_wanted)? {
                return Ok(Some(found));
            }
        } else if is_wanted(&entry.file_name().to_string_lossy()) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// The kernel that an EFI program unpacks when it is run, or the file as it is where it is no such program.
/// <https://github.com/torvalds/linux/blob/v6.12/drivers/firmware/efi/libstub/zboot-header.S#L17-L28>
fn unwrap(image: Vec<u8>) -> Result<Vec<u8>> {
    if image.get(4..8) != Some(b"zimg") {
        return Ok(image);
    }
    let word =
        |at: usize| -> Option<usize> { Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize) };
    let payload = word(8).zip(word(12)).and_then(|(offset, size)| image.get(offset..)?.get(..size));
    let payload = payload.context("the kernel is cut off")?;
    let compression = CStr::from_bytes_until_nul(&image[24..])?;
    ensure!(compression == c"zstd", "the kernel is compressed with {compression:?}, not zstd");
    let mut kernel = Vec::new();
    StreamingDecoder::new(payload)?.read_to_end(&mut kernel).context("can't decompress the kernel")?;
    Ok(kernel)
}
