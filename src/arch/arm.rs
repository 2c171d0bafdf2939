//! 32-bit Arm
//!
//! - At entry sp points to argc and is a multiple of 16; a call requires a multiple of 8. Procedure Call
//!   Standard, "The Stack":
//!   <https://github.com/ARM-software/abi-aa/blob/2024Q3/aapcs32/aapcs32.rst>
//! - A system call takes its number in r7 and its arguments in r0 to r5.
//! - A handler returns to a trampoline in a page that the kernel maps into every process, unless
//!   SA_RESTORER is set. `setup_return` in <https://github.com/torvalds/linux/blob/v6.12/arch/arm/kernel/signal.c>,
//!   and on a 64-bit kernel `compat_setup_return` in
//!   <https://github.com/torvalds/linux/blob/v6.12/arch/arm64/kernel/signal32.c>
//! - One binary for Armv5TE serves v6 and v7 too. It uses the Arm instruction set, not Thumb, because
//!   that is always there: a kernel can be built without Thumb (CONFIG_ARM_THUMB).

use super::Contract;
use core::arch::naked_asm;
use linux_raw_sys::general::kernel_sigaction;
use syscalls::Sysno;

pub struct Port;

impl Contract for Port {
    const PAUSE: Option<Sysno> = Some(Sysno::pause);
    const POLL: Option<Sysno> = Some(Sysno::poll);

    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!("ldr r0, [sp]", "add r1, sp, 4", "b {main}", main = sym crate::main)
    }

    fn set_restorer(_: &mut kernel_sigaction) {}
}
