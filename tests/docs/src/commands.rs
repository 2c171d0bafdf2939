//! Commands: every `cargo xtask …` that a page shows exists, with the options that it shows.

use crate::page::Page;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use xshell::Shell;

/// Checks all commands. Returns how many there are, and what is wrong with some.
pub fn check(shell: &Shell, pages: &[Page]) -> Result<(usize, Vec<String>)> {
    let (mut count, mut wrong) = (0, Vec::new());
    // What each command's help speaks of.
    let mut helps: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for page in pages {
        for code in page.code() {
            let Some((_, rest)) = code.split_once("cargo xtask ") else { continue };
            // A comment, another command, or what goes where its words do.
            let words = rest.split_whitespace().take_while(|word| !["#", "&&", "|", ";"].contains(word));
            let words: Vec<_> = words.map(|word| word.trim_matches(|char| "[]();…".contains(char))).collect();
            let Some((&name, options)) = words.split_first() else { continue };
            if name.starts_with('<') || name.is_empty() {
                continue;
            }
            count += 1;
            if !helps.contains_key(name) {
                helps.insert(name.into(), help(shell, name)?);
            }
            let options = options.iter().filter(|word| word.starts_with("--"));
            let options = options.map(|word| word.split_once('=').map_or(*word, |(option, _)| option));
            let unknown: Vec<_> = options.filter(|option| !helps[name].contains(*option)).collect();
            if helps[name].is_empty() {
                wrong.push(format!("{}: `{code}`: there is no command {name}", page.name()));
            } else if !unknown.is_empty() {
                wrong.push(format!("{}: `{code}`: {name} has no option {}", page.name(), unknown.join(", ")));
            }
        }
    }
    Ok((count, wrong))
}

/// The options in a command's help; none where there is no such command.
fn help(shell: &Shell, name: &str) -> Result<BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let arguments = if name.starts_with('-') { vec![name] } else { vec![name, "--help"] };
    let output = Command::new(cargo).current_dir(shell.current_dir()).arg("xtask").args(arguments).output();
    let output = output.context("can't start cargo")?;
    if !output.status.success() {
        return Ok(BTreeSet::new());
    }
    let text = String::from_utf8(output.stdout)?;
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
    Ok(words.filter(|word| word.starts_with("--")).map(String::from).collect())
}
