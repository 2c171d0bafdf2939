//! What a part of the program says, line by line: the fields of a header, the instructions of a function.

use crate::disassembly::{Instruction, InstructionSet};
use anyhow::Result;
use object::elf;
use parts::header::{Field, elf_header, program_header, word_size};
use parts::{Kind, Part};
use std::ops::Range;

/// One line: some bytes and what they mean.
pub struct Line {
    /// Where the bytes are in the file.
    pub range: Range<usize>,
    /// What they say.
    pub text: String,
    /// What a reader may want to know beside that, or nothing.
    pub note: String,
}

/// The lines of one of the parts of the program.
///
/// # Errors
/// Where its bytes are not what the part is said to be.
pub fn lines(program: &[u8], part: &Part, parts: &[Part], set: &InstructionSet) -> Result<Vec<Line>> {
    Ok(match part.kind {
        Kind::ElfHeader => fields(program, part, parts, &elf_header(word_size(program))),
        Kind::ProgramHeader => fields(program, part, parts, &program_header(word_size(program))),
        Kind::Function => instructions(program, part, parts, set)?,
        // Its name says it all.
        Kind::Message | Kind::Padding => Vec::new(),
        Kind::Constant => {
            let values: Vec<_> = program[part.range.clone()].iter().map(u8::to_string).collect();
            values
                .chunks(8)
                .zip((part.range.start..).step_by(8))
                .map(|(values, start)| Line {
                    range: start..start + values.len(),
                    text: values.join(", "),
                    note: String::new(),
                })
                .collect()
        }
    })
}

fn fields(program: &[u8], part: &Part, parts: &[Part], fields: &[Field]) -> Vec<Line> {
    let mut start = part.range.start;
    let line = |&(name, size, purpose): &Field| {
        let range = start..start + size;
        start = range.end;
        let value = value(&program[range.clone()], program[5] == elf::ELFDATA2MSB.0);
        let note = match name {
            "e_entry" => reference(value as usize, parts).unwrap_or_default(),
            _ => purpose.to_owned(),
        };
        Line { range, text: format!("{name} = {}", meaning(name, value)), note }
    };
    fields.iter().map(line).collect()
}

fn value(bytes: &[u8], big_endian: bool) -> u64 {
    let append = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    match big_endian {
        true => bytes.iter().fold(0, append),
        false => bytes.iter().rev().fold(0, append),
    }
}

/// A header's value, by its name if it has one.
fn meaning(field: &str, value: u64) -> String {
    match field {
        "EI_MAG" => "7f E L F".into(),
        "EI_CLASS" => format!("{:?}", elf::FileClass(value as u8)),
        "EI_DATA" => format!("{:?}", elf::DataEncoding(value as u8)),
        "EI_OSABI" => format!("{:?}", elf::OsAbi(value as u8)),
        "e_type" => format!("{:?}", elf::FileType(value as u16)),
        "e_machine" => format!("{:?}", elf::Machine(value as u16)),
        "p_type" => format!("{:?}", elf::ProgramType(value as u32)),
        "p_flags" => format!("{:?}", elf::ProgramFlags(value as u32)),
        "e_entry" | "e_phoff" | "e_flags" | "p_align" if value > 0 => format!("{value:#x}"),
        _ => value.to_string(),
    }
}

fn instructions(program: &[u8], part: &Part, parts: &[Part], set: &InstructionSet) -> Result<Vec<Line>> {
    let mut start = part.range.start;
    let instructions = set.disassemble(&program[part.range.clone()], start)?;
    let line = |instruction: Instruction| {
        let range = start..start + instruction.size;
        start = range.end;
        let elsewhere = instruction.target.filter(|target| !part.range.contains(target));
        let note = match instruction.system_call {
            Some(name) => format!("{name}()"),
            None => elsewhere.and_then(|target| reference(target, parts)).unwrap_or_default(),
        };
        Line { range, text: instruction.text, note }
    };
    Ok(instructions.into_iter().map(line).collect())
}

/// An arrow to what is at an address.
pub fn reference(address: usize, parts: &[Part]) -> Option<String> {
    let part = parts.iter().find(|part| part.range.contains(&address))?;
    Some(match address - part.range.start {
        0 => format!("→ {}", part.name),
        distance => format!("→ {} + {distance}", part.name),
    })
}
