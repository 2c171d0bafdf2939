//! Changes to the source: those that cargo-mutants finds. It only lists them. By itself it would build and run all tests
//! anew for each; here the program alone is built, and judged as every other mutant.

use crate::{Mutant, PAUSE};
use anyhow::{Context, Result, ensure};
use mutants::{Refused, build_changed};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use xshell::{Shell, cmd};
use xtask::{build, command, sources};

/// What these mutants are called in the table.
pub const KIND: &str = "the source, as cargo-mutants does";

/// The tool and its version: <https://mutants.rs>.
const TOOL: &str = "cargo-mutants@27.1.0";

/// Where tools are installed, in the repository.
const TOOLS: &str = "target/tools";

/// A change that cargo-mutants lists.
#[derive(Deserialize)]
struct Change {
    name: String,
    file: String,
    span: Span,
    replacement: String,
}

/// A part of a file.
#[derive(Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

/// Both count from 1; columns count letters.
#[derive(Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Which byte it is.
    fn offset(&self, text: &str) -> Result<usize> {
        let line = text.split_inclusive('\n').nth(self.line - 1).context("the file has no such line")?;
        let start = line.as_ptr() as usize - text.as_ptr() as usize;
        let column = line.char_indices().nth(self.column - 1).map_or(line.len(), |(place, _)| place);
        Ok(start + column)
    }
}

/// Installs cargo-mutants, if it is not there.
pub fn install(shell: &Shell) -> Result<()> {
    command::run(cmd!(
        shell,
        "cargo install --quiet --locked --profile dev --config profile.dev.debug=false --root {TOOLS} {TOOL}"
    ))
}

/// Lists all changes, and builds the program with each.
pub fn mutants(shell: &Shell) -> Result<Vec<Mutant>> {
    let mut seen = BTreeMap::new();
    let mut mutants = Vec::new();
    for change in list(shell)? {
        // The name, without the place.
        let (_, what) = change.name.split_once(": ").context("a name is a place and a change")?;
        let ordinal = seen.entry(what.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        let edit = |folder: &Path| -> Result<()> {
            let file = folder.join(&change.file);
            let mut text = fs::read_to_string(&file)?;
            let range = change.span.start.offset(&text)?..change.span.end.offset(&text)?;
            text.replace_range(range, &change.replacement);
            Ok(fs::write(&file, text)?)
        };
        let program = match build_changed(shell, "by-cargo-mutants", edit)? {
            Ok(file) => Ok(build::trim(&fs::read(file)?)?),
            Err(Refused(reason)) => Err(reason),
        };
        let place = format!("{}:{}", change.file, change.span.start.line);
        mutants.push(Mutant { kind: KIND, name: format!("{what} #{ordinal}"), place, program });
    }
    Ok(mutants)
}

/// Lists the changes.
fn list(shell: &Shell) -> Result<Vec<Change>> {
    let repository = shell.current_dir();
    let folder = repository.join("target/survivors/sources");
    shell.remove_path(&folder)?;
    sources::copy(&repository, &folder)?;
    for file in sources::list(&repository)?.into_iter().filter(|file| file.starts_with("src")) {
        let file = folder.join(file);
        fs::write(&file, disclosed(&fs::read_to_string(&file)?))?;
    }
    // It does not look for modules in macros.
    let modules = folder.join("src/arch/mod.rs");
    fs::write(&modules, fs::read_to_string(&modules)? + "\nmod x86_64;\n")?;
    let tool = repository.join(TOOLS).join("bin/cargo-mutants");
    let list =
        cmd!(shell, "{tool} mutants --list --json --no-config --package {PAUSE} --dir {folder}").quiet().read()?;
    let changes: Vec<Change> = serde_json::from_str(&list).context("cargo-mutants does not list its changes")?;
    ensure!(!changes.is_empty(), "cargo-mutants finds nothing to change");
    Ok(changes)
}

/// The text with every place where it was, in which no function says that it is unsafe: cargo-mutants passes over those,
/// for what they could do to the process that tests them. Here each mutant is a process of its own.
fn disclosed(source: &str) -> String {
    ["fn", "extern"]
        .into_iter()
        .fold(source.to_owned(), |text, word| text.replace(&format!("unsafe {word} "), &format!("       {word} ")))
}
