//! What depends on the architecture: one file each, and one line each below.
//!
//! A port provides
//! - `_start`, where the kernel enters the program. It passes the stack pointer, as it found it, to
//!   [`crate::main`], which never returns, with the stack aligned as the ABI wants it at a call.
//! - `fn set_restorer(&mut kernel_sigaction)`, which says how a signal handler returns: SA_RESTORER and a
//!   trampoline that makes the system call rt_sigreturn, or nothing where the kernel brings its own. A
//!   trampoline whose call fails makes it again.
//! - `const PAUSE` and `const POLL`, the numbers of these two old system calls; `None` where the kernel
//!   has only ppoll.

macro_rules! ports {
    ($($architecture:literal: $module:ident,)*) => {
        $(
            #[cfg(target_arch = $architecture)]
            mod $module;
            #[cfg(target_arch = $architecture)]
            pub use $module::{PAUSE, POLL, set_restorer};
        )*
        #[cfg(not(any($(target_arch = $architecture),*)))]
        compile_error!("pause has no port for this architecture: write src/arch/<arch>.rs as src/arch/mod.rs says");
    };
}

ports! {
    "aarch64": aarch64,
    "x86_64": x86_64,
}
