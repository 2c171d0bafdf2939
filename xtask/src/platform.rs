//! The table of platforms, which building, testing and packing read.

use anyhow::{Context, Result};
use object::Endianness::{self, Big, Little};
use object::elf::*;

#[derive(Debug, PartialEq)]
pub struct Platform {
    /// OCI name: operating system, architecture and, on some, variant.
    pub name: &'static str,
    pub target: &'static str,
    /// `target_arch`.
    pub architecture: &'static str,
    pub class: FileClass,
    pub byte_order: Endianness,
    pub machine: Machine,
    /// The emulator is `qemu-<this>-static`.
    pub qemu_user: &'static str,
    /// The oldest processor that the target covers, as far as the emulator has it. For s390x, qemu checks the vector
    /// facility only. For loong64 it has one processor, without LSX before qemu 8.1.
    pub cpu: &'static str,
    /// Largest size of the binary, in bytes.
    pub budget: u64,
}

pub const QEMU_USER: &str = "qemu-user-static";

const BUDGET: u64 = contract::BINARY_BUDGET;

/// All platforms, in the order of the image's index.
#[rustfmt::skip]
pub static PLATFORMS: &[Platform] = &[
    Platform { name: "linux/amd64",   target: "x86_64-unknown-linux-gnu",      architecture: "x86_64",      class: ELFCLASS64, byte_order: Little, machine: EM_X86_64,    qemu_user: "x86_64",      cpu: "qemu64",      budget: 700 },
    Platform { name: "linux/arm64",   target: "aarch64-unknown-linux-gnu",     architecture: "aarch64",     class: ELFCLASS64, byte_order: Little, machine: EM_AARCH64,   qemu_user: "aarch64",     cpu: "cortex-a53",  budget: BUDGET },
    Platform { name: "linux/386",     target: "i586-unknown-linux-gnu",        architecture: "x86",         class: ELFCLASS32, byte_order: Little, machine: EM_386,       qemu_user: "i386",        cpu: "pentium",     budget: BUDGET },
    Platform { name: "linux/arm/v7",  target: "armv5te-unknown-linux-gnueabi", architecture: "arm",         class: ELFCLASS32, byte_order: Little, machine: EM_ARM,       qemu_user: "arm",         cpu: "cortex-a8",   budget: BUDGET },
    Platform { name: "linux/arm/v6",  target: "armv5te-unknown-linux-gnueabi", architecture: "arm",         class: ELFCLASS32, byte_order: Little, machine: EM_ARM,       qemu_user: "arm",         cpu: "arm1176",     budget: BUDGET },
    Platform { name: "linux/arm/v5",  target: "armv5te-unknown-linux-gnueabi", architecture: "arm",         class: ELFCLASS32, byte_order: Little, machine: EM_ARM,       qemu_user: "arm",         cpu: "arm926",      budget: BUDGET },
    Platform { name: "linux/ppc64le", target: "powerpc64le-unknown-linux-gnu", architecture: "powerpc64",   class: ELFCLASS64, byte_order: Little, machine: EM_PPC64,     qemu_user: "ppc64le",     cpu: "power8",      budget: BUDGET },
    Platform { name: "linux/s390x",   target: "s390x-unknown-linux-gnu",       architecture: "s390x",       class: ELFCLASS64, byte_order: Big,    machine: EM_S390,      qemu_user: "s390x",       cpu: "z900",        budget: BUDGET },
    Platform { name: "linux/riscv64", target: "riscv64gc-unknown-linux-gnu",   architecture: "riscv64",     class: ELFCLASS64, byte_order: Little, machine: EM_RISCV,     qemu_user: "riscv64",     cpu: "sifive-u54",  budget: BUDGET },
    Platform { name: "linux/loong64", target: "loongarch64-unknown-linux-gnu", architecture: "loongarch64", class: ELFCLASS64, byte_order: Little, machine: EM_LOONGARCH, qemu_user: "loongarch64", cpu: "la464",       budget: BUDGET },
];

impl Platform {
    /// Whether it is for this machine's processor. Elsewhere than on Linux, containers run in a virtual machine.
    pub fn is_local(&self) -> bool {
        let byte_order = if cfg!(target_endian = "big") { Big } else { Little };
        self.architecture == std::env::consts::ARCH && self.byte_order == byte_order
    }

    pub fn is_native(&self) -> bool {
        self.is_local() && cfg!(target_os = "linux")
    }

    /// Path of the emulator, as Debian's package [`QEMU_USER`] installs it.
    pub fn emulator(&self) -> String {
        format!("/usr/bin/qemu-{}-static", self.qemu_user)
    }

    /// The name as part of a file name: `linux-amd64`.
    pub fn file_name(&self) -> String {
        self.name.replace('/', "-")
    }
}

/// Finds the platform whose programs this machine runs without an emulator.
pub fn native() -> Result<&'static Platform> {
    let native = PLATFORMS.iter().find(|platform| platform.is_native());
    native.with_context(|| format!("pause has no port for this machine, only for {}", names()))
}

/// All names, as a shell expands them.
fn names() -> String {
    let names: Vec<_> = PLATFORMS.iter().map(|platform| platform.name.trim_start_matches("linux/")).collect();
    format!("linux/{{{}}}", names.join(","))
}

pub fn parse(name: &str) -> Result<&'static Platform> {
    let platform = PLATFORMS.iter().find(|platform| platform.name == name);
    platform.with_context(|| format!("unknown platform; there are {}", names()))
}

#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Platform such as linux/arm64; may be repeated [default: all]
    #[arg(long = "platform", value_name = "OS/ARCH", value_parser = parse)]
    platforms: Vec<&'static Platform>,
}

impl Selection {
    /// Returns the selected platforms, in the order of the table.
    pub fn platforms(&self) -> Vec<&'static Platform> {
        let selected = |platform: &&Platform| self.platforms.is_empty() || self.platforms.contains(platform);
        PLATFORMS.iter().filter(selected).collect()
    }
}
