//! Fetches kernels and, if the installed ones are too old, emulators into `target/kernels`.

use crate::kernels::Kernel;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::debian::{self, Suite};
use xtask::{output, status};

/// A Debian suite with new emulators that run on a stable Debian.
const BACKPORTS: &str = "bookworm-backports";

pub struct Equipment {
    pub kernel: PathBuf,
    pub device_tree: Option<PathBuf>,
    pub emulator: PathBuf,
    /// The root of the emulator's files, unless it is installed.
    pub root: Option<PathBuf>,
}

/// Fetches everything for these kernels. If that fails for one, prints why.
pub fn all(shell: &Shell, kernels: &[&'static Kernel]) -> BTreeMap<&'static str, Equipment> {
    let (mut fetched, mut missing) = (BTreeMap::new(), BTreeMap::<String, Vec<&str>>::new());
    for kernel in kernels {
        // A mirror that failed once is not retried.
        match equipment(shell, kernel, missing.is_empty()) {
            Ok(equipment) => drop(fetched.insert(kernel.name, equipment)),
            Err(error) => missing.entry(format!("{error:#}")).or_default().push(kernel.name),
        }
    }
    missing.iter().for_each(|(reason, kernels)| status!("can't get {}: {reason}", kernels.join(", ")));
    fetched
}

fn equipment(shell: &Shell, kernel: &Kernel, can_retry: bool) -> Result<Equipment> {
    let (emulator, root) = emulator(shell, kernel, can_retry)?;
    let device_tree = kernel.machine.device_tree;
    let directory = cached(shell, kernel.name, |new| {
        status!("fetching the kernel {}", kernel.name);
        let suite = Suite::open(shell, kernel.suite, kernel.machine.architecture, new, can_retry)?;
        let package = format!("linux-image-{}", kernel.flavour);
        // The image package of newer kernels depends on a package with the binary.
        let packages = suite.download(&package, &["linux-image-", "linux-binary-"])?;
        fs::write(new.join("kernel"), unwrap(shell, extract(shell, &packages, "vmlinu*")?)?)?;
        if let Some(name) = device_tree {
            fs::write(new.join("device-tree"), extract(shell, &packages, name)?)?;
        }
        Ok(())
    })?;
    let device_tree = device_tree.map(|_| directory.join("device-tree"));
    Ok(Equipment { kernel: directory.join("kernel"), device_tree, emulator, root })
}

/// Returns the emulator, and the root of its files unless it is installed.
fn emulator(shell: &Shell, kernel: &Kernel, can_retry: bool) -> Result<(PathBuf, Option<PathBuf>)> {
    let machine = kernel.machine;
    let (emulator, version) = (machine.emulator, machine.version);
    // QEMU emulator version 7.2.19 (Debian …)
    let output = cmd!(shell, "{emulator} --version").quiet().read()?;
    let installed = output.split(' ').nth(3).and_then(|number| number.split('.').next()?.parse().ok());
    if installed >= Some(version) {
        return Ok((emulator.into(), None));
    }
    let root = cached(shell, emulator, |new| {
        status!("fetching a newer {emulator}: {} needs version {version}", kernel.name);
        let suite = Suite::open(shell, BACKPORTS, &debian::architecture(shell)?, new, can_retry)?;
        suite.unpack(machine.package, "qemu-system-", new)
    })?;
    Ok((root.join("usr/bin").join(emulator), Some(root)))
}

/// Returns a directory of the cache, which `fill` makes if it is missing.
fn cached(shell: &Shell, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = shell.current_dir().join("target/kernels").join(name);
    output::provide(&path, fill)?;
    Ok(path)
}

/// Returns the content of a file whose name matches a pattern, from the first package that has one.
fn extract(shell: &Shell, packages: &[PathBuf], pattern: &str) -> Result<Vec<u8>> {
    let script = r#"dpkg-deb --fsys-tarfile "$0" | tar --extract --to-stdout --wildcards --no-anchored "$1""#;
    for package in packages {
        let output = cmd!(shell, "sh -c {script} {package} {pattern}").quiet().ignore_status().output()?;
        if !output.stdout.is_empty() {
            return Ok(output.stdout);
        }
    }
    bail!("the kernel's packages have no file {pattern}")
}

/// Returns the kernel that an EFI program would unpack; any other file as it is.
/// <https://github.com/torvalds/linux/blob/v6.12/drivers/firmware/efi/libstub/zboot-header.S#L17-L28>
fn unwrap(shell: &Shell, image: Vec<u8>) -> Result<Vec<u8>> {
    if image.get(4..8) != Some(b"zimg") {
        return Ok(image);
    }
    let word = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?) as usize);
    let payload = word(8).zip(word(12)).and_then(|(offset, size)| image.get(offset..)?.get(..size));
    let payload = payload.context("the kernel is truncated")?;
    let compression = CStr::from_bytes_until_nul(&image[24..])?;
    ensure!(compression == c"zstd", "the kernel is compressed with {compression:?}, not zstd");
    let output = cmd!(shell, "zstd --decompress --stdout").stdin(payload).quiet().ignore_stderr().output();
    Ok(output.context("can't decompress the kernel")?.stdout)
}
