//! Machine code as text, for each architecture that capstone knows.

use anyhow::{Context, Result, ensure};
use capstone::arch::{self, BuildsCapstone, BuildsCapstoneEndian, BuildsCapstoneExtraMode, BuildsCapstoneSyntax};
use capstone::{Capstone, CsResult, Endian, InsnGroupType};
use object::elf;

/// What is known of an architecture.
pub struct InstructionSet {
    machine: elf::Machine,
    disassembler: fn() -> CsResult<Capstone>,
    /// The instruction that calls the kernel.
    trap: &'static str,
    /// The names of the register that holds a system call's number.
    number: &'static [&'static str],
    system_call: fn(usize) -> Option<&'static str>,
    /// Whether a branch is written with a distance in place of an address.
    relative: bool,
}

macro_rules! system_call {
    ($architecture:ident) => {
        |number| Some(syscalls::$architecture::Sysno::new(number)?.name())
    };
}

static INSTRUCTION_SETS: &[InstructionSet] = &[
    InstructionSet {
        machine: elf::EM_X86_64,
        disassembler: || {
            let x86 = Capstone::new().x86().mode(arch::x86::ArchMode::Mode64);
            x86.syntax(arch::x86::ArchSyntax::Intel).build()
        },
        trap: "syscall",
        number: &["rax", "eax"],
        system_call: system_call!(x86_64),
        relative: false,
    },
    InstructionSet {
        machine: elf::EM_386,
        disassembler: || {
            let x86 = Capstone::new().x86().mode(arch::x86::ArchMode::Mode32);
            x86.syntax(arch::x86::ArchSyntax::Intel).build()
        },
        trap: "int",
        number: &["eax"],
        system_call: system_call!(x86),
        relative: false,
    },
    InstructionSet {
        machine: elf::EM_AARCH64,
        disassembler: || Capstone::new().arm64().mode(arch::arm64::ArchMode::Arm).build(),
        trap: "svc",
        number: &["x8", "w8"],
        system_call: system_call!(aarch64),
        relative: false,
    },
    InstructionSet {
        machine: elf::EM_ARM,
        disassembler: || Capstone::new().arm().mode(arch::arm::ArchMode::Arm).build(),
        trap: "svc",
        number: &["r7"],
        system_call: system_call!(arm),
        relative: false,
    },
    InstructionSet {
        machine: elf::EM_PPC64,
        disassembler: || Capstone::new().ppc().mode(arch::ppc::ArchMode::Mode64).endian(Endian::Little).build(),
        trap: "sc",
        number: &["r0", "0"],
        system_call: system_call!(powerpc64),
        relative: false,
    },
    InstructionSet {
        machine: elf::EM_S390,
        disassembler: || Capstone::new().sysz().mode(arch::sysz::ArchMode::Default).build(),
        trap: "svc",
        number: &["%r1"],
        system_call: system_call!(s390x),
        relative: false,
    },
    InstructionSet {
        machine: elf::EM_RISCV,
        disassembler: || {
            let compressed = [arch::riscv::ArchExtraMode::RiscVC];
            Capstone::new().riscv().mode(arch::riscv::ArchMode::RiscV64).extra_mode(compressed.into_iter()).build()
        },
        trap: "ecall",
        number: &["a7"],
        system_call: system_call!(riscv64),
        relative: true,
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

/// The instruction set of a machine, if it is known.
pub fn instruction_set(machine: elf::Machine) -> Option<&'static InstructionSet> {
    INSTRUCTION_SETS.iter().find(|set| set.machine == machine)
}

impl InstructionSet {
    /// Disassembles one function.
    ///
    /// # Errors
    /// Where the disassembler can't be had or skips a byte.
    pub fn disassemble(&self, code: &[u8], address: usize) -> Result<Vec<Instruction>> {
        let mut disassembler = (self.disassembler)()?;
        disassembler.set_detail(true)?;
        // What is not an instruction is shown as `.byte`.
        disassembler.set_skipdata(true)?;
        let (mut pushed, mut number) = (None, None);
        let mut follows_auipc = false;
        let mut instructions = Vec::new();
        for instruction in disassembler.disasm_all(code, address as u64)?.iter() {
            let mnemonic = instruction.mnemonic().context("an instruction without a name")?;
            let operands = instruction.op_str().unwrap_or_default();
            // What is not an instruction has no details.
            let groups =
                disassembler.insn_detail(instruction).map(|detail| detail.groups().to_vec()).unwrap_or_default();
            let branches = groups
                .iter()
                .any(|group| [InsnGroupType::CS_GRP_JUMP, InsnGroupType::CS_GRP_CALL].contains(&u32::from(group.0)));
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
        ensure!(known == code.len(), "the disassembler stops at {:#x}", address + known);
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
