//! Mutants: the program with a change to its source that the tests must notice. `faults.txt` lists the seeded faults.

use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::platform::{self, Platform};
use xtask::{build, sources};

/// A broken program, as a negative control: a test that passes on it proves nothing.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    pub name: &'static str,
}

/// Leaves orphans zombies.
pub static NO_REAPING: Mutant = Mutant { name: "no reaping" };

/// Continues after SIGTERM.
pub static DEAF: Mutant = Mutant { name: "deaf to SIGTERM" };

impl Mutant {
    pub fn file_name(&self) -> String {
        self.name.replace(' ', "-")
    }
}

pub struct SeededFault {
    pub mutant: Mutant,
    /// What must notice it, and a part of the message or of the cases' names:
    /// - `case`: each such case fails
    /// - `time-out of case`: each such case waits in vain, because the fault is that nothing happens
    /// - `linker`: its message contains this
    /// - `processor of linux/386`: in the emulator with this platform's processor each such case fails, and with the
    ///   emulator's own choice none
    /// - `signal`: a signal somewhere
    /// - `two signals`: two signals, but not one
    pub caught_by: (&'static str, &'static str),
    /// The platform that it is built for, unless that is this machine's.
    pub platform: Option<&'static Platform>,
    edits: Vec<Edit>,
}

struct Edit {
    file: &'static str,
    /// The function that contains the text; none in a linker script.
    function: Option<&'static str>,
    from: &'static str,
    to: &'static str,
}

/// Parses the list of seeded faults. A block has a line for its name and one for what catches it, then for each edit
/// the file and the function, the text, and its replacement.
pub fn seeded_faults() -> Result<Vec<SeededFault>> {
    let blocks = include_str!("../faults.txt").split_terminator("\n\n");
    blocks.map(|block| SeededFault::parse(block).with_context(|| format!("not a seeded fault: {block}"))).collect()
}

impl SeededFault {
    fn parse(block: &'static str) -> Option<Self> {
        let mut lines = block.lines();
        let mutant = Mutant { name: lines.next()? };
        let caught_by = lines.next()?.strip_prefix("caught by ")?;
        let caught_by = caught_by.split_once(": ").unwrap_or((caught_by, ""));
        let platform = caught_by.0.strip_prefix("processor of ").map(platform::parse).transpose().ok()?;
        let mut edits = Vec::new();
        while let Some(place) = lines.next() {
            let (file, function) = place.split_once(": ").map_or((place, None), |(file, name)| (file, Some(name)));
            let (from, to) = (lines.next()?.strip_prefix("- ")?, lines.next()?.strip_prefix('+')?.trim_start());
            edits.push(Edit { file, function, from, to });
        }
        Some(Self { mutant, caught_by, platform, edits })
    }
}

impl Edit {
    fn apply(&self, text: &str) -> Result<String> {
        let Self { file, function, from, to } = self;
        let start = function.map_or(Some(0), |name| text.find(&format!("fn {name}(")));
        let start = start.with_context(|| format!("{file} has no {function:?}"))?;
        // A function ends with the first brace that is not indented.
        let end = text[start..].find("\n}\n").map_or(text.len(), |length| start + length);
        let count = text[start..end].matches(from).count();
        ensure!(count == 1, "`{from}` occurs {count} times, not once, in {file}, function {function:?}");
        Ok([&text[..start], &text[start..end].replace(from, to), &text[end..]].concat())
    }
}

/// Builds a seeded fault. Returns the binary.
pub fn build(shell: &Shell, mutant: &Mutant) -> Result<PathBuf> {
    let fault = seeded_faults()?.into_iter().find(|fault| fault.mutant.name == mutant.name);
    let fault = fault.with_context(|| format!("no seeded fault \"{}\"", mutant.name))?;
    let edit = |directory: &Path| {
        fault.edits.iter().try_for_each(|edit| {
            let file = directory.join(edit.file);
            Ok(fs::write(&file, edit.apply(&fs::read_to_string(&file)?)?)?)
        })
    };
    let built = build_edited(shell, &mutant.file_name(), fault.platform, edit);
    built.with_context(|| format!("mutant {:?}", mutant.name))?.map_err(anyhow::Error::msg)
}

/// Builds the program, for this machine or that platform, from an edited copy. Returns the file, or the tools' message.
pub fn build_edited(
    shell: &Shell,
    name: &str,
    platform: Option<&'static Platform>,
    edit: impl FnOnce(&Path) -> Result<()>,
) -> Result<Result<PathBuf, String>> {
    let repository = shell.current_dir();
    let target = repository.join("target/mutation");
    let (copy, binary) = (target.join("source"), target.join(format!("{name}.pause")));
    fs::create_dir_all(&target)?;
    // All mutants are built in one directory, and another command may be building one.
    let lock = File::create(target.join("lock"))?;
    lock.lock()?;
    sources::copy(&repository, &copy)?;
    edit(&copy)?;
    if let Some(platform) = platform {
        // With the repository's toolchains, but not its directories for programs.
        let [toolchains, link] = [&repository, &copy].map(|directory| directory.join("target/rustup"));
        if !link.exists() {
            fs::create_dir_all(&toolchains)?;
            fs::create_dir_all(copy.join("target"))?;
            std::os::unix::fs::symlink(toolchains, link)?;
        }
        let _directory = shell.push_dir(&copy);
        fs::rename(build::program(shell, platform)?, &binary)?;
        return Ok(Ok(binary));
    }
    let manifest = copy.join("Cargo.toml");
    let arguments = ["--quiet", "--release", "--package", "pause", "--bin", "pause", "--target", "host-tuple"];
    let build = cmd!(shell, "cargo build {arguments...} --manifest-path {manifest} --target-dir {target}/build");
    // They would replace the flags of .cargo/config.toml, which cargo finds in the parent directories.
    let build = build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = build.quiet().ignore_status().output()?;
    if !output.status.success() {
        return Ok(Err(String::from_utf8_lossy(&output.stderr).into()));
    }
    let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
    // The previous file may be running.
    let new = binary.with_extension("new");
    fs::copy(target.join(format!("build/{host}/release/pause")), &new)?;
    fs::rename(new, &binary)?;
    Ok(Ok(binary))
}
