//! LoongArch's machine code as text: the instructions that the program has, and no others.
//!
//! Nothing else here knows them: capstone does from its version 6 on. The layouts and the numbers are the Reference
//! Manual's, "Table of Instruction Encoding":
//! <https://github.com/loongson/LoongArch-Documentation/blob/2023.04.20/docs/LoongArch-Vol1-EN/table-of-instruction-encoding.adoc>

/// An instruction: its name, the bits that tell it from others, what they are, and its operands in the order in
/// which assembly has them.
struct Row(&'static str, u32, u32, &'static [Operand]);

/// An instruction that was read.
pub struct Instruction {
    pub mnemonic: &'static str,
    pub operands: String,
    /// How far away what it names is, if it names something.
    pub distance: Option<isize>,
    /// Whether it is a jump, a call or a return.
    pub branches: bool,
}

/// Where an operand is, and what it is.
#[derive(Clone, Copy)]
enum Operand {
    /// A register, whose number begins at that bit.
    Register(u32),
    /// An unsigned number of so many bits, from that bit on.
    Unsigned(u32, u32),
    /// A signed number, likewise.
    Signed(u32, u32),
    /// A signed distance in words, likewise.
    Words(u32, u32),
    /// A signed distance of that many bits in words, written in bytes: the lower 16 bits begin at bit 10, the upper
    /// ones at bit 0.
    Distance(u32),
}

use Operand::{Distance, Register, Signed, Unsigned, Words};

const RD: Operand = Register(0);
const RJ: Operand = Register(5);
const RK: Operand = Register(10);
const SI12: Operand = Signed(10, 12);
const UI12: Operand = Unsigned(10, 12);
const SI20: Operand = Signed(5, 20);

/// Every instruction. Of two that fit, the first counts: a simpler name for a special case.
#[rustfmt::skip]
const INSTRUCTIONS: &[Row] = &[
    Row("ret",        0xffff_ffff, 0x4c00_0020, &[]),
    Row("move",       0xffff_fc00, 0x0015_0000, &[RD, RJ]),
    Row("and",        0xffff_8000, 0x0014_8000, &[RD, RJ, RK]),
    Row("syscall",    0xffff_8000, 0x002b_0000, &[Unsigned(0, 15)]),
    Row("slli.d",     0xffff_0000, 0x0041_0000, &[RD, RJ, Unsigned(10, 6)]),
    Row("bstrpick.d", 0xffc0_0000, 0x00c0_0000, &[RD, RJ, Unsigned(16, 6), Unsigned(10, 6)]),
    Row("addi.w",     0xffc0_0000, 0x0280_0000, &[RD, RJ, SI12]),
    Row("addi.d",     0xffc0_0000, 0x02c0_0000, &[RD, RJ, SI12]),
    Row("ori",        0xffc0_0000, 0x0380_0000, &[RD, RJ, UI12]),
    Row("lu12i.w",    0xfe00_0000, 0x1400_0000, &[RD, SI20]),
    Row("pcaddi",     0xfe00_0000, 0x1800_0000, &[RD, Words(5, 20)]),
    Row("pcalau12i",  0xfe00_0000, 0x1a00_0000, &[RD, SI20]),
    Row("ld.d",       0xffc0_0000, 0x28c0_0000, &[RD, RJ, SI12]),
    Row("st.w",       0xffc0_0000, 0x2980_0000, &[RD, RJ, SI12]),
    Row("st.d",       0xffc0_0000, 0x29c0_0000, &[RD, RJ, SI12]),
    Row("ld.bu",      0xffc0_0000, 0x2a00_0000, &[RD, RJ, SI12]),
    Row("ld.hu",      0xffc0_0000, 0x2a40_0000, &[RD, RJ, SI12]),
    Row("ld.wu",      0xffc0_0000, 0x2a80_0000, &[RD, RJ, SI12]),
    Row("ldx.d",      0xffff_8000, 0x380c_0000, &[RD, RJ, RK]),
    Row("beqz",       0xfc00_0000, 0x4000_0000, &[RJ, Distance(21)]),
    Row("bnez",       0xfc00_0000, 0x4400_0000, &[RJ, Distance(21)]),
    Row("b",          0xfc00_0000, 0x5000_0000, &[Distance(26)]),
    Row("bl",         0xfc00_0000, 0x5400_0000, &[Distance(26)]),
    Row("beq",        0xfc00_0000, 0x5800_0000, &[RJ, RD, Distance(16)]),
    Row("bne",        0xfc00_0000, 0x5c00_0000, &[RJ, RD, Distance(16)]),
    Row("blt",        0xfc00_0000, 0x6000_0000, &[RJ, RD, Distance(16)]),
    Row("bltu",       0xfc00_0000, 0x6800_0000, &[RJ, RD, Distance(16)]),
];

/// The registers' names, by their numbers. Procedure Call Standard, "Register Convention":
/// <https://github.com/loongson/la-abi-specs/blob/v2.30/lapcs.adoc>
#[rustfmt::skip]
const REGISTERS: [&str; 32] = [
    "zero", "ra", "tp", "sp", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "t0", "t1", "t2", "t3", "t4", "t5", "t6",
    "t7", "t8", "r21", "fp", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8",
];

impl Operand {
    /// Its value, with its sign; the number of a register.
    fn value(self, word: u32) -> i32 {
        let bits = |start: u32, count: u32| word >> start & ((1 << count) - 1);
        match self {
            Register(start) => bits(start, 5).cast_signed(),
            Unsigned(start, count) => bits(start, count).cast_signed(),
            Signed(start, count) | Words(start, count) => signed(bits(start, count), count),
            Distance(count) => signed(bits(0, count - 16) << 16 | bits(10, 16), count) * 4,
        }
    }

    /// As assembly has it.
    fn text(self, word: u32) -> String {
        match self {
            Register(_) => format!("${}", REGISTERS[self.value(word) as usize]),
            _ => self.value(word).to_string(),
        }
    }

    /// The distance in bytes to what it names.
    fn distance(self, word: u32) -> Option<isize> {
        match self {
            Words(..) => Some(self.value(word) as isize * 4),
            Distance(_) => Some(self.value(word) as isize),
            _ => None,
        }
    }
}

/// A number of so many bits, with its sign.
fn signed(value: u32, count: u32) -> i32 {
    (value << (32 - count)).cast_signed() >> (32 - count)
}

/// Reads an instruction, if it is one of the program's.
pub fn decode(word: u32) -> Option<Instruction> {
    let Row(mnemonic, _, _, operands) = INSTRUCTIONS.iter().find(|Row(_, mask, value, _)| word & mask == *value)?;
    let texts: Vec<_> = operands.iter().map(|operand| operand.text(word)).collect();
    Some(Instruction {
        mnemonic,
        operands: texts.join(", "),
        distance: operands.iter().find_map(|operand| operand.distance(word)),
        branches: *mnemonic == "ret" || operands.iter().any(|operand| matches!(operand, Distance(_))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// Names of LLVM's assembler since it knows LoongArch.
    const LLVM: [&str; 8] = ["-16", "-17", "-18", "-19", "-20", "-21", "-22", ""];

    /// What LLVM's disassembler makes of these words, where there is one here.
    fn llvm(words: &[u32]) -> Option<Vec<String>> {
        let command = |suffix: &str| Command::new(format!("llvm-mc{suffix}"));
        let knows = |suffix: &&str| {
            let version = command(suffix).arg("--version").output();
            version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("loongarch64"))
        };
        let mut assembler = command(LLVM.into_iter().find(knows)?);
        assembler.args(["--disassemble", "--triple=loongarch64"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut assembler = assembler.spawn().unwrap();
        let mut input = String::new();
        for word in words {
            input += &word.to_le_bytes().map(|byte| format!("{byte:#04x} ")).concat();
            input.push('\n');
        }
        let mut stdin = assembler.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = assembler.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| line.starts_with('\t') && !line.starts_with("\t."));
        Some(lines.map(|line| line.trim().replace('\t', " ")).collect())
    }

    fn text(word: u32) -> Option<String> {
        decode(word).map(|Instruction { mnemonic, operands, .. }| format!("{mnemonic} {operands}").trim().to_owned())
    }

    /// Every instruction, with every bit of its operands alone, and with all but that one.
    #[test]
    fn llvm_reads_the_same() {
        let mut words = Vec::new();
        for Row(_, mask, value, _) in INSTRUCTIONS {
            let free = (0..32).map(|bit| 1 << bit).filter(|bit| mask & bit == 0);
            words.extend(free.flat_map(|bit: u32| [value | bit, value | (!mask & !bit)]).chain([*value]));
        }
        match llvm(&words) {
            Some(lines) => {
                assert_eq!(lines.len(), words.len());
                for (word, line) in words.into_iter().zip(lines) {
                    assert_eq!(text(word), Some(line), "{word:#010x}");
                }
            }
            None => xtask::note!("skipped: LLVM's reading of LoongArch, as no llvm-mc here knows it; llvm-16 has one"),
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for word in [0, u32::MAX, 0x0648_3800, 0x4c00_0021] {
            assert_eq!(text(word), None, "{word:#010x}");
        }
    }
}
