//! AArch64
//!
//! - At entry sp points to argc and is a multiple of 16, as it must always be. Procedure Call Standard, 6.4:
//!   <https://github.com/ARM-software/abi-aa/blob/2024Q3/aapcs64/aapcs64.rst>
//! - A system call takes its number in x8 and its arguments in x0 to x5.
//! - The generic table of system calls has neither pause nor poll, but ppoll for both.
//!   <https://github.com/torvalds/linux/blob/v6.12/include/uapi/asm-generic/unistd.h>
//! - A handler returns to a trampoline in the kernel's vDSO, unless SA_RESTORER is set.
//!   `setup_return` in <https://github.com/torvalds/linux/blob/v6.12/arch/arm64/kernel/signal.c>

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
        naked_asm!("ldr x0, [sp]", "add x1, sp, 8", "b {main}", main = sym crate::main)
    }

    fn set_restorer(_: &mut kernel_sigaction) {}
}
