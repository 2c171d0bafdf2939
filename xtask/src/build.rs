//! `cargo xtask build`: the program for every platform, in `dist/bin`.

use crate::install;
use crate::platform::{self, Platform, Selection};
use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use xshell::{Shell, cmd};

/// Build the release binaries into dist/bin and compare their sizes with the budget
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
}

/// A binary, ready to run and to ship.
pub struct Binary {
    /// What it is for.
    pub platform: &'static Platform,
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// Where the program's `core` comes from.
enum Core {
    /// The toolchain has it, or rustup has fetched it.
    Toolchain,
    /// Debian's second compiler builds it from source.
    Debian,
}

/// The oldest compiler that the program builds with.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";

/// Runs the command.
///
/// # Errors
/// Where something can't be built or is over its budget.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let binaries = build(shell, &arguments.selection.platforms())?;
    println!("\n{:<16} {:>6} {:>7}", "platform", "bytes", "budget");
    for Binary { platform, size, .. } in &binaries {
        println!("{:<16} {size:>6} {:>7}", platform.name, platform.budget);
    }
    Ok(())
}

/// Builds the program for these platforms and checks each against its budget.
///
/// # Errors
/// Where something can't be built or is over its budget.
pub fn build(shell: &Shell, platforms: &[&'static Platform]) -> Result<Vec<Binary>> {
    platform::check_ports(shell)?;
    let progress = progress(platforms.len() as u64);
    let folder = shell.current_dir().join("dist/bin");
    std::fs::create_dir_all(&folder)?;
    let mut rustup_works = install::exists("rustup");
    let mut programs = HashMap::new();
    let mut binaries = Vec::new();
    for platform in platforms {
        progress.set_message(format!("building {}", platform.name));
        // Platforms can share a target: the variants of linux/arm do.
        let program = match programs.entry(platform.target) {
            Entry::Occupied(built) => built.into_mut(),
            Entry::Vacant(target) => {
                let linked = compile(shell, "pause", platform.target, &mut rustup_works)
                    .with_context(|| format!("can't build {}", platform.name))?;
                target.insert(trim(&std::fs::read(&linked)?)?)
            }
        };
        let size = program.len() as u64;
        ensure!(size <= platform.budget, "{} is {size} bytes, over its budget of {}", platform.name, platform.budget);
        let path = folder.join(format!("pause-{}", platform.file_name()));
        replace(&path, program, 0o755)?;
        binaries.push(Binary { platform, path, size });
        progress.inc(1);
    }
    progress.finish_and_clear();
    Ok(binaries)
}

/// Finds `core` for a target, or gets it.
fn provide_core(shell: &Shell, target: &str, rustup_works: &mut bool) -> Result<Core> {
    let folder = cmd!(shell, "rustc --print target-libdir --target {target}").quiet().read()?;
    let has_core = |folder: &str| {
        std::fs::read_dir(folder).is_ok_and(|mut files| {
            files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore-")))
        })
    };
    if has_core(&folder) {
        return Ok(Core::Toolchain);
    }
    if *rustup_works {
        println!("Fetching core for {target}, needed to build the program");
        *rustup_works = cmd!(shell, "rustup target add {target}").ignore_stderr().run().is_ok() && has_core(&folder);
        if *rustup_works {
            return Ok(Core::Toolchain);
        }
        println!("rustup can't fetch it; trying Debian's compiler, which builds it from source");
    }
    let why = format!("build core for {target}, which rustup could not fetch");
    install::ensure(shell, DEBIAN_SOURCE, &["rustc-web", "rust-web-src"], &why)?;
    install::ensure(shell, DEBIAN_RUSTC, &["rustc-web"], &why)?;
    let version = cmd!(shell, "{DEBIAN_RUSTC} --version").quiet().read()?;
    ensure!(
        is_recent(&version),
        "{DEBIAN_RUSTC} is {version}, too old to {why}; bring rustc-web and rust-web-src up to {RUST_VERSION} or later"
    );
    Ok(Core::Debian)
}

/// Whether what a compiler says of its version is at least what the program needs.
fn is_recent(version: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> { text.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    version.split(' ').nth(1).is_some_and(|version| numbers(version) >= numbers(RUST_VERSION))
}

/// Compiles and links a freestanding package. Returns the linker's output. `rustup_works` says whether
/// rustup may be asked for `core`, and is cleared when it can't get it.
///
/// # Errors
/// Where `core` is not to be had, or the package can't be built.
pub fn compile(shell: &Shell, package: &str, target: &str, rustup_works: &mut bool) -> Result<PathBuf> {
    let core = provide_core(shell, target, rustup_works)?;
    let sysroot = cmd!(shell, "rustc --print sysroot").quiet().read()?;
    let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
    // The toolchain's own linker links every architecture. For the host, build.rs asks for it.
    let linker = format!("{sysroot}/lib/rustlib/{host}/bin/rust-lld");
    let linker_variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    let folder = match core {
        Core::Toolchain => "target/cross",
        Core::Debian => "target/cross-debian",
    };
    let mut command =
        cmd!(shell, "cargo build --quiet --release --package {package} --target {target} --target-dir {folder}")
            // They would replace the flags of .cargo/config.toml.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if host != target {
        command = command.env(linker_variable, linker);
    }
    command = match core {
        // The crate `syscalls` needs a nightly feature, asm_experimental_arch, on s390x and powerpc64.
        Core::Toolchain => command.env("RUSTC_BOOTSTRAP", "syscalls"),
        // -Zbuild-std is a nightly feature of cargo's.
        Core::Debian => command.arg("-Zbuild-std=core").env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1"),
    };
    command.run()?;
    Ok(shell.current_dir().join(format!("{folder}/{target}/release/{package}")))
}

/// Cuts off what the linker leaves behind the last byte that is loaded: zeros, where lld would have
/// aligned a section table.
///
/// # Errors
/// Where there is something else.
pub fn trim(program: &[u8]) -> Result<Vec<u8>> {
    let end = match program.get(4) {
        Some(1) => end_of_image::<elf::FileHeader32<Endianness>>(program),
        _ => end_of_image::<elf::FileHeader64<Endianness>>(program),
    }?;
    match program.split_at_checked(end as usize) {
        Some((image, rest)) if rest.iter().all(|&byte| byte == 0) => Ok(image.to_vec()),
        _ => bail!("the linker left something behind the program's last segment that is not padding"),
    }
}

/// The offset of the first byte that no segment loads.
fn end_of_image<Elf: FileHeader<Endian = Endianness>>(program: &[u8]) -> Result<u64> {
    let header = Elf::parse(program)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, program)?.iter();
    let ends = segments.filter(|segment| segment.p_type(endian) == elf::PT_LOAD).map(|segment| {
        let (offset, size): (u64, u64) = (segment.p_offset(endian).into(), segment.p_filesz(endian).into());
        offset + size
    });
    ends.max().context("the program has no segment that is loaded")
}

/// Writes a file whole or not at all.
///
/// # Errors
/// Where the folder can't be written.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().context("a file in a folder")?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.persist(path)?;
    Ok(())
}

/// A progress bar on a terminal, and nothing elsewhere: there, the printed commands are the progress.
pub fn progress(steps: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{spinner} {bar:20} {pos}/{len} {msg} ({elapsed})").expect("a valid template");
    let bar = ProgressBar::new(steps).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
