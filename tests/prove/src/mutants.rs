//! Changes to the machine code, each of which the proof must refuse unless it changes nothing that matters.

use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
use xtask::digest::sha256;

const FLIPS: usize = 120; // of bits in each program

/// A program, as `prove.py` reads it.
#[derive(Clone, Serialize)]
pub struct Program {
    /// The platform, and what has been changed.
    pub name: String,
    pub architecture: &'static str,
    pub entry: u64,
    /// Places in the file.
    pub functions: Vec<Range<usize>>,
    pub messages: BTreeMap<&'static str, &'static str>,
    pub file: Vec<u8>,
}

impl Program {
    fn with(&self, at: usize, change: &str, code: &[u8]) -> Self {
        let (name, mut file) = (format!("{} {at:#x} {change}", self.name), self.file.clone());
        file[at..at + code.len()].copy_from_slice(code);
        Self { name, file, ..self.clone() }
    }

    /// Leaves out each instruction, inverts each condition, and flips bits anywhere. Instructions are places and sizes.
    pub fn mutants(&self, instructions: &[(usize, usize)]) -> Vec<Self> {
        let nop: &[u8] = match self.architecture {
            "x86_64" => &[0x90],
            "aarch64" => &[0x1f, 0x20, 0x03, 0xd5],
            _ => return Vec::new(),
        };
        let mut mutants = Vec::new();
        for &(at, size) in instructions {
            mutants.push(self.with(at, "left out", &nop.repeat(size / nop.len())));
            let mut code = self.file[at..at + size].to_vec();
            match (self.architecture, &mut code[..]) {
                // A jump of two bytes; b.cond; cbz and cbnz.
                ("x86_64", [opcode @ 0x70..0x80, _]) | ("aarch64", [opcode, _, _, 0x54]) => *opcode ^= 1,
                ("aarch64", [.., opcode @ (0x34 | 0x35)]) => *opcode ^= 1,
                _ => {}
            }
            mutants.push(self.with(at, "inverted", &code));
        }
        let start = self.functions.iter().map(|range| range.start).min().unwrap_or_default();
        let mut bits: Vec<_> = (8 * start..8 * self.file.len()).collect();
        // In an order that is random, but always the same.
        bits.sort_by_cached_key(|bit| sha256(bit.to_string().as_bytes()));
        for place in bits.into_iter().take(FLIPS) {
            let (at, bit) = (place / 8, place % 8);
            mutants.push(self.with(at, &format!("bit {bit}"), &[self.file[at] ^ 1 << bit]));
        }
        mutants.retain(|mutant| mutant.file != self.file);
        mutants
    }
}
