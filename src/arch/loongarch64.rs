//! LoongArch, 64 bits
//!
//! - At entry sp points to argc and is a multiple of 16, as it must always be. Procedure Call Standard:
//!   <https://github.com/loongson/la-abi-specs/blob/v2.30/lapcs.adoc>
//! - A system call takes its number in a7 and its arguments in a0 to a5.
//! - The generic table of system calls has neither pause nor poll, but ppoll for both.
//!   <https://github.com/torvalds/linux/blob/v6.12/include/uapi/asm-generic/unistd.h>
//! - A handler returns to a trampoline in the kernel's vDSO; SA_RESTORER doesn't exist.
//!   `handle_signal` in <https://github.com/torvalds/linux/blob/v6.12/arch/loongarch/kernel/signal.c>

use super::Contract;
use core::arch::naked_asm;
use linux_raw_sys::general::kernel_sigaction;
use syscalls::Sysno;

pub struct Port;

impl Contract for Port {
    const PAUSE: Option<Sysno> = None;
    const POLL: Option<Sysno> = None;

    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!("ld.d $a0, $sp, 0", "addi.d $a1, $sp, 8", "b {main}", main = sym crate::main)
    }

    fn set_restorer(_: &mut kernel_sigaction) {}
}
