//! What depends on the architecture: one file each, and one line each below.

use linux_raw_sys::general::kernel_sigaction;
use syscalls::Sysno;

/// What a port provides: this trait, on a type named `Port`.
pub trait Contract {
    /// The number of the system call pause; `None` where the kernel has only ppoll.
    const PAUSE: Option<Sysno>;

    /// The number of the system call poll; `None` where the kernel has only ppoll.
    const POLL: Option<Sysno>;

    /// Where the kernel enters the program, under this very name: `#[unsafe(no_mangle)]`. It passes what is
    /// on top of the stack, argc, and the address of what is next, argv, to [`crate::main`], which never
    /// returns, with the stack as the ABI wants it at a call.
    ///
    /// # Safety
    /// Only the kernel can call it.
    unsafe extern "C" fn _start() -> !;

    /// Says how a signal handler returns: with SA_RESTORER, to a trampoline that makes the system call
    /// which ends a handler, and makes it again should it fail; or, where the kernel brings such a
    /// trampoline itself, as it is.
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
        compile_error!("pause has no port for this architecture: write src/arch/<arch>.rs as src/arch/mod.rs says");
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
