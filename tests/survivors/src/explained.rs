//! The mutants that nothing can notice, and why. A name holds as long as its function does not change.

/// The names of mutants, and why they are as good as the program.
#[rustfmt::skip]
pub static EXPLAINED: &[(&[&str], &str)] = &[
    (&["_start: jmp main #1: left out"], "main comes next"),
    (
        &["main: push rax #1: left out"],
        "it aligns the stack, as the ABI wants it at calls; no instruction of this program needs that",
    ),
    (
        &["main: lea rax, [rip + handle] #1: one less"],
        "the byte before the handler, the distance of main's last jump, happens to be the instruction stc, and nobody asks for the carry flag",
    ),
    (
        &["main: and qword ptr [rsi + 0x18], 0 #1: one less in number 2"],
        "the byte that is no longer cleared is the most significant of a pointer or of a value in the auxiliary vector: 0",
    ),
    (
        &["main: add rsi, 0x18 #1: one less"],
        "the byte before the mask is the most significant of the restorer's address, 0, and so are those of the mask",
    ),
    (
        &[
            "main: xor edx, edx #1: left out",
            "main: xor edx, edx #2: left out",
            "main: xor edx, edx #3: left out",
            "main: xor edx, edx #4: left out",
        ],
        // `elf_common_init` in <https://github.com/torvalds/linux/blob/v6.12/arch/x86/include/asm/elf.h>
        "Linux clears the register at exec, and no system call changes it; the ABI promises neither",
    ),
    (
        &["handle: xor esi, esi #1: left out"],
        "the kernel writes a status to where the register points: to the signal's information or to the mask, which nobody reads any more",
    ),
];
