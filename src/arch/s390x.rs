//! z/Architecture, 64 bits
//!
//! - At entry r15 points to argc. A function saves its registers in the 160 bytes above the r15 that it is
//!   called with, so `_start` makes room for them. ELF Application Binary Interface, "The Stack Frame":
//!   <https://github.com/IBM/s390x-abi>
//! - A system call takes its number in r1 and its arguments in r2 to r7.
//! - A handler returns to a trampoline in the kernel's vDSO, unless SA_RESTORER is set.
//!   `setup_frame` in <https://github.com/torvalds/linux/blob/v6.12/arch/s390/kernel/signal.c>

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
        naked_asm!("lg %r2, 0(%r15)", "la %r3, 8(%r15)", "aghi %r15, -160", "jg {main}", main = sym crate::main)
    }

    fn set_restorer(_: &mut kernel_sigaction) {}
}
