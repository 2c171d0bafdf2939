//! Which system call each trap makes: the number that is in its register there, whichever way the program came.
//!
//! A number counts only where it is certain. It is known where a constant was loaded, popped that was pushed
//! immediately before, or counted up to from zero. It is forgotten where anything else may have changed the register,
//! after a call, and where two ways meet that bring different ones.

use crate::disassembly::{Decoded, integer};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;

/// How a program asks the kernel for something, and what else it takes to follow a number to there.
pub struct Convention {
    /// The instruction that calls the kernel.
    pub trap: &'static str,
    /// The names of the register that holds a system call's number: the whole of it first, then its parts.
    pub number: &'static [&'static str],
    /// How many of these names stand for all of it that the kernel reads.
    pub whole: usize,
    /// Whether the number is still there when the kernel returns.
    pub survives: bool,
    /// The register that is always zero.
    pub zero: &'static str,
    /// Instructions that the next one in memory never follows.
    pub ends: &'static [&'static str],
}

impl Convention {
    /// Whether an instruction calls the kernel, be it under a condition, which some assemblies append to the name.
    fn is_trap(&self, instruction: &Decoded) -> bool {
        instruction.mnemonic.starts_with(self.trap)
    }
}

/// Instructions that load a small number into a register.
const LOADS: [&str; 11] = ["mov", "movz", "movw", "li", "c.li", "lhi", "lghi", "addi", "ori", "addi.w", "addi.d"];

/// What is known before an instruction.
#[derive(Clone, Copy, Default, PartialEq)]
struct State {
    /// What is in the number's register.
    number: Option<i64>,
    /// What the instruction before has pushed.
    pushed: Option<i64>,
}

impl State {
    /// What is known where two ways meet.
    fn join(self, other: Self) -> Self {
        let same = |one, other| if one == other { one } else { None };
        Self { number: same(self.number, other.number), pushed: same(self.pushed, other.pushed) }
    }
}

/// The number of the system call that each instruction of a function makes, if it makes one. Nobody jumps into the
/// middle of a function with a number.
///
/// # Errors
/// Where a number is not certain.
pub fn numbers(function: &[Decoded], convention: &Convention) -> Result<Vec<Option<i64>>> {
    let places: BTreeMap<_, _> = function.iter().map(|instruction| instruction.address).zip(0..).collect();
    let mut states: Vec<Option<State>> = vec![None; function.len()];
    // Where there is something new to be known.
    let mut places_left = vec![(0, State::default())];
    while let Some((place, known)) = places_left.pop() {
        let Some(state) = states.get_mut(place) else { continue };
        let joined = state.map_or(known, |state| state.join(known));
        if *state == Some(joined) {
            continue;
        }
        *state = Some(joined);
        let instruction = &function[place];
        let target =
            instruction.target.filter(|_| instruction.branches).and_then(|target| places.get(&target)).copied();
        // A call of itself is a call.
        let target = target.filter(|&target| target > 0);
        let mut after = joined.after(instruction, convention);
        if let Some(target) = target {
            places_left.push((target, after));
        } else if instruction.branches {
            // If it comes back, then with any number.
            after = State::default();
        }
        if !convention.ends.contains(&instruction.mnemonic.as_str()) {
            places_left.push((place + 1, after));
        }
    }
    let number = |(instruction, state): (&Decoded, Option<State>)| {
        let number = state.and_then(|state| state.number);
        let is_trap = convention.is_trap(instruction);
        ensure!(!is_trap || number.is_some(), "which system call is made at {:#x} is not certain", instruction.address);
        Ok(number.filter(|_| is_trap))
    };
    function.iter().zip(states).map(number).collect()
}

impl State {
    /// What is known after an instruction.
    fn after(self, instruction: &Decoded, convention: &Convention) -> Self {
        let operands: Vec<_> = instruction.operands.split(", ").collect();
        let constant = || match operands[1..] {
            [number] => integer(number),
            [zero, number] if zero == convention.zero => integer(number),
            _ => None,
        };
        let is_whole = |register: &str| convention.number[..convention.whole].contains(&register);
        let is_part = |register: &str| convention.number.contains(&register);
        let mut words = instruction.operands.split(|letter: char| !letter.is_alphanumeric() && !"%$".contains(letter));
        let changes = words.any(is_part)
            || instruction.side_effects.iter().any(|register| is_part(register))
            // It loads a range of registers, of which the text names two.
            || instruction.mnemonic.starts_with("lm");
        let number = match instruction.mnemonic.as_str() {
            _ if convention.is_trap(instruction) => self.number.filter(|_| convention.survives),
            "pop" if is_whole(operands[0]) => self.pushed,
            "xor" if is_whole(operands[0]) && operands[1..] == operands[..1] => Some(0),
            "inc" if is_whole(operands[0]) => self.number.map(|number| number + 1),
            mnemonic if LOADS.contains(&mnemonic) && is_whole(operands[0]) => constant(),
            _ if changes => None,
            _ => self.number,
        };
        let pushed = match instruction.mnemonic.as_str() {
            "push" => integer(operands[0]),
            _ => None,
        };
        Self { number, pushed }
    }
}

#[cfg(test)]
mod tests {
    use crate::disassembly::InstructionSet;

    /// The system calls that this code makes on linux/amd64, or why they are not known.
    fn calls(code: &[&[u8]]) -> Result<Vec<&'static str>, String> {
        let set = InstructionSet::of(xtask::platform::parse("linux/amd64").unwrap()).unwrap();
        let instructions = set.disassemble(&code.concat(), 0x80).map_err(|error| error.to_string())?;
        Ok(instructions.into_iter().filter_map(|instruction| instruction.system_call).collect())
    }

    const SYSCALL: &[u8] = &[0x0f, 0x05];
    const PUSH_60: &[u8] = &[0x6a, 60];
    const POP_RAX: &[u8] = &[0x58];
    const MOV_EAX_39: &[u8] = &[0xb8, 39, 0, 0, 0];
    /// Of two bytes, like the other jump.
    const JE_OVER_2: &[u8] = &[0x74, 2];

    #[test]
    fn a_number_that_is_certain_counts() {
        assert_eq!(calls(&[MOV_EAX_39, SYSCALL, PUSH_60, POP_RAX, SYSCALL]).unwrap(), ["getpid", "exit"]);
        // Both ways bring the same one.
        assert_eq!(calls(&[MOV_EAX_39, JE_OVER_2, &[0x31, 0xff], SYSCALL]).unwrap(), ["getpid"]);
        // A loop that loads it anew: jmp -9.
        assert_eq!(calls(&[MOV_EAX_39, SYSCALL, &[0xeb, 0xf7]]).unwrap(), ["getpid"]);
    }

    #[test]
    fn a_number_that_is_not_certain_is_refused() {
        let not_certain: [&[&[u8]]; 8] = [
            &[SYSCALL],
            // The kernel's answer is in its place.
            &[MOV_EAX_39, SYSCALL, SYSCALL],
            // Not immediately before.
            &[PUSH_60, &[0x5f], POP_RAX, SYSCALL],
            // mov eax, edi
            &[MOV_EAX_39, &[0x89, 0xf8], SYSCALL],
            // mov al, 3: a part of it.
            &[MOV_EAX_39, &[0xb0, 3], SYSCALL],
            // lodsb, which does not name it.
            &[MOV_EAX_39, &[0xac], SYSCALL],
            // call
            &[MOV_EAX_39, &[0xe8, 0, 1, 0, 0], SYSCALL],
            // One way brings another one: inc eax.
            &[MOV_EAX_39, JE_OVER_2, &[0xff, 0xc0], SYSCALL],
        ];
        for code in not_certain {
            assert!(calls(code).unwrap_err().ends_with("is not certain"), "{code:x?}");
        }
        assert_eq!(calls(&[&[0xb8, 0xff, 0xff, 0, 0], SYSCALL]).unwrap_err(), "there is no system call 65535");
    }
}
