//! Programs that are wrong on purpose: pause with one change to its source.
//!
//! A test that passes on one of them, where it should fail, proves nothing.

mod edit;
mod table;

pub use edit::Edit;
pub use table::{Caught, DEAF, MUTANTS, NO_REAPING};

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;
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
}

/// Builds a mutant for this machine. Returns where the binary is.
///
/// # Errors
/// Where the mutant no longer fits the program, or does not build.
pub fn build(shell: &Shell, mutant: &Mutant) -> Result<PathBuf> {
    let repository = shell.current_dir();
    let folder = repository.join("target/mutants").join(mutant.file_name());
    shell.remove_path(&folder)?;
    sources::copy(&repository, &folder)?;
    for edit in mutant.edits {
        let is_script = edit.function == Edit::LINKER_SCRIPT;
        let file = folder.join(if is_script { edit.function } else { mutant.file });
        let text = fs::read_to_string(&file)?;
        let edited = if is_script { edit.apply_to_script(&text) } else { edit.apply(&text) };
        fs::write(&file, edited.with_context(|| format!("the mutant \"{}\" no longer fits", mutant.name))?)?;
    }
    let manifest = folder.join("Cargo.toml");
    let build = cmd!(
        shell,
        "cargo build --quiet --release --package pause --bin pause --target host-tuple --manifest-path {manifest} --target-dir target/mutants/build"
    );
    // They would replace the flags of .cargo/config.toml, which cargo finds in the folders above.
    let output =
        build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").quiet().ignore_status().output()?;
    if !output.status.success() {
        bail!("can't build the mutant \"{}\": {}", mutant.name, String::from_utf8_lossy(&output.stderr));
    }
    let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
    let binary = folder.join("pause");
    fs::copy(repository.join(format!("target/mutants/build/{host}/release/pause")), &binary)?;
    Ok(binary)
}
