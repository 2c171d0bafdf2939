//! The parts that depend on the architecture: a file for each, and a line for each below.

use linux_raw_sys::general::kernel_sigaction;
use syscalls::Sysno;

/// A port implements this trait for a type named `Port`.
pub trait Contract {
    /// The number of the system call pause; `None` if the kernel has only ppoll.
    const PAUSE: Option<Sysno>;

    /// The number of the system call poll; `None` if the kernel has only ppoll.
    const POLL: Option<Sysno>;

    /// The program's entry point, under this name: `#[unsafe(no_mangle)]`. It passes the value on top of the
    /// stack, argc, and the address of the next one, argv, to [`crate::main`], which never returns, with the
    /// stack aligned as the ABI requires at a call.
    ///
    /// # Safety
    /// Only the kernel can call it.
    unsafe extern "C" fn _start() -> !;

    /// Sets where a signal handler returns to: with SA_RESTORER, to a trampoline that makes the system call
    /// which ends a handler, again if it fails; or, if the kernel has such a trampoline itself, leaves the
    /// action as it is.
    fn set_restorer(action: &mut kernel_sigaction);
}

macro_rules! ports {
    ($($architecture:literal: $module:ident,)*) => {
        $(
            #[cfg(target_arch = $architecture)]
            mod $module;
            #[cfg(target_arch = $architecture)]
            pub use $module::Port;
        )*
        #[cfg(not(any($(target_arch = $architecture),*)))]
        compile_error!("pause has no port for this architecture: write src/arch/<arch>.rs as src/arch/mod.rs describes");
    };
}

ports! {
    "aarch64": aarch64,
    "arm": arm,
    "loongarch64": loongarch64,
    "powerpc64": powerpc64,
    "riscv64": riscv64,
    "s390x": s390x,
    "x86": x86,
    "x86_64": x86_64,
}
