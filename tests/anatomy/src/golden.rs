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
use std::ops::Range;
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
            for Row { label, text: line, note, .. } in rows(set, program, part, parts)? {
                if let Some(label) = label {
                    text += &format!(".{label}:\n");
                }
                text += &row(&line, &note);
            }
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

/// An instruction of a listing.
pub struct Row {
    /// The number by which other instructions of its function name it, if they do.
    pub label: Option<usize>,
    /// Where it is in the file.
    pub range: Range<usize>,
    /// What it says.
    pub text: String,
    /// What a reader may want to know beside that, or nothing.
    pub note: String,
    /// Where the numbers of an x86 instruction are in the file, distances of branches aside.
    pub numbers: Vec<Range<usize>>,
}

/// The instructions of a function.
pub fn rows(set: &InstructionSet, program: &[u8], part: &Part, parts: &[Part]) -> Result<Vec<Row>> {
    let instructions = set.disassemble(&program[part.range.clone()], part.range.start)?;
    let is_local = |address: &usize| part.range.contains(address);
    let targets: BTreeSet<_> =
        instructions.iter().filter_map(|instruction| instruction.target).filter(is_local).collect();
    let labels: BTreeMap<_, _> = targets.into_iter().zip(1..).collect();
    let mut address = part.range.start;
    let row = |instruction: Instruction| {
        let Instruction { size, mut text, number, target, system_call, numbers } = instruction;
        let range = address..address + size;
        address = range.end;
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
        if let Some(number) = number.filter(|_| target.is_some()) {
            text.replace_range(number, name.as_deref().unwrap_or("…"));
        }
        let numbers = numbers.into_iter().map(|number| range.start + number.start..range.start + number.end).collect();
        Row { label: labels.get(&range.start).copied(), range, text, note, numbers }
    };
    Ok(instructions.into_iter().map(row).collect())
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
