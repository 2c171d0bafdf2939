//! Changes to the machine code of amd64: every instruction left out, every conditional jump turned, every number changed
//! by one.

use crate::Mutant;
use anyhow::Result;
use iced_x86::{
    ConstantOffsets, Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, SymbolResolver, SymbolResult,
};
use std::collections::BTreeMap;
use std::ops::Range;
use xshell::Shell;
use xtask::platform;

/// The platform whose machine code is known here.
pub const PLATFORM: &str = "linux/amd64";

/// Does nothing, in a byte.
const NO_OPERATION: u8 = 0x90;

/// The conditional jumps, in a byte and behind [`LONG`]. The last bit turns the condition into its opposite.
const SHORT_JUMPS: Range<u8> = 0x70..0x80;
const LONG: u8 = 0x0f;
const LONG_JUMPS: Range<u8> = 0x80..0x90;

/// The same jumps without a condition: as long as a short one, and a byte shorter than a long one.
const SHORT_JUMP: u8 = 0xeb;
const LONG_JUMP: u8 = 0xe9;

/// The bytes of an instruction.
type Code = Vec<u8>;

/// What is done to an instruction.
pub struct Change {
    /// What it is called in the table.
    pub kind: &'static str,
    /// What it is called behind the instruction.
    name: &'static str,
    /// All ways to do it, from the instruction's bytes and the places of the numbers in them.
    make: fn(&[u8], &[Range<usize>]) -> Vec<Code>,
}

/// All that is done to instructions.
pub const CHANGES: [Change; 5] = [
    Change { kind: "an instruction left out", name: "left out", make: |code, _| vec![vec![NO_OPERATION; code.len()]] },
    Change {
        kind: "a conditional jump inverted",
        name: "inverted",
        make: |code, _| match *code {
            [opcode, distance] if SHORT_JUMPS.contains(&opcode) => vec![vec![opcode ^ 1, distance]],
            [LONG, opcode, ..] if LONG_JUMPS.contains(&opcode) => vec![[&[LONG, opcode ^ 1], &code[2..]].concat()],
            _ => Vec::new(),
        },
    },
    Change {
        kind: "a conditional jump always taken",
        name: "always taken",
        make: |code, _| match *code {
            [opcode, distance] if SHORT_JUMPS.contains(&opcode) => vec![vec![SHORT_JUMP, distance]],
            [LONG, opcode, ..] if LONG_JUMPS.contains(&opcode) => {
                vec![[&[NO_OPERATION, LONG_JUMP], &code[2..]].concat()]
            }
            _ => Vec::new(),
        },
    },
    Change {
        kind: "a number one more",
        name: "one more",
        make: |code, numbers| numbers.iter().map(|number| changed(code, number, 1)).collect(),
    },
    Change {
        kind: "a number one less",
        name: "one less",
        make: |code, numbers| numbers.iter().map(|number| changed(code, number, -1)).collect(),
    },
];

/// The code with another number in that place.
fn changed(code: &[u8], place: &Range<usize>, by: i64) -> Code {
    let mut bytes = [0; size_of::<i64>()];
    bytes[..place.len()].copy_from_slice(&code[place.clone()]);
    let number = i64::from_le_bytes(bytes).wrapping_add(by).to_le_bytes();
    let mut code = code.to_vec();
    code[place.clone()].copy_from_slice(&number[..place.len()]);
    code
}

/// Builds the program and changes it.
pub fn mutants(shell: &Shell) -> Result<Vec<Mutant>> {
    let (program, functions) = disasm::functions(shell, platform::parse(PLATFORM).map_err(anyhow::Error::msg)?)?;
    let mut mutants = Vec::new();
    for (function, range) in &functions {
        let mut formatter = IntelFormatter::with_options(Some(Box::new(Names(functions.clone()))), None);
        formatter.options_mut().set_rip_relative_addresses(true);
        let mut decoder = Decoder::with_ip(64, &program[range.clone()], range.start as u64, DecoderOptions::NONE);
        let mut seen = BTreeMap::new();
        while decoder.can_decode() {
            let instruction = decoder.decode();
            let mut text = String::new();
            formatter.format(&instruction, &mut text);
            let ordinal = *seen.entry(text.clone()).and_modify(|count| *count += 1).or_insert(1);
            let start = instruction.ip() as usize;
            let range = start..start + instruction.len();
            let numbers = numbers(&instruction, &decoder.get_constant_offsets(&instruction));
            for Change { kind, name, make } in CHANGES {
                let all = make(&program[range.clone()], &numbers);
                let count = all.len();
                for (index, code) in (1..).zip(all) {
                    let which = if count > 1 { format!(" in number {index}") } else { String::new() };
                    mutants.push(Mutant {
                        kind,
                        name: format!("{function}: {text} #{ordinal}: {name}{which}"),
                        place: format!("{start:#x}"),
                        program: Ok([&program[..start], &code, &program[range.end..]].concat()),
                    });
                }
            }
        }
    }
    Ok(mutants)
}

/// Places of an instruction's numbers in its bytes, distances of branches aside.
fn numbers(instruction: &Instruction, offsets: &ConstantOffsets) -> Vec<Range<usize>> {
    let is_branch = instruction.near_branch_target() != 0;
    let displacement = (offsets.has_displacement(), offsets.displacement_offset(), offsets.displacement_size());
    let immediate = (offsets.has_immediate() && !is_branch, offsets.immediate_offset(), offsets.immediate_size());
    let present = [displacement, immediate].into_iter().filter(|(is_there, ..)| *is_there);
    present.map(|(_, offset, size)| offset..offset + size).collect()
}

/// Names of the functions, in place of their addresses.
struct Names(Vec<(String, Range<usize>)>);

impl SymbolResolver for Names {
    fn symbol(&mut self, _: &Instruction, _: u32, _: Option<u32>, address: u64, _: u32) -> Option<SymbolResult<'_>> {
        let (name, range) = self.0.iter().find(|(_, range)| range.contains(&(address as usize)))?;
        let distance = address as usize - range.start;
        // A target within a function is named by its distance from the beginning.
        let name = if distance == 0 { name.clone() } else { format!("{name}+{distance}") };
        Some(SymbolResult::with_string(address, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_made_to_the_bytes() {
        let change = |name: &str, code: &[u8], numbers: &[Range<usize>]| {
            (CHANGES.iter().find(|change| change.name == name).unwrap().make)(code, numbers)
        };
        assert_eq!(change("left out", &[0x0f, 0x05], &[]), [[0x90, 0x90]]);
        assert_eq!(change("inverted", &[0x74, 7], &[]), [[0x75, 7]]);
        assert_eq!(change("inverted", &[0x0f, 0x85, 7, 0, 0, 0], &[]), [[0x0f, 0x84, 7, 0, 0, 0]]);
        assert_eq!(change("always taken", &[0x74, 7], &[]), [[0xeb, 7]]);
        assert_eq!(change("always taken", &[0x0f, 0x85, 7, 0, 0, 0], &[]), [[0x90, 0xe9, 7, 0, 0, 0]]);
        assert!(change("inverted", &[0xeb, 7], &[]).is_empty());
        assert_eq!(change("one more", &[0x6a, 0xff], std::slice::from_ref(&(1..2))), [[0x6a, 0]]);
        assert_eq!(change("one less", &[0xb8, 0, 1, 0, 0], std::slice::from_ref(&(1..5))), [[0xb8, 0xff, 0, 0, 0]]);
    }
}
