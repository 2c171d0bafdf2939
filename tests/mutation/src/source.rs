//! Changes to the source that cargo-mutants finds. It only lists them: it would build and run all tests for each. Here
//! the program alone is built, and tested like the other mutants.

use crate::systematic::Mutant;
use anyhow::{Context, Result, ensure};
use mutation::build_edited;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use xshell::{Shell, cmd};
use xtask::{build, command, sources};

/// The row of the table.
pub const KIND: &str = "source, by cargo-mutants";

/// <https://mutants.rs>
const TOOL: &str = "cargo-mutants@27.1.0";
const TOOLS: &str = "target/tools";

/// Returns the offset of a position. Line and column count from 1, columns count characters.
fn offset(text: &str, position: &Value) -> Option<usize> {
    let [line, column] = ["line", "column"].map(|name| position[name].as_u64().map(|number| number as usize - 1));
    let before: usize = text.split_inclusive('\n').take(line?).map(str::len).sum();
    let line = text[before..].lines().next()?;
    Some(before + line.char_indices().nth(column?).map_or(line.len(), |(offset, _)| offset))
}

pub fn mutants(shell: &Shell) -> Result<Vec<Mutant>> {
    let mut seen = BTreeMap::new();
    let mut mutants = Vec::new();
    for change in list(shell)? {
        let field = |name: &str| change[name].as_str().with_context(|| format!("a change has no {name}"));
        let (_, name) = field("name")?.split_once(": ").context("a name is a position and a change")?;
        let ordinal = seen.entry(name.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        let edit = |directory: &Path| {
            let file = directory.join(field("file")?);
            let mut text = fs::read_to_string(&file)?;
            let [start, end] =
                ["start", "end"].map(|name| offset(&text, &change["span"][name]).context("no such line"));
            text.replace_range(start?..end?, field("replacement")?);
            Ok(fs::write(&file, text)?)
        };
        let program = match build_edited(shell, "by-cargo-mutants", None, edit)? {
            Ok(file) => Ok(build::trim(&fs::read(file)?)?),
            Err(message) => Err(message),
        };
        mutants.push(Mutant { kind: KIND, name: format!("{name} #{ordinal}"), program });
    }
    Ok(mutants)
}

fn list(shell: &Shell) -> Result<Vec<Value>> {
    let install = ["--quiet", "--locked", "--profile", "dev", "--config", "profile.dev.debug=false", "--root", TOOLS];
    command::run(cmd!(shell, "cargo install {install...} {TOOL}"))?;
    let repository = shell.current_dir();
    let directory = repository.join("target/mutation/listed");
    shell.remove_path(&directory)?;
    sources::copy(&repository, &directory)?;
    for file in sources::list(&repository)?.into_iter().filter(|file| file.starts_with("src")) {
        let file = directory.join(file);
        // cargo-mutants skips unsafe functions, for what they could do to the process that tests them. Here each mutant
        // is a separate process. The columns stay the same.
        let text = fs::read_to_string(&file)?.replace("unsafe fn ", "       fn ");
        fs::write(&file, text.replace("unsafe extern ", "       extern "))?;
    }
    // It does not find modules that macros declare.
    let modules = directory.join("src/arch/mod.rs");
    fs::write(&modules, fs::read_to_string(&modules)? + "\nmod x86_64;\n")?;
    let tool = repository.join(TOOLS).join("bin/cargo-mutants");
    let list = cmd!(shell, "{tool} mutants --list --json --no-config --package pause --dir {directory}").quiet();
    let changes: Vec<Value> = serde_json::from_str(&list.read()?).context("the list of cargo-mutants is not JSON")?;
    ensure!(!changes.is_empty(), "cargo-mutants finds nothing to change");
    Ok(changes)
}
