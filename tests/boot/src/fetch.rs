//! Gets what a boot needs and the machine lacks: kernels, kept in `target/kernels`, and emulators.

use crate::kernels::{Kernel, Machine};
use anyhow::{Context, Result, ensure};
use ruzstd::decoding::StreamingDecoder;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xshell::{Shell, cmd};
use xtask::debian::{self, Mirror};
use xtask::{note, output};

/// Where the newest emulator for a Debian stable is found.
const BACKPORTS: &str = "bookworm-backports";

/// What a kernel boots with.
pub struct Equipment {
    /// The kernel.
    pub kernel: PathBuf,
    /// The device tree of the machine that it is to boot on, if it needs one.
    pub device_tree: Option<PathBuf>,
    /// The emulator of that machine.
    pub emulator: Emulator,
}

/// An emulator: installed, or unpacked somewhere.
pub struct Emulator {
    /// The program.
    pub program: PathBuf,
    /// The root of the tree that it was unpacked to.
    pub root: Option<PathBuf>,
}

/// What could be had for each kernel, by its name, and which kernels could not, by the reason.
#[derive(Default)]
pub struct Fetched {
    /// What is there.
    pub equipment: BTreeMap<&'static str, Equipment>,
    /// What is not.
    pub missing: BTreeMap<String, Vec<&'static str>>,
}

/// Gets all that these kernels need. What can't be had keeps nothing else from being got.
pub fn all(shell: &Shell, kernels: &[&'static Kernel]) -> Fetched {
    let mirror = Mirror::new(shell);
    let mut fetched = Fetched::default();
    for kernel in kernels {
        match equipment(shell, &mirror, kernel) {
            Ok(equipment) => {
                fetched.equipment.insert(kernel.name, equipment);
            }
            Err(error) => fetched.missing.entry(format!("{error:#}")).or_default().push(kernel.name),
        }
    }
    fetched
}

/// Gets a kernel and its emulator.
fn equipment(shell: &Shell, mirror: &Mirror, kernel: &Kernel) -> Result<Equipment> {
    let emulator = emulator(shell, mirror, kernel.machine)?;
    let Machine { device_tree, .. } = kernel.machine;
    let folder = cached(shell, kernel.name, |new| {
        note!("Fetching the kernel {}", kernel.name);
        let suite = mirror.suite(kernel.suite, kernel.architecture, new)?;
        // Newer packages come in parts: the image package depends on one with the binary.
        let packages = suite.download(&suite.dependencies(kernel.package, &["linux-image-", "linux-binary-"])?)?;
        let image =
            extract(&packages, |name| name.starts_with("vmlinu"))?.context("the package has no kernel in it")?;
        fs::write(new.join("kernel"), unwrap(image)?)?;
        if let Some(name) = *device_tree {
            let tree = extract(&packages, |file| file == name)?;
            fs::write(new.join("device-tree"), tree.with_context(|| format!("the package has no {name} in it"))?)?;
        }
        Ok(())
    })?;
    let device_tree = device_tree.map(|_| folder.join("device-tree"));
    Ok(Equipment { kernel: folder.join("kernel"), device_tree, emulator })
}

/// Gets the emulator of a machine: the installed one, or, where that is too old, a newer one beside it.
fn emulator(shell: &Shell, mirror: &Mirror, machine: &Machine) -> Result<Emulator> {
    let Machine { emulator, package, version, .. } = machine;
    // QEMU emulator version 7.2.19 (Debian …)
    let output = cmd!(shell, "{emulator} --version").quiet().read()?;
    let installed = output.split(' ').nth(3).and_then(|number| number.split('.').next()?.parse().ok());
    if installed >= Some(*version) {
        return Ok(Emulator { program: emulator.into(), root: None });
    }
    let root = cached(shell, emulator, |new| {
        note!("Fetching a newer {emulator}; version {version} is the first that boots this machine");
        let suite = mirror.suite(BACKPORTS, &debian::architecture(shell)?, new)?;
        suite.unpack(package, "qemu-system-", new)
    })?;
    Ok(Emulator { program: root.join("usr/bin").join(emulator), root: Some(root) })
}

/// A folder in the cache. Where it is missing, `fill` makes it.
fn cached(shell: &Shell, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = shell.current_dir().join("target/kernels").join(name);
    output::provide(&path, fill)?;
    Ok(path)
}

/// The first file of such a name in these packages.
fn extract(packages: &[PathBuf], is_wanted: impl Fn(&str) -> bool) -> Result<Option<Vec<u8>>> {
    for package in packages {
        let mut command = Command::new("dpkg-deb");
        let mut unpacker = command.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
        let found = find(unpacker.stdout.take().context("a pipe")?, &is_wanted);
        // It may have ended by itself.
        unpacker.kill().ok();
        unpacker.wait()?;
        if let Some(content) = found.with_context(|| format!("can't unpack {}", package.display()))? {
            return Ok(Some(content));
        }
    }
    Ok(None)
}

/// The first file of such a name in a tar archive.
fn find(archive: impl Read, is_wanted: &dyn Fn(&str) -> bool) -> Result<Option<Vec<u8>>> {
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let is_file = entry.header().entry_type().is_file();
        if is_file && entry.path()?.file_name().is_some_and(|name| is_wanted(&name.to_string_lossy())) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            return Ok(Some(content));
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
