//! Programs that are wrong on purpose: pause with one change to its source.
//!
//! A test that passes on one of them, where it should fail, proves nothing.

mod edit;
mod table;

pub use edit::Edit;
pub use table::{Caught, DEAF, MUTANTS, NO_REAPING};

use anyhow::{Context, Result, anyhow};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};
use xtask::sources;

/// A change to the program's source.
#[derive(Debug)]
pub struct Mutant {
    /// What is wrong with it, as part of a sentence and of a path.
    pub name: &'static str,
    /// The file that is changed, relative to the repository.
    pub file: &'static str,
    /// The changes.
    pub edits: &'static [Edit],
    /// What must notice it.
    pub caught: Caught,
}

impl Mutant {
    /// The name as part of a file name.
    pub fn file_name(&self) -> String {
        self.name.replace(' ', "-")
    }

    /// Where its binary is, once it is built for this machine.
    pub fn binary(&self, repository: &Path) -> PathBuf {
        binary(repository, &self.file_name())
    }
}

/// Where changed programs are.
const FOLDER: &str = "target/mutants";

/// Where the binary of one of that name is.
fn binary(repository: &Path, name: &str) -> PathBuf {
    repository.join(FOLDER).join(format!("{name}.pause"))
}

/// Builds a mutant for this machine. Returns where the binary is.
///
/// # Errors
/// Where the mutant no longer fits the program, or does not build.
pub fn build(shell: &Shell, mutant: &Mutant) -> Result<PathBuf> {
    let change = |folder: &Path| -> Result<()> {
        for edit in mutant.edits {
            let is_script = edit.function == Edit::LINKER_SCRIPT;
            let file = folder.join(if is_script { edit.function } else { mutant.file });
            let text = fs::read_to_string(&file)?;
            let edited = if is_script { edit.apply_to_script(&text) } else { edit.apply(&text) };
            fs::write(&file, edited.with_context(|| format!("the mutant \"{}\" no longer fits", mutant.name))?)?;
        }
        Ok(())
    };
    let built = build_changed(shell, &mutant.file_name(), change)?;
    built.map_err(|Refused(reason)| anyhow!("can't build the mutant \"{}\": {reason}", mutant.name))
}

/// What compiler and linker say to a change that they refuse.
#[derive(Debug)]
pub struct Refused(pub String);

/// Builds the program for this machine with a change to a copy of its sources, which is kept under that name. Returns where
/// the binary is.
///
/// # Errors
/// Where the change can't be made.
pub fn build_changed(
    shell: &Shell,
    name: &str,
    change: impl FnOnce(&Path) -> Result<()>,
) -> Result<Result<PathBuf, Refused>> {
    let repository = shell.current_dir();
    let mutants = repository.join(FOLDER);
    fs::create_dir_all(&mutants)?;
    // All are built in one folder, and another command may be building one.
    let turn = File::create(mutants.join("lock"))?;
    turn.lock()?;
    let folder = mutants.join(name);
    shell.remove_path(&folder)?;
    sources::copy(&repository, &folder)?;
    change(&folder)?;
    let manifest = folder.join("Cargo.toml");
    let build = cmd!(
        shell,
        "cargo build --quiet --release --package pause --bin pause --target host-tuple --manifest-path {manifest} --target-dir target/mutants/build"
    );
    // They would replace the flags of .cargo/config.toml, which cargo finds in the folders above.
    let output =
        build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").quiet().ignore_status().output()?;
    if !output.status.success() {
        return Ok(Err(Refused(String::from_utf8_lossy(&output.stderr).into())));
    }
    let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
    // Or it may be running this very one: its file changes at once.
    let (new, binary) = (folder.join("pause"), binary(&repository, name));
    fs::copy(mutants.join(format!("build/{host}/release/pause")), &new)?;
    fs::rename(new, &binary)?;
    Ok(Ok(binary))
}
