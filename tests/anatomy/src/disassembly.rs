//! Machine code as text, for each instruction set that capstone knows.

use crate::loongarch;
use crate::system_calls::{self, Convention};
use anyhow::{Context, Result, ensure};
use capstone::arch::{
    self, ArchDetail, BuildsCapstone, BuildsCapstoneEndian, BuildsCapstoneExtraMode, BuildsCapstoneSyntax,
};
use capstone::{Capstone, CsResult, Endian, InsnGroupType};
use object::Endianness::{self, Big, Little};
use object::elf;
use std::ops::Range;
use xtask::command::Misuse;
use xtask::platform::{PLATFORMS, Platform};

use Disassembler::{LoongArch, Of};

/// An instruction set: what an ELF file calls it, and what is known of it. The same machine's code is another
/// language in the other byte order.
pub struct InstructionSet {
    machine: elf::Machine,
    byte_order: Endianness,
    disassembler: Disassembler,
    convention: Convention,
    system_call: fn(usize) -> Option<&'static str>,
    /// Whether a branch is written with a distance in place of an address.
    relative: bool,
    /// What the compiler puts behind the code of a function and is no code, or nothing.
    trailer: &'static [u8],
}

/// Who knows an instruction set.
enum Disassembler {
    /// Capstone, with these settings.
    Of(fn() -> CsResult<Capstone>),
    /// The module for LoongArch.
    LoongArch,
}

macro_rules! system_call {
    ($architecture:ident) => {
        |number| Some(syscalls::$architecture::Sysno::new(number)?.name())
    };
}

static INSTRUCTION_SETS: &[InstructionSet] = &[
    InstructionSet {
        machine: elf::EM_X86_64,
        byte_order: Little,
        disassembler: Of(|| {
            let x86 = Capstone::new().x86().mode(arch::x86::ArchMode::Mode64);
            x86.syntax(arch::x86::ArchSyntax::Intel).build()
        }),
        convention: Convention {
            trap: "syscall",
            number: &["rax", "eax", "ax", "ah", "al"],
            whole: 2,
            survives: false,
            zero: "",
            ends: &["jmp", "ret"],
        },
        system_call: system_call!(x86_64),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_386,
        byte_order: Little,
        disassembler: Of(|| {
            let x86 = Capstone::new().x86().mode(arch::x86::ArchMode::Mode32);
            x86.syntax(arch::x86::ArchSyntax::Intel).build()
        }),
        convention: Convention {
            trap: "int",
            number: &["eax", "ax", "ah", "al"],
            whole: 1,
            survives: false,
            zero: "",
            ends: &["jmp", "ret"],
        },
        system_call: system_call!(x86),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_AARCH64,
        byte_order: Little,
        disassembler: Of(|| Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build()),
        convention: Convention {
            trap: "svc",
            number: &["x8", "w8"],
            whole: 2,
            survives: true,
            zero: "wzr",
            ends: &["b", "ret"],
        },
        system_call: system_call!(aarch64),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_ARM,
        byte_order: Little,
        disassembler: Of(|| Capstone::new().arm().mode(arch::arm::ArchMode::Arm).build()),
        convention: Convention { trap: "svc", number: &["r7"], whole: 1, survives: true, zero: "", ends: &["b", "bx"] },
        system_call: system_call!(arm),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_PPC64,
        byte_order: Little,
        disassembler: Of(|| Capstone::new().ppc().mode(arch::ppc::ArchMode::Mode64).endian(Endian::Little).build()),
        convention: Convention {
            trap: "sc",
            number: &["r0"],
            whole: 1,
            survives: false,
            zero: "",
            ends: &["b", "blr"],
        },
        system_call: system_call!(powerpc64),
        relative: false,
        // A traceback table, which says nothing.
        trailer: &[0; 12],
    },
    InstructionSet {
        machine: elf::EM_S390,
        byte_order: Big,
        disassembler: Of(|| Capstone::new().sysz().mode(arch::sysz::ArchMode::Default).build()),
        convention: Convention {
            trap: "svc",
            number: &["%r1"],
            whole: 1,
            survives: true,
            zero: "",
            ends: &["j", "jg", "br"],
        },
        system_call: system_call!(s390x),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_RISCV,
        byte_order: Little,
        disassembler: Of(|| {
            let compressed = [arch::riscv::ArchExtraMode::RiscVC];
            Capstone::new().riscv().mode(arch::riscv::ArchMode::RiscV64).extra_mode(compressed.into_iter()).build()
        }),
        convention: Convention {
            trap: "ecall",
            number: &["a7"],
            whole: 1,
            survives: true,
            zero: "zero",
            ends: &["j", "c.j", "ret", "c.jr", "jr"],
        },
        system_call: system_call!(riscv64),
        relative: true,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_LOONGARCH,
        byte_order: Little,
        disassembler: LoongArch,
        convention: Convention {
            trap: "syscall",
            number: &["$a7"],
            whole: 1,
            survives: true,
            zero: "$zero",
            ends: &["b", "ret"],
        },
        system_call: system_call!(loongarch64),
        relative: true,
        trailer: &[],
    },
];

/// The groups of instructions that go elsewhere.
const BRANCHES: [u32; 3] = [InsnGroupType::CS_GRP_JUMP, InsnGroupType::CS_GRP_CALL, InsnGroupType::CS_GRP_RET];

/// Calls that are in none of these groups.
const CALLS: [&str; 2] = ["brasl", "basr"];

/// Instructions beside branches that form an address.
const ADDRESSES: [&str; 2] = ["adr", "larl"];

/// One instruction.
pub struct Instruction {
    pub size: usize,
    pub text: String,
    /// Where in the text its last number is, if it has one.
    pub number: Option<Range<usize>>,
    /// The address that it names, if it names one; the number is the address or leads to it.
    pub target: Option<usize>,
    /// The system call that it makes, if it makes one.
    pub system_call: Option<&'static str>,
    /// Where in the bytes of an x86 instruction its numbers are, distances of branches aside.
    pub numbers: Vec<Range<usize>>,
}

/// One instruction, as a disassembler has it.
pub struct Decoded {
    pub address: usize,
    pub size: usize,
    pub mnemonic: String,
    pub operands: String,
    /// Whether it is a jump, a call or a return.
    pub branches: bool,
    /// The address that it names, if it names one.
    pub target: Option<usize>,
    /// The names of the registers that it changes and that are no operands.
    pub side_effects: Vec<String>,
    /// Where in the bytes of an x86 instruction its numbers are, distances of branches aside.
    pub numbers: Vec<Range<usize>>,
}

impl InstructionSet {
    /// The instruction set of a platform.
    ///
    /// # Errors
    /// Where nothing here disassembles it.
    pub fn of(platform: &Platform) -> Result<&'static Self, Misuse> {
        Self::find(platform).ok_or_else(|| {
            let known = PLATFORMS.iter().filter(|platform| Self::find(platform).is_some());
            let known = known.map(|platform| platform.name).collect::<Vec<_>>().join(", ");
            Misuse(format!("nothing here disassembles the programs of {}; there are {known}", platform.name))
        })
    }

    fn find(platform: &Platform) -> Option<&'static Self> {
        let is_its = |set: &&Self| set.machine == platform.machine && set.byte_order == platform.byte_order;
        INSTRUCTION_SETS.iter().find(is_its)
    }

    /// How many of a function's bytes are code, where the assembler has not marked that.
    pub fn code_size(&self, function: &[u8]) -> usize {
        function.strip_suffix(self.trailer).unwrap_or(function).len()
    }

    /// Disassembles one function.
    ///
    /// # Errors
    /// Where some of the bytes are no instruction that is known here, or the number of a system call is not certain.
    pub fn disassemble(&self, code: &[u8], address: usize) -> Result<Vec<Instruction>> {
        let decoded = match self.disassembler {
            Of(settings) => self.decode_with_capstone(&mut settings()?, code, address)?,
            LoongArch => self.decode_loongarch(code, address),
        };
        let known: usize = decoded.iter().map(|instruction| instruction.size).sum();
        ensure!(known == code.len(), "the disassembler knows no instruction at {:#x}", address + known);
        let numbers = system_calls::numbers(&decoded, &self.convention)?;
        let instruction = |(decoded, number): (Decoded, Option<i64>)| {
            let name = |number| (self.system_call)(usize::try_from(number).ok()?);
            let system_call =
                number.map(|number| name(number).with_context(|| format!("there is no system call {number}")));
            let text = format!("{} {}", decoded.mnemonic, decoded.operands).trim_end().to_owned();
            let number = last_number(&text).map(|(range, _)| range);
            Ok(Instruction {
                size: decoded.size,
                text,
                number,
                target: decoded.target,
                system_call: system_call.transpose()?,
                numbers: decoded.numbers,
            })
        };
        decoded.into_iter().zip(numbers).map(instruction).collect()
    }

    /// As much of the code as capstone knows.
    fn decode_with_capstone(&self, capstone: &mut Capstone, code: &[u8], address: usize) -> Result<Vec<Decoded>> {
        capstone.set_detail(true)?;
        let mut all: Vec<Decoded> = Vec::new();
        for instruction in capstone.disasm_all(code, address as u64)?.iter() {
            let mnemonic = instruction.mnemonic().context("an instruction without a name")?.to_owned();
            let operands = instruction.op_str().unwrap_or_default().to_owned();
            let detail = capstone.insn_detail(instruction)?;
            let is_branch = |group: &capstone::InsnGroupId| BRANCHES.contains(&u32::from(group.0));
            let branches = CALLS.contains(&mnemonic.as_str()) || detail.groups().iter().any(is_branch);
            let here = instruction.address() as i64;
            let base = match operands.contains("[rip ") {
                true => Some(here + instruction.len() as i64),
                // RISC-V calls with a pair, whose distance counts from its first half: auipc ra, 0; jalr ra, ra, 8.
                false if mnemonic == "jalr" => {
                    let is_first = |first: &&Decoded| first.mnemonic == "auipc" && first.operands.ends_with(", 0");
                    all.last().filter(is_first).map(|first| first.address as i64)
                }
                false => self.base(&mnemonic, branches, here),
            };
            let side_effects = detail.regs_write().iter().filter_map(|&register| capstone.reg_name(register)).collect();
            let numbers = match detail.arch_detail() {
                ArchDetail::X86Detail(detail) if !branches => {
                    let places = [detail.encoding().imm, detail.encoding().disp].into_iter().flatten();
                    places.map(|place| place.offset.into()..(place.offset + place.size).into()).collect()
                }
                _ => Vec::new(),
            };
            all.push(Decoded {
                address: here as usize,
                size: instruction.len(),
                target: base.and_then(|base| usize::try_from(base + last_number(&operands)?.1).ok()),
                mnemonic,
                operands,
                branches,
                side_effects,
                numbers,
            });
        }
        Ok(all)
    }

    /// As much of the code as is known here.
    fn decode_loongarch(&self, code: &[u8], address: usize) -> Vec<Decoded> {
        let words = code.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")));
        let mut is_page = false;
        let decode = |(word, address): (u32, usize)| {
            let loongarch::Instruction { mnemonic, operands, distance, branches } = loongarch::decode(word)?;
            let target = match distance {
                Some(distance) => address.checked_add_signed(distance),
                // The second half of an address: pcalau12i $a0, 0; addi.d $a0, $a0, 742.
                None if mnemonic == "addi.d" && is_page => {
                    last_number(&operands).map(|(_, offset)| (address & !0xfff) + offset as usize)
                }
                None => None,
            };
            is_page = mnemonic == "pcalau12i" && operands.ends_with(", 0");
            Some(Decoded {
                address,
                size: 4,
                mnemonic: mnemonic.into(),
                operands,
                branches,
                target,
                side_effects: Vec::new(),
                numbers: Vec::new(),
            })
        };
        words.zip((address..).step_by(4)).map_while(decode).collect()
    }

    /// Where the distance counts from that the last operand of an instruction is, if it is one.
    fn base(&self, mnemonic: &str, branches: bool, here: i64) -> Option<i64> {
        match self.relative {
            true => branches.then_some(here),
            false => (branches || ADDRESSES.contains(&mnemonic)).then_some(0),
        }
    }
}

/// The last number of an instruction, an address or a distance, with the sign that stands before it; and where it is.
fn last_number(text: &str) -> Option<(Range<usize>, i64)> {
    let end = text.trim_end_matches(']').len();
    let start = text[..end].rfind([' ', ',']).map_or(0, |place| place + 1);
    let value = integer(&text[start..end])?;
    let is_negative = text[..start].ends_with("- ");
    Some((start..end, if is_negative { -value } else { value }))
}

/// A number as disassemblers write it: `7`, `-1`, `0x3c`, `#8` or `#0x5d`.
pub fn integer(text: &str) -> Option<i64> {
    let text = text.trim_start_matches('#');
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let value = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    Some(sign * value.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_is_of_a_platform() {
        let is_its = |set, platform| InstructionSet::find(platform).is_some_and(|found| std::ptr::eq(found, set));
        assert!(INSTRUCTION_SETS.iter().all(|set| PLATFORMS.iter().any(|platform| is_its(set, platform))));
    }

    #[test]
    fn the_other_byte_order_is_refused() {
        for platform in PLATFORMS {
            let byte_order = if platform.byte_order == Little { Big } else { Little };
            let refused = InstructionSet::of(&Platform { byte_order, ..*platform }).err().unwrap().to_string();
            assert!(refused.contains(platform.name), "{refused}");
        }
    }

    #[test]
    fn what_is_no_instruction_is_refused() {
        let set = InstructionSet::of(xtask::platform::parse("linux/amd64").unwrap()).unwrap();
        assert_eq!(set.disassemble(&[0xc3, 0xc3], 0x80).unwrap().len(), 2);
        let refused = set.disassemble(&[0xc3, 0x06], 0x80).err().unwrap().to_string();
        assert_eq!(refused, "the disassembler knows no instruction at 0x81");
    }
}
