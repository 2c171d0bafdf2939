//! 32-bit x86
//!
//! - At entry esp points to argc and is a multiple of 16, which it must be again at a call, below the
//!   arguments. System V ABI, 2.2.2 and 2.3.1: <https://gitlab.com/x86-psABIs/i386-ABI>
//! - A system call takes its number in eax and its arguments in ebx, ecx, edx, esi and edi.
//! - Without SA_RESTORER a handler returns to the vDSO or, if that is off (`vdso32=0`), to code on the stack,
//!   which can't be executed. Without SA_SIGINFO it is sigreturn that ends it, with its argument popped.
//!   `ia32_setup_frame` in <https://github.com/torvalds/linux/blob/v6.12/arch/x86/kernel/signal_32.c>
//! - Code reads its own address off the stack, after a call. That costs some bytes; a fixed address would
//!   have an `mmap_min_addr` to fear.
//! - The target is i586: code for i686 may use SSE2.

use super::Contract;
use core::arch::naked_asm;
use linux_raw_sys::general::{SA_RESTORER, kernel_sigaction};
use syscalls::Sysno;

pub struct Port;

impl Contract for Port {
    const PAUSE: Option<Sysno> = Some(Sysno::pause);
    const POLL: Option<Sysno> = Some(Sysno::poll);

    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!("pop eax", "mov ecx, esp", "sub esp, 12", "push ecx", "push eax", "call {main}", main = sym crate::main)
    }

    fn set_restorer(action: &mut kernel_sigaction) {
        action.sa_flags |= SA_RESTORER;
        action.sa_restorer = Some(restorer);
    }
}

/// Handlers return to this.
#[unsafe(naked)]
unsafe extern "C" fn restorer() {
    naked_asm!("pop eax", "2: push {sigreturn}", "pop eax", "int 0x80", "jmp 2b", sigreturn = const Sysno::sigreturn as i32)
}
