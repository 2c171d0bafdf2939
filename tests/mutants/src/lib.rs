//! Programs that are wrong on purpose: pause with one change to its source.
//!
//! A test that passes on one of them, where it should fail, proves nothing.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// A change to the program's source.
#[derive(Debug)]
pub struct Mutant {
    /// What is wrong with it, as part of a sentence and of a path.
    pub name: &'static str,
    /// The file that is changed, relative to the repository.
    pub file: &'static str,
    /// The text that is replaced; it occurs once.
    pub from: &'static str,
    /// What replaces it.
    pub to: &'static str,
}

/// Adopts orphans, and leaves them zombies.
pub static NO_REAPING: Mutant =
    Mutant { name: "no reaping", file: "src/main.rs", from: "SIGCHLD => return reap(),", to: "SIGCHLD => return," };

/// Carries on when told to go.
pub static DEAF: Mutant = Mutant {
    name: "deaf to SIGTERM",
    file: "src/main.rs",
    from: "SIGINT => say(&INTERRUPT),",
    to: "SIGINT => say(&INTERRUPT),\n        SIGTERM => return,",
};

/// What the program is built from, beside the configuration that cargo finds in the folders above.
const SOURCES: [&str; 5] = ["Cargo.toml", "Cargo.lock", "build.rs", "linker.ld", "src"];

/// Builds a mutant for this machine. Returns where the binary is.
///
/// # Errors
/// Where the text to replace is not there, or the mutant does not build.
pub fn build(shell: &Shell, mutant: &Mutant) -> Result<PathBuf> {
    let repository = shell.current_dir();
    let folder = repository.join("target/mutants").join(mutant.name.replace(' ', "-"));
    shell.remove_path(&folder)?;
    for source in SOURCES {
        copy(&repository.join(source), &folder.join(source))?;
    }
    // The other packages are not copied.
    replace_once(&folder.join("Cargo.toml"), r#"members = [".", "tests/boot", "xtask"]"#, r#"members = ["."]"#)?;
    replace_once(&folder.join(mutant.file), mutant.from, mutant.to)
        .with_context(|| format!("the mutant \"{}\" no longer fits the program", mutant.name))?;
    let manifest = folder.join("Cargo.toml");
    let output = cmd!(
        shell,
        "cargo build --quiet --release --package pause --manifest-path {manifest} --target-dir target/mutants/build"
    )
    .env_remove("RUSTFLAGS")
    .env_remove("CARGO_ENCODED_RUSTFLAGS")
    .ignore_status()
    .output()?;
    let messages = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "can't build the mutant \"{}\": {messages}", mutant.name);
    let binary = folder.join("pause");
    fs::copy(repository.join("target/mutants/build/release/pause"), &binary)?;
    Ok(binary)
}

/// Copies a file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        fs::create_dir_all(to.parent().context("a file in a folder")?)?;
        fs::copy(from, to)?;
        return Ok(());
    }
    for entry in fs::read_dir(from).with_context(|| format!("can't read {}", from.display()))? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Replaces a text that occurs once in a file.
fn replace_once(file: &Path, from: &str, to: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let count = text.matches(from).count();
    ensure!(count == 1, "{} has `{from}` {count} times, not once", file.display());
    fs::write(file, text.replace(from, to))?;
    Ok(())
}
