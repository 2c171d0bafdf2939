//! What a part of the program says, line by line: the fields of a header, the instructions of a function.

use crate::disassembly::{Instruction, InstructionSet};
use crate::parts::{Kind, Part};
use anyhow::Result;
use object::elf;
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

/// A field of a header: its name, its size in bytes, and what it is for.
type Field = (&'static str, usize, &'static str);

/// The size of an address in the file's class, in bytes.
fn word_size(program: &[u8]) -> usize {
    if program[4] == elf::ELFCLASS64.0 { 8 } else { 4 }
}

#[rustfmt::skip]
fn elf_header(word: usize) -> Vec<Field> {
    vec![
        ("EI_MAG",        4,    "what makes it an ELF file"),
        ("EI_CLASS",      1,    "the size of addresses"),
        ("EI_DATA",       1,    "the byte order"),
        ("EI_VERSION",    1,    ""),
        ("EI_OSABI",      1,    ""),
        ("EI_ABIVERSION", 1,    ""),
        ("EI_PAD",        7,    ""),
        ("e_type",        2,    "executable at any address"),
        ("e_machine",     2,    "the architecture"),
        ("e_version",     4,    ""),
        ("e_entry",       word, "where it starts"),
        ("e_phoff",       word, "where the program headers are"),
        ("e_shoff",       word, "no section table"),
        ("e_flags",       4,    ""),
        ("e_ehsize",      2,    "bytes of this header"),
        ("e_phentsize",   2,    "bytes of a program header"),
        ("e_phnum",       2,    "program headers"),
        ("e_shentsize",   2,    ""),
        ("e_shnum",       2,    ""),
        ("e_shstrndx",    2,    ""),
    ]
}

/// The fields of a program header: the two classes differ in where p_flags is.
#[rustfmt::skip]
fn program_header(word: usize) -> Vec<Field> {
    let flags = ("p_flags", 4, "what is allowed there");
    let mut fields = vec![
        ("p_type",   4,    ""),
        ("p_offset", word, "where in the file"),
        ("p_vaddr",  word, "where in memory"),
        ("p_paddr",  word, ""),
        ("p_filesz", word, "bytes in the file"),
        ("p_memsz",  word, "bytes in memory"),
        ("p_align",  word, ""),
    ];
    fields.insert(if word == 8 { 1 } else { 6 }, flags);
    fields
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
