//! Changes to the machine code of amd64: an instruction left out, a condition inverted or removed, a number off by one.

use crate::systematic::Mutant;
use anyhow::Result;
use iced_x86::{ConstantOffsets, Decoder, DecoderOptions, Instruction};
use std::collections::BTreeSet;
use std::ops::Range;
use xshell::Shell;
use xtask::build::Binary;
use xtask::platform;

pub const PLATFORM: &str = "linux/amd64";

const NOP: u8 = 0x90;
/// Begins a conditional jump of six bytes.
const LONG: u8 = 0x0f;
/// Jumps without a condition. The long one is a byte shorter.
const SHORT_JUMP: u8 = 0xeb;
const LONG_JUMP: u8 = 0xe9;

const LEFT_OUT: &str = "instruction left out";
const INVERTED: &str = "conditional jump inverted";
const ALWAYS: &str = "conditional jump always taken";
const MORE: &str = "number one more";
const LESS: &str = "number one less";

/// The rows of the table.
pub const KINDS: [&str; 5] = [LEFT_OUT, INVERTED, ALWAYS, MORE, LESS];

/// Returns all changes of an instruction, given its bytes and the positions of its numbers.
fn changes(code: &[u8], numbers: &[Range<usize>]) -> Vec<(&'static str, Vec<u8>)> {
    let mut changes = vec![(LEFT_OUT, vec![NOP; code.len()])];
    // The last bit of the opcode inverts the condition.
    match *code {
        [opcode @ 0x70..0x80, distance] => {
            changes.extend([(INVERTED, vec![opcode ^ 1, distance]), (ALWAYS, vec![SHORT_JUMP, distance])]);
        }
        [LONG, opcode @ 0x80..0x90, ..] => {
            let long = |start: [u8; 2]| [&start, &code[2..]].concat();
            changes.extend([(INVERTED, long([LONG, opcode ^ 1])), (ALWAYS, long([NOP, LONG_JUMP]))]);
        }
        _ => {}
    }
    for number in numbers {
        let mut bytes = [0; size_of::<i64>()];
        bytes[..number.len()].copy_from_slice(&code[number.clone()]);
        for (kind, difference) in [(MORE, 1), (LESS, -1)] {
            let bytes = i64::from_le_bytes(bytes).wrapping_add(difference).to_le_bytes();
            let changed = [&code[..number.start], &bytes[..number.len()], &code[number.end..]].concat();
            changes.push((kind, changed));
        }
    }
    changes
}

pub fn mutants(shell: &Shell) -> Result<Vec<Mutant>> {
    let (Binary { content: program, .. }, functions) = prove::functions(shell, platform::parse(PLATFORM)?)?;
    let mut mutants = Vec::new();
    for (function, range) in functions {
        let mut decoder = Decoder::with_ip(64, &program[range.clone()], range.start as u64, DecoderOptions::NONE);
        while decoder.can_decode() {
            let instruction = decoder.decode();
            let start = instruction.ip() as usize;
            let (end, offset) = (start + instruction.len(), start - range.start);
            let numbers = numbers(&instruction, &decoder.get_constant_offsets(&instruction));
            let mut seen = BTreeSet::new();
            for (kind, code) in changes(&program[start..end], &numbers) {
                let mnemonic = format!("{:?}", instruction.mnemonic()).to_lowercase();
                let second = if seen.insert(kind) { "" } else { ", second number" };
                let name = format!("{function}+{offset:#x} {mnemonic}: {kind}{second}");
                mutants.push(Mutant { kind, name, program: Ok([&program[..start], &code, &program[end..]].concat()) });
            }
        }
    }
    Ok(mutants)
}

/// Returns the positions of an instruction's numbers in its bytes, except for the distance of a branch.
fn numbers(instruction: &Instruction, offsets: &ConstantOffsets) -> Vec<Range<usize>> {
    let is_branch = instruction.near_branch_target() != 0;
    let displacement = (offsets.has_displacement(), offsets.displacement_offset(), offsets.displacement_size());
    let immediate = (offsets.has_immediate() && !is_branch, offsets.immediate_offset(), offsets.immediate_size());
    let present = [displacement, immediate].into_iter().filter(|(is_present, ..)| *is_present);
    present.map(|(_, offset, size)| offset..offset + size).collect()
}
