//! 64-bit PowerPC, ELFv2
//!
//! - At entry r1 points to argc and is a multiple of 16. A function saves its return address in its
//!   caller's frame, so `_start` makes one, of the least size. ELF V2 ABI, "The Stack Frame":
//!   <https://openpowerfoundation.org/specifications/64bitelfabi/>
//! - Addresses are relative to the TOC pointer, r2, which a function computes from its own address in r12.
//!   The kernel puts it there for `_start` and for a handler alike. `start_thread` in
//!   <https://github.com/torvalds/linux/blob/v6.12/arch/powerpc/kernel/process.c>, and
//!   `handle_rt_signal64` in <https://github.com/torvalds/linux/blob/v6.12/arch/powerpc/kernel/signal_64.c>
//! - A system call takes its number in r0 and its arguments in r3 to r8. It clears ctr, which
//!   .cargo/config.toml deals with.
//! - A handler returns to a trampoline in the kernel's vDSO; SA_RESTORER is not needed.

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
        naked_asm!(
            "addis 2, 12, .TOC.-_start@ha",
            "addi 2, 2, .TOC.-_start@l",
            "ld 3, 0(1)",
            "addi 4, 1, 8",
            "stdu 1, -32(1)",
            "b {main}",
            main = sym crate::main,
        )
    }

    fn set_restorer(_: &mut kernel_sigaction) {}
}
