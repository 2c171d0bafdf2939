//! Golden listings: each program as text, in a file of its own, so that a change shows as what has changed.
//!
//! Addresses would change with every byte before them, so there are none. What a function's own instructions name is
//! a numbered line of it; what another part of the program is, goes by its name.

use crate::disassembly::{Instruction, InstructionSet};
use crate::listing;
use anyhow::{Context, Result, bail, ensure};
use parts::{Kind, Part};
use similar::TextDiff;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use xtask::output;

/// Where they are, relative to the repository.
const FOLDER: &str = "tests/anatomy/listings";

/// The command that writes them.
const BLESS: &str = "`cargo xtask anatomy --listing --bless`";

/// How wide the column of what the bytes say is.
const WIDTH: usize = 48;

/// The listing of a program.
///
/// # Errors
/// Where a part's bytes are not what the part is said to be.
pub fn text(set: &InstructionSet, program: &[u8], parts: &[Part]) -> Result<String> {
    let mut text = format!("# All of the program, part by part. {BLESS} writes this.\n");
    for part in parts {
        text += &format!("\n{}, {} bytes\n", part.name, part.range.len());
        if part.kind == Kind::Function {
            text += &function(set, &program[part.range.clone()], part, parts)?;
        } else {
            for line in listing::lines(program, part, parts, set)? {
                text += &row(&line.text, &line.note);
            }
        }
    }
    Ok(text)
}

/// What some bytes say, and a note.
fn row(text: &str, note: &str) -> String {
    match note {
        "" => format!("        {text}\n"),
        _ => format!("        {text:<WIDTH$}# {note}\n"),
    }
}

/// The instructions of a function.
fn function(set: &InstructionSet, code: &[u8], part: &Part, parts: &[Part]) -> Result<String> {
    let instructions = set.disassemble(code, part.range.start)?;
    let is_local = |address: &usize| part.range.contains(address);
    let targets: BTreeSet<_> =
        instructions.iter().filter_map(|instruction| instruction.target).filter(is_local).collect();
    let labels: BTreeMap<_, _> = targets.into_iter().zip(1..).collect();
    let (mut text, mut address) = (String::new(), part.range.start);
    for Instruction { size, text: instruction, number, target, system_call } in instructions {
        if let Some(label) = labels.get(&address) {
            text += &format!(".{label}:\n");
        }
        address += size;
        let elsewhere = target.filter(|target| !is_local(target));
        let label = target.and_then(|target| labels.get(&target));
        let name = match (label, elsewhere.and_then(|target| parts.iter().find(|part| part.range.start == target))) {
            (Some(label), _) => Some(format!(".{label}")),
            (None, Some(part)) if part.kind == Kind::Function => Some(part.name.clone()),
            _ => None,
        };
        let note = match (&name, system_call, elsewhere) {
            (_, Some(call), _) => format!("{call}()"),
            (None, None, Some(target)) => listing::reference(target, parts).unwrap_or_default(),
            _ => String::new(),
        };
        let mut line = instruction;
        if let Some(number) = number.filter(|_| target.is_some()) {
            line.replace_range(number, name.as_deref().unwrap_or("…"));
        }
        text += &row(&line, &note);
    }
    Ok(text)
}

/// Compares listings with the golden ones, or makes them the golden ones. A name is a platform's as part of a file
/// name; `all` says that there are no others.
///
/// # Errors
/// Where one differs, with the first difference.
pub fn check(repository: &Path, listings: &[(String, String)], all: bool, bless: bool) -> Result<()> {
    let folder = repository.join(FOLDER);
    for (name, new) in listings {
        let file = folder.join(format!("{name}.s"));
        if bless {
            fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
            output::replace(&file, new.as_bytes())?;
            continue;
        }
        let golden = fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
        if let Some(difference) = difference(&golden, new) {
            bail!(
                "the program is not what {FOLDER}/{name}.s says; {BLESS} makes that right, if this is:\n{difference}"
            );
        }
    }
    let known: BTreeSet<_> = listings.iter().map(|(name, _)| format!("{name}.s")).collect();
    for entry in fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(!all || known.contains(&name), "{FOLDER}/{name} is of no program; remove it");
    }
    Ok(())
}

/// The first place where two texts differ, as a patch has it.
fn difference(golden: &str, new: &str) -> Option<String> {
    TextDiff::from_lines(golden, new).unified_diff().iter_hunks().next().map(|hunk| hunk.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown() {
        let repository = tempfile::tempdir().unwrap();
        let listing = |text: &str| [("linux-x".to_string(), text.to_string())];
        let check =
            |text, bless| check(repository.path(), &listing(text), true, bless).map_err(|error| error.to_string());
        assert!(check("a\nb\nc\n", false).unwrap_err().contains("linux-x.s"));
        check("a\nb\nc\n", true).unwrap();
        check("a\nb\nc\n", false).unwrap();
        assert!(check("a\nB\nc\n", false).unwrap_err().ends_with(" a\n-b\n+B\n c\n"));
        fs::write(repository.path().join(FOLDER).join("linux-y.s"), "").unwrap();
        assert!(check("a\nb\nc\n", false).unwrap_err().contains("linux-y.s is of no program"));
    }
}
