//! Machine code as text, for each instruction set that capstone knows.

use anyhow::{Context, Result, ensure};
use capstone::arch::{self, BuildsCapstone, BuildsCapstoneEndian, BuildsCapstoneExtraMode, BuildsCapstoneSyntax};
use capstone::{Capstone, CsResult, Endian, InsnGroupType};
use object::Endianness::{self, Big, Little};
use object::elf;
use xtask::command::Misuse;
use xtask::platform::{PLATFORMS, Platform};

/// An instruction set: what an ELF file calls it, and what is known of it. The same machine's code is another
/// language in the other byte order.
pub struct InstructionSet {
    machine: elf::Machine,
    byte_order: Endianness,
    disassembler: fn() -> CsResult<Capstone>,
    /// The instruction that calls the kernel.
    trap: &'static str,
    /// The names of the register that holds a system call's number.
    number: &'static [&'static str],
    system_call: fn(usize) -> Option<&'static str>,
    /// Whether a branch is written with a distance in place of an address.
    relative: bool,
    /// What the compiler puts behind the code of a function and is no code, or nothing.
    trailer: &'static [u8],
}

macro_rules! system_call {
    ($architecture:ident) => {
        |number| Some(syscalls::$architecture::Sysno::new(number)?.name())
    };
}

/// Without LoongArch, which capstone knows from its version 6 on: the crate has version 5.
static INSTRUCTION_SETS: &[InstructionSet] = &[
    InstructionSet {
        machine: elf::EM_X86_64,
        byte_order: Little,
        disassembler: || {
            let x86 = Capstone::new().x86().mode(arch::x86::ArchMode::Mode64);
            x86.syntax(arch::x86::ArchSyntax::Intel).build()
        },
        trap: "syscall",
        number: &["rax", "eax"],
        system_call: system_call!(x86_64),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_386,
        byte_order: Little,
        disassembler: || {
            let x86 = Capstone::new().x86().mode(arch::x86::ArchMode::Mode32);
            x86.syntax(arch::x86::ArchSyntax::Intel).build()
        },
        trap: "int",
        number: &["eax"],
        system_call: system_call!(x86),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_AARCH64,
        byte_order: Little,
        disassembler: || Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build(),
        trap: "svc",
        number: &["x8", "w8"],
        system_call: system_call!(aarch64),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_ARM,
        byte_order: Little,
        disassembler: || Capstone::new().arm().mode(arch::arm::ArchMode::Arm).build(),
        trap: "svc",
        number: &["r7"],
        system_call: system_call!(arm),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_PPC64,
        byte_order: Little,
        disassembler: || Capstone::new().ppc().mode(arch::ppc::ArchMode::Mode64).endian(Endian::Little).build(),
        trap: "sc",
        number: &["r0", "0"],
        system_call: system_call!(powerpc64),
        relative: false,
        // A traceback table, which says nothing.
        trailer: &[0; 12],
    },
    InstructionSet {
        machine: elf::EM_S390,
        byte_order: Big,
        disassembler: || Capstone::new().sysz().mode(arch::sysz::ArchMode::Default).build(),
        trap: "svc",
        number: &["%r1"],
        system_call: system_call!(s390x),
        relative: false,
        trailer: &[],
    },
    InstructionSet {
        machine: elf::EM_RISCV,
        byte_order: Little,
        disassembler: || {
            let compressed = [arch::riscv::ArchExtraMode::RiscVC];
            Capstone::new().riscv().mode(arch::riscv::ArchMode::RiscV64).extra_mode(compressed.into_iter()).build()
        },
        trap: "ecall",
        number: &["a7"],
        system_call: system_call!(riscv64),
        relative: true,
        trailer: &[],
    },
];

/// Instructions that load a small number into a register.
const LOADS: [&str; 8] = ["mov", "movz", "movw", "li", "c.li", "lhi", "lghi", "addi"];

/// Instructions beside branches that form an address.
const ADDRESSES: [&str; 2] = ["adr", "larl"];

/// One instruction.
pub struct Instruction {
    pub size: usize,
    pub text: String,
    /// The address that it names, if it names one.
    pub target: Option<usize>,
    /// The system call that it makes, if it makes one.
    pub system_call: Option<&'static str>,
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
    /// Where the disassembler can't be had, or some of the bytes are no instruction that it knows.
    pub fn disassemble(&self, code: &[u8], address: usize) -> Result<Vec<Instruction>> {
        let mut disassembler = (self.disassembler)()?;
        disassembler.set_detail(true)?;
        let (mut pushed, mut number) = (None, None);
        let mut follows_auipc = false;
        let mut instructions = Vec::new();
        for instruction in disassembler.disasm_all(code, address as u64)?.iter() {
            let mnemonic = instruction.mnemonic().context("an instruction without a name")?;
            let operands = instruction.op_str().unwrap_or_default();
            let branch = [InsnGroupType::CS_GRP_JUMP, InsnGroupType::CS_GRP_CALL];
            let detail = disassembler.insn_detail(instruction)?;
            let branches = detail.groups().iter().any(|group| branch.contains(&u32::from(group.0)));
            let here = instruction.address() as i64;
            let base = match operands.contains("[rip ") {
                true => Some(here + instruction.len() as i64),
                // RISC-V calls with a pair, whose distance counts from its first half: auipc ra, 0; jalr ra, ra, 8.
                false if mnemonic == "jalr" => follows_auipc.then_some(here - 4),
                false if branches && self.relative => Some(here),
                false if branches || ADDRESSES.contains(&mnemonic) => Some(0),
                false => None,
            };
            let target = base.and_then(|base| usize::try_from(base + last_number(operands)?).ok());

            let (first, last) = (operands.split(", ").next(), operands.split(", ").last());
            let loads = |mnemonics: &[&str]| {
                mnemonics.contains(&mnemonic) && first.is_some_and(|first| self.number.contains(&first))
            };
            let mut system_call = None;
            if mnemonic == "push" {
                pushed = last.and_then(integer);
            } else if loads(&["pop"]) {
                number = pushed.take();
            } else if loads(&LOADS) {
                number = last.and_then(integer);
            } else if mnemonic == self.trap {
                system_call = number.take().and_then(|number| (self.system_call)(usize::try_from(number).ok()?));
            }
            follows_auipc = mnemonic == "auipc" && last == Some("0");
            let text = format!("{mnemonic} {operands}").trim_end().to_owned();
            instructions.push(Instruction { size: instruction.len(), text, target, system_call });
        }
        let known: usize = instructions.iter().map(|instruction| instruction.size).sum();
        ensure!(known == code.len(), "the disassembler knows no instruction at {:#x}", address + known);
        Ok(instructions)
    }
}

/// The last number among an instruction's operands, an address or a distance.
fn last_number(operands: &str) -> Option<i64> {
    let operands = operands.trim_end_matches(']').replace("- ", "-").replace("+ ", "");
    integer(operands.split([' ', ',']).next_back()?)
}

/// A number as disassemblers write it: `7`, `-1`, `0x3c`, `#8` or `#0x5d`.
fn integer(text: &str) -> Option<i64> {
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
        assert_eq!(set.disassemble(&[0x0f, 0x05, 0xc3], 0x80).unwrap().len(), 2);
        let refused = set.disassemble(&[0x0f, 0x05, 0x06], 0x80).err().unwrap().to_string();
        assert_eq!(refused, "the disassembler knows no instruction at 0x82");
    }
}
