//! Gives the program every answer that a kernel can give, at every system call that it makes, alone and in pairs, and
//! sees whether it does what the contract says.
//!
//! The program is stopped before each instruction, and so before each system call. There the call is passed over, and
//! its result put where the kernel would. So this is for amd64.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod answer;
mod explore;
mod judgement;
mod life;

pub use explore::{Tally, explore};
