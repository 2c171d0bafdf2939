//! `cargo xtask build`: the program for every platform, in `dist/bin`.

use crate::compiler::{self, Compiler, Compilers};
use crate::image::golden;
use crate::output::Staged;
use crate::platform::{Platform, Selection};
use crate::prerequisites::Prerequisites;
use crate::{outln, status};
use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSegment};
use std::path::PathBuf;
use xshell::Shell;

/// Build the release binaries into dist/bin and compare their sizes with the budget
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
}

/// The program for one platform, as it ships.
#[derive(Clone)]
pub struct Binary {
    pub platform: &'static Platform,
    pub content: Vec<u8>,
    pub compiler: Compiler,
}

impl Binary {
    pub fn file_name(&self) -> String {
        format!("pause-{}", self.platform.file_name())
    }
}

pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let mut dist = Staged::new(shell.current_dir().join("dist"))?;
    let binaries = build(shell, &arguments.selection.platforms())?;
    for binary in &binaries {
        dist.file(format!("bin/{}", binary.file_name()), &*binary.content, 0o755);
    }
    dist.commit()?;
    outln!("{:<16} {:>6} {:>7}  {:<13}  golden", "platform", "bytes", "budget", "toolchain");
    for (binary, golden) in binaries.iter().zip(golden::are_golden(&shell.current_dir(), &binaries)?) {
        let Platform { name, budget, .. } = binary.platform;
        outln!("{name:<16} {:>6} {budget:>7}  {:<13}  {golden}", binary.content.len(), binary.compiler);
    }
    Ok(())
}

/// Builds the program for these platforms and checks each against its budget.
pub fn build(shell: &Shell, platforms: &[&'static Platform]) -> Result<Vec<Binary>> {
    build_with(shell, platforms, None, Prerequisites::of("cargo xtask build"))
}

/// The same for a command with other prerequisites, or with one compiler for all.
pub fn build_with(
    shell: &Shell,
    platforms: &[&'static Platform],
    toolchain: Option<Compiler>,
    mut prerequisites: Prerequisites,
) -> Result<Vec<Binary>> {
    let targets = platforms.iter().map(|platform| platform.target);
    let compilers = compiler::choose(shell, targets, toolchain, &mut prerequisites)?;
    prerequisites.ensure_installed(shell)?;
    build_by(shell, platforms, &compilers)
}

/// The same with these compilers, which are installed.
pub fn build_by(shell: &Shell, platforms: &[&'static Platform], compilers: &Compilers) -> Result<Vec<Binary>> {
    compiler::check_sources(shell)?;
    let mut binaries: Vec<Binary> = Vec::new();
    for platform in platforms {
        status!("building {}", platform.name);
        let Platform { name, target, budget, .. } = platform;
        let compiler = compilers[target];
        // The variants of linux/arm share a target.
        let content = match binaries.iter().find(|binary| binary.platform.target == *target) {
            Some(binary) => binary.content.clone(),
            None => {
                let linked = compiler::compile(shell, compiler, target, "pause", false);
                trim(&shell.read_binary_file(linked.with_context(|| format!("can't build {name}"))?)?)?
            }
        };
        let size = content.len();
        ensure!(size as u64 <= *budget, "{name} is {size} bytes, over its budget of {budget}");
        binaries.push(Binary { platform, content, compiler });
    }
    Ok(binaries)
}

/// Builds the program for one platform and writes it to `target/programs`. Returns its path.
pub fn program(shell: &Shell, platform: &'static Platform) -> Result<PathBuf> {
    Ok(write(shell, "target/programs", &build(shell, &[platform])?)?.remove(0))
}

/// Writes programs to a directory of the repository. Returns their paths.
pub fn write(shell: &Shell, directory: &str, binaries: &[Binary]) -> Result<Vec<PathBuf>> {
    let path = shell.current_dir().join(directory);
    let mut staged = Staged::new(&path)?;
    binaries.iter().for_each(|binary| staged.file(binary.file_name(), &*binary.content, 0o755));
    staged.commit()?;
    Ok(binaries.iter().map(|binary| path.join(binary.file_name())).collect())
}

/// Cuts off the zeros that lld leaves after the last byte that is loaded, for a section table. Fails if there is more.
pub fn trim(program: &[u8]) -> Result<Vec<u8>> {
    let file = object::File::parse(program)?;
    let ends = file.segments().map(|segment| segment.file_range()).map(|(offset, size)| offset + size);
    let end = ends.max().context("the program has no segment that is loaded")?;
    match program.split_at_checked(end as usize) {
        Some((image, rest)) if rest.iter().all(|&byte| byte == 0) => Ok(image.to_vec()),
        _ => bail!("the linker left something after the program's last segment that isn't padding"),
    }
}
