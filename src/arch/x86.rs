//! x86

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
        naked_asm!("mov eax, esp", "sub esp, 12", "push eax", "call {main}", main = sym crate::main)
    }

    fn set_restorer(action: &mut kernel_sigaction) {
        action.sa_flags |= SA_RESTORER;
        action.sa_restorer = Some(restorer);
    }
}

/// Where a handler returns to.
#[unsafe(naked)]
unsafe extern "C" fn restorer() {
    naked_asm!("pop eax", "2: push {sigreturn}", "pop eax", "int 0x80", "jmp 2b", sigreturn = const Sysno::sigreturn as i32)
}
