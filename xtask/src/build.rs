//! `cargo xtask build`: the program for every platform, in `dist/bin`.

use crate::compiler::{self, Compiler};
use crate::needs::Needs;
use crate::output::Staged;
use crate::platform::{Platform, Selection};
use crate::progress::Progress;
use crate::{digests, ports, say};
use anyhow::{Context, Result, bail, ensure};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use xshell::Shell;

/// Build the release binaries into dist/bin and compare their sizes with the budget
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
}

/// A program, as it ships.
#[derive(Clone)]
pub struct Binary {
    /// What it is for.
    pub platform: &'static Platform,
    /// The file.
    pub content: Vec<u8>,
    /// Who compiled it.
    pub compiler: Compiler,
}

impl Binary {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.content.len() as u64
    }

    /// What the file is called.
    pub fn file_name(&self) -> String {
        format!("pause-{}", self.platform.file_name())
    }
}

/// Runs the command.
///
/// # Errors
/// Where something can't be built, is over its budget, or can't be written.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let mut dist = Staged::new(shell.current_dir().join("dist"))?;
    let binaries = build(shell, &arguments.selection.platforms())?;
    stage(&mut dist, &binaries);
    dist.commit()?;
    say!("{:<16} {:>6} {:>7}  {:<13}  golden", "platform", "bytes", "budget", "toolchain");
    for (binary, golden) in binaries.iter().zip(digests::are_golden(&shell.current_dir(), &binaries)?) {
        let Platform { name, budget, .. } = binary.platform;
        say!("{name:<16} {:>6} {budget:>7}  {:<13}  {golden}", binary.size(), binary.compiler);
    }
    Ok(())
}

/// Stages programs in `bin`.
pub fn stage(staged: &mut Staged, binaries: &[Binary]) {
    for binary in binaries {
        staged.file(format!("bin/{}", binary.file_name()), &*binary.content, 0o755);
    }
}

/// Builds the program for these platforms and checks each against its budget.
///
/// # Errors
/// Where something can't be built or is over its budget.
pub fn build(shell: &Shell, platforms: &[&'static Platform]) -> Result<Vec<Binary>> {
    build_with(shell, platforms, None, Needs::of("cargo xtask build"))
}

/// The same for a command that has other prerequisites, too, or builds with one compiler only.
///
/// # Errors
/// If something is missing, can't be built, or is over its budget.
pub fn build_with(
    shell: &Shell,
    platforms: &[&'static Platform],
    toolchain: Option<Compiler>,
    mut needs: Needs,
) -> Result<Vec<Binary>> {
    ports::check(shell)?;
    let targets = platforms.iter().map(|platform| platform.target);
    let compilers = compiler::choose(shell, targets, toolchain, &mut needs)?;
    needs.provide(shell)?;
    build_by(shell, platforms, &compilers)
}

/// The same, when it is known which compiler builds for which target, and all is there.
///
/// # Errors
/// Where something can't be built, or is over its budget.
pub fn build_by(
    shell: &Shell,
    platforms: &[&'static Platform],
    compilers: &BTreeMap<&str, Compiler>,
) -> Result<Vec<Binary>> {
    let progress = Progress::new(platforms.len());
    let mut programs = HashMap::new();
    let mut binaries = Vec::new();
    for platform in platforms {
        progress.step(format_args!("building {}", platform.name));
        let compiler = compilers[platform.target];
        // Platforms can share a target: the variants of linux/arm do.
        let content: &Vec<u8> = match programs.entry(platform.target) {
            Entry::Occupied(built) => built.into_mut(),
            Entry::Vacant(target) => {
                let linked = compiler::compile(shell, compiler, platform.target, "pause", "pause", &[])
                    .with_context(|| format!("can't build {}", platform.name))?;
                target.insert(trim(&shell.read_binary_file(linked)?)?)
            }
        };
        let binary = Binary { platform, content: content.clone(), compiler };
        let (size, budget) = (binary.size(), platform.budget);
        ensure!(size <= budget, "{} is {size} bytes, over its budget of {budget}", platform.name);
        binaries.push(binary);
    }
    Ok(binaries)
}

/// Builds the program for one platform and writes it to `target/programs`, for whoever wants to run it.
///
/// # Errors
/// Where it can't be built or written.
pub fn program(shell: &Shell, platform: &'static Platform) -> Result<PathBuf> {
    let binary = build(shell, &[platform])?.remove(0);
    let path = shell.current_dir().join("target/programs");
    let mut staged = Staged::new(&path)?;
    staged.file(binary.file_name(), &*binary.content, 0o755);
    staged.commit()?;
    Ok(path.join(binary.file_name()))
}

/// Cuts off what the linker leaves behind the last byte that is loaded: zeros, where lld would have
/// aligned a section table.
///
/// # Errors
/// Where there is something else.
pub fn trim(program: &[u8]) -> Result<Vec<u8>> {
    let end = match program.get(4) {
        Some(&class) if class == elf::ELFCLASS32.0 => end_of_image::<elf::FileHeader32<Endianness>>(program),
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
