//! The platforms: one row each, which building, testing, packing and proving all read.

use anyhow::{Result, bail};
use object::Endianness::{self, Big, Little};
use object::elf::*;

/// A platform that pause is built for.
#[derive(Debug, PartialEq)]
pub struct Platform {
    /// Its OCI name: operating system, architecture and, where there is one, variant.
    pub name: &'static str,
    /// The Rust target.
    pub target: &'static str,
    /// Its processors' architecture as Rust calls it: `target_arch`.
    pub architecture: &'static str,
    /// The class of its ELF files: the size of an address.
    pub class: FileClass,
    /// Its byte order.
    pub byte_order: Endianness,
    /// What its ELF files call its architecture.
    pub machine: Machine,
    /// The emulator of one program for it: `qemu-<this>-static`.
    pub qemu_user: &'static str,
    /// The most that its binary may weigh, in bytes.
    pub budget: u64,
}

/// The Debian package that brings the emulators.
pub const QEMU_USER: &str = "qemu-user-static";

const BUDGET: u64 = contract::BINARY_BUDGET;

/// Every platform, in the order of the image's index.
#[rustfmt::skip]
pub static PLATFORMS: &[Platform] = &[
    Platform { name: "linux/amd64",   target: "x86_64-unknown-linux-gnu",      architecture: "x86_64",      class: ELFCLASS64, byte_order: Little, machine: EM_X86_64,    qemu_user: "x86_64",      budget: 700 },
    Platform { name: "linux/arm64",   target: "aarch64-unknown-linux-gnu",     architecture: "aarch64",     class: ELFCLASS64, byte_order: Little, machine: EM_AARCH64,   qemu_user: "aarch64",     budget: BUDGET },
    Platform { name: "linux/386",     target: "i586-unknown-linux-gnu",        architecture: "x86",         class: ELFCLASS32, byte_order: Little, machine: EM_386,       qemu_user: "i386",        budget: BUDGET },
    Platform { name: "linux/arm/v7",  target: "armv5te-unknown-linux-gnueabi", architecture: "arm",         class: ELFCLASS32, byte_order: Little, machine: EM_ARM,       qemu_user: "arm",         budget: BUDGET },
    Platform { name: "linux/arm/v6",  target: "armv5te-unknown-linux-gnueabi", architecture: "arm",         class: ELFCLASS32, byte_order: Little, machine: EM_ARM,       qemu_user: "arm",         budget: BUDGET },
    Platform { name: "linux/arm/v5",  target: "armv5te-unknown-linux-gnueabi", architecture: "arm",         class: ELFCLASS32, byte_order: Little, machine: EM_ARM,       qemu_user: "arm",         budget: BUDGET },
    Platform { name: "linux/ppc64le", target: "powerpc64le-unknown-linux-gnu", architecture: "powerpc64",   class: ELFCLASS64, byte_order: Little, machine: EM_PPC64,     qemu_user: "ppc64le",     budget: BUDGET },
    Platform { name: "linux/s390x",   target: "s390x-unknown-linux-gnu",       architecture: "s390x",       class: ELFCLASS64, byte_order: Big,    machine: EM_S390,      qemu_user: "s390x",       budget: BUDGET },
    Platform { name: "linux/riscv64", target: "riscv64gc-unknown-linux-gnu",   architecture: "riscv64",     class: ELFCLASS64, byte_order: Little, machine: EM_RISCV,     qemu_user: "riscv64",     budget: BUDGET },
    Platform { name: "linux/loong64", target: "loongarch64-unknown-linux-gnu", architecture: "loongarch64", class: ELFCLASS64, byte_order: Little, machine: EM_LOONGARCH, qemu_user: "loongarch64", budget: BUDGET },
];

impl Platform {
    /// Whether it is for processors of that architecture, as Rust calls it, and byte order.
    fn suits(&self, architecture: &str, byte_order: Endianness) -> bool {
        self.architecture == architecture && self.byte_order == byte_order
    }

    /// Whether it is for this machine's processor. Containers run on it, in a virtual machine where need be.
    pub fn is_local(&self) -> bool {
        self.suits(std::env::consts::ARCH, if cfg!(target_endian = "big") { Big } else { Little })
    }

    /// Whether this machine runs the platform's programs without an emulator.
    pub fn is_native(&self) -> bool {
        self.is_local() && cfg!(target_os = "linux")
    }

    /// The emulator that runs its programs on another machine, where Debian's package [`QEMU_USER`] puts it.
    pub fn emulator(&self) -> String {
        format!("/usr/bin/qemu-{}-static", self.qemu_user)
    }

    /// The name as part of a file name: `linux-amd64`.
    pub fn file_name(&self) -> String {
        self.name.replace('/', "-")
    }
}

/// The platform whose programs this machine runs without an emulator.
///
/// # Errors
/// Where there is none.
pub fn native() -> Result<&'static Platform> {
    match PLATFORMS.iter().find(|platform| platform.is_native()) {
        Some(platform) => Ok(platform),
        None => bail!("pause has no port for this machine; there are {}", names()),
    }
}

/// The names of all platforms, as a shell expands it.
fn names() -> String {
    let names: Vec<_> = PLATFORMS.iter().map(|platform| platform.name.trim_start_matches("linux/")).collect();
    format!("linux/{{{}}}", names.join(","))
}

/// The platform of that OCI name; the parser of every `--platform`.
///
/// # Errors
/// Where there is none.
pub fn parse(name: &str) -> Result<&'static Platform> {
    match PLATFORMS.iter().find(|platform| platform.name == name) {
        Some(platform) => Ok(platform),
        None => bail!("unknown platform; there are {}", names()),
    }
}

/// Which platforms a command is about.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Only this platform (linux/arm64, say); may be given several times [default: all]
    #[arg(long = "platform", value_name = "OS/ARCH", value_parser = parse)]
    platforms: Vec<&'static Platform>,
}

impl Selection {
    /// The selected platforms, in the order of the table.
    pub fn platforms(&self) -> Vec<&'static Platform> {
        let selected = |platform: &&Platform| self.platforms.is_empty() || self.platforms.contains(platform);
        PLATFORMS.iter().filter(selected).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a machine calls itself is not what its target begins with: `std::env::consts::ARCH` and the byte order
    /// of hosts for which there is a port.
    #[test]
    fn every_host_finds_its_platform() {
        let hosts = [
            ("x86_64", Little, "linux/amd64"),
            ("aarch64", Little, "linux/arm64"),
            ("x86", Little, "linux/386"),
            ("arm", Little, "linux/arm/v7"),
            ("powerpc64", Little, "linux/ppc64le"),
            ("s390x", Big, "linux/s390x"),
            ("riscv64", Little, "linux/riscv64"),
            ("loongarch64", Little, "linux/loong64"),
        ];
        for (architecture, byte_order, name) in hosts {
            let found = PLATFORMS.iter().find(|platform| platform.suits(architecture, byte_order));
            assert_eq!(found.map(|platform| platform.name), Some(name));
        }
        assert!(!PLATFORMS.iter().any(|platform| platform.suits("powerpc64", Big)));
    }
}
