//! x86-64
//!
//! - At entry rsp points to argc and is a multiple of 16; at a function's first instruction it is 8 off.
//!   Popping argc does that; a return address isn't needed. System V ABI, 3.2.2 and 3.4.1:
//!   <https://gitlab.com/x86-psABIs/x86-64-ABI>
//! - A system call takes its number in rax and its arguments in rdi, rsi, rdx, r10, r8 and r9.
//! - SA_RESTORER is mandatory: without it the kernel kills the program instead of calling the handler.
//!   `x64_setup_rt_frame` in <https://github.com/torvalds/linux/blob/v6.12/arch/x86/kernel/signal_64.c>

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
        naked_asm!("pop rdi", "mov rsi, rsp", "jmp {main}", main = sym crate::main)
    }

    fn set_restorer(action: &mut kernel_sigaction) {
        action.sa_flags |= u64::from(SA_RESTORER);
        action.sa_restorer = Some(restorer);
    }
}

/// Handlers return to this.
#[unsafe(naked)]
unsafe extern "C" fn restorer() {
    naked_asm!("2: push {rt_sigreturn}", "pop rax", "syscall", "jmp 2b", rt_sigreturn = const Sysno::rt_sigreturn as i32)
}
