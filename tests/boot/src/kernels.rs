//! The kernels: one row each, and the machines that they boot on.

use anyhow::{Result, bail};

/// A machine of qemu's.
#[derive(Debug)]
pub struct Machine {
    /// The emulator.
    pub emulator: &'static str,
    /// The Debian package that brings it.
    pub package: &'static str,
    /// The first version of it that boots this machine.
    pub version: u32,
    /// Its arguments: machine, processor, memory.
    pub arguments: &'static str,
    /// The console device that its serial line is to the kernel.
    pub console: &'static str,
    /// What else stands on the kernel's command line.
    pub append: &'static str,
    /// The device tree that comes with the kernel and not from the emulator.
    pub device_tree: Option<&'static str>,
}

/// A kernel of Debian's.
#[derive(Debug)]
pub struct Kernel {
    /// Architecture, version and, where there are several, flavour.
    pub name: &'static str,
    /// The platforms whose programs are tried on it.
    pub platforms: &'static [&'static str],
    /// The suite that has it.
    pub suite: &'static str,
    /// Debian's name for its architecture.
    pub architecture: &'static str,
    /// The package that depends on the newest of its kind.
    pub package: &'static str,
    /// Its page size in KiB.
    pub page_size: u32,
    /// What it boots on.
    pub machine: &'static Machine,
}

/// The same for every machine but those below.
const PLAIN: Machine =
    Machine { emulator: "", package: "", version: 7, arguments: "", console: "ttyS0", append: "", device_tree: None };

static AMD64: Machine = Machine {
    emulator: "qemu-system-x86_64",
    package: "qemu-system-x86",
    arguments: "-M pc -cpu qemu64 -m 256",
    ..PLAIN
};

static I386: Machine = Machine { emulator: "qemu-system-i386", arguments: "-M pc -cpu pentium3 -m 256", ..AMD64 };

static ARM64: Machine = Machine {
    emulator: "qemu-system-aarch64",
    package: "qemu-system-arm",
    arguments: "-M virt -cpu cortex-a57 -m 512",
    console: "ttyAMA0",
    ..PLAIN
};

/// The Cortex-A57 has no pages of 16 KiB. Emulating pointer authentication takes most of the time.
static ARM64_16K: Machine = Machine { arguments: "-M virt -cpu max,pauth=off -m 512", ..ARM64 };

static ARMV7: Machine = Machine { emulator: "qemu-system-arm", arguments: "-M virt -cpu cortex-a15 -m 256", ..ARM64 };

/// The first Raspberry Pi. The emulator lacks the registers that the driver of its power domains waits for.
/// Its timer fires when a counter equals a number, and never if that has passed before the number was set,
/// as it happens on a busy computer. With -icount, the guest's time stands still while it can't run.
static ARMV6: Machine = Machine {
    emulator: "qemu-system-arm",
    arguments: "-M raspi0 -m 512 -icount shift=3,sleep=off",
    append: "initcall_blacklist=bcm2835_power_driver_init",
    device_tree: Some("bcm2835-rpi-zero.dtb"),
    ..ARM64
};

/// The emulator offers mitigations by default that it can't emulate, and then refuses to start.
static PPC64LE: Machine = Machine {
    emulator: "qemu-system-ppc64",
    package: "qemu-system-ppc",
    arguments: "-M pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off -cpu power9 -vga none \
                -nodefaults -m 1024",
    console: "hvc0",
    ..PLAIN
};

static S390X: Machine = Machine {
    emulator: "qemu-system-s390x",
    package: "qemu-system-misc",
    arguments: "-M s390-ccw-virtio -cpu max -m 512",
    console: "ttysclp0",
    ..PLAIN
};

static RISCV64: Machine = Machine {
    emulator: "qemu-system-riscv64",
    package: "qemu-system-misc",
    arguments: "-M virt -cpu rv64 -m 512",
    ..PLAIN
};

/// The kernel hangs when it looks for a keyboard controller, which the machine lacks.
static LOONG64: Machine = Machine {
    emulator: "qemu-system-loongarch64",
    package: "qemu-system-misc",
    version: 10,
    arguments: "-M virt -cpu la464 -m 1024",
    append: "initcall_blacklist=i8042_init",
    ..PLAIN
};

/// Every kernel: per architecture from the oldest to the newest, and every page size.
#[rustfmt::skip]
pub static KERNELS: &[Kernel] = &[
    Kernel { name: "amd64-5.10",       platforms: &["linux/amd64"],                  suite: "bullseye",           architecture: "amd64",   package: "linux-image-amd64",           page_size: 4,  machine: &AMD64 },
    Kernel { name: "amd64-6.1",        platforms: &["linux/amd64"],                  suite: "bookworm",           architecture: "amd64",   package: "linux-image-amd64",           page_size: 4,  machine: &AMD64 },
    Kernel { name: "amd64-6.12",       platforms: &["linux/amd64", "linux/386"],     suite: "trixie",             architecture: "amd64",   package: "linux-image-amd64",           page_size: 4,  machine: &AMD64 },
    Kernel { name: "amd64-7",          platforms: &["linux/amd64"],                  suite: "trixie-backports",   architecture: "amd64",   package: "linux-image-amd64",           page_size: 4,  machine: &AMD64 },
    Kernel { name: "arm64-5.10",       platforms: &["linux/arm64"],                  suite: "bullseye",           architecture: "arm64",   package: "linux-image-arm64",           page_size: 4,  machine: &ARM64 },
    Kernel { name: "arm64-6.1",        platforms: &["linux/arm64"],                  suite: "bookworm",           architecture: "arm64",   package: "linux-image-arm64",           page_size: 4,  machine: &ARM64 },
    Kernel { name: "arm64-6.12",       platforms: &["linux/arm64", "linux/arm/v7"],  suite: "trixie",             architecture: "arm64",   package: "linux-image-arm64",           page_size: 4,  machine: &ARM64 },
    Kernel { name: "arm64-6.12-16k",   platforms: &["linux/arm64"],                  suite: "trixie",             architecture: "arm64",   package: "linux-image-arm64-16k",       page_size: 16, machine: &ARM64_16K },
    Kernel { name: "arm64-7",          platforms: &["linux/arm64"],                  suite: "trixie-backports",   architecture: "arm64",   package: "linux-image-arm64",           page_size: 4,  machine: &ARM64 },
    Kernel { name: "386-5.10",         platforms: &["linux/386"],                    suite: "bullseye",           architecture: "i386",    package: "linux-image-686",             page_size: 4,  machine: &I386 },
    Kernel { name: "386-6.1-pae",      platforms: &["linux/386"],                    suite: "bookworm",           architecture: "i386",    package: "linux-image-686-pae",         page_size: 4,  machine: &I386 },
    Kernel { name: "armhf-6.1",        platforms: &["linux/arm/v7"],                 suite: "bookworm",           architecture: "armhf",   package: "linux-image-armmp",           page_size: 4,  machine: &ARMV7 },
    Kernel { name: "armhf-6.12-lpae",  platforms: &["linux/arm/v7", "linux/arm/v5"], suite: "bookworm-backports", architecture: "armhf",   package: "linux-image-armmp-lpae",      page_size: 4,  machine: &ARMV7 },
    Kernel { name: "armel-6.1",        platforms: &["linux/arm/v6"],                 suite: "bookworm",           architecture: "armel",   package: "linux-image-rpi",             page_size: 4,  machine: &ARMV6 },
    Kernel { name: "armel-6.12",       platforms: &["linux/arm/v6", "linux/arm/v5"], suite: "bookworm-backports", architecture: "armel",   package: "linux-image-rpi",             page_size: 4,  machine: &ARMV6 },
    Kernel { name: "ppc64le-6.1",      platforms: &["linux/ppc64le"],                suite: "bookworm",           architecture: "ppc64el", package: "linux-image-powerpc64le",     page_size: 64, machine: &PPC64LE },
    Kernel { name: "ppc64le-6.12-64k", platforms: &["linux/ppc64le"],                suite: "bookworm-backports", architecture: "ppc64el", package: "linux-image-powerpc64le-64k", page_size: 64, machine: &PPC64LE },
    Kernel { name: "s390x-6.1",        platforms: &["linux/s390x"],                  suite: "bookworm",           architecture: "s390x",   package: "linux-image-s390x",           page_size: 4,  machine: &S390X },
    Kernel { name: "s390x-6.12",       platforms: &["linux/s390x"],                  suite: "bookworm-backports", architecture: "s390x",   package: "linux-image-s390x",           page_size: 4,  machine: &S390X },
    Kernel { name: "riscv64-6.12",     platforms: &["linux/riscv64"],                suite: "trixie",             architecture: "riscv64", package: "linux-image-riscv64",         page_size: 4,  machine: &RISCV64 },
    Kernel { name: "riscv64-7",        platforms: &["linux/riscv64"],                suite: "sid",                architecture: "riscv64", package: "linux-image-riscv64",         page_size: 4,  machine: &RISCV64 },
    Kernel { name: "loong64-7",        platforms: &["linux/loong64"],                suite: "sid",                architecture: "loong64", package: "linux-image-loong64",         page_size: 16, machine: &LOONG64 },
];

/// The kernels of that name, or of that version; the parser of `--kernel`.
///
/// # Errors
/// Where there is none.
pub fn parse(name: &str) -> Result<String> {
    if KERNELS.iter().any(|kernel| kernel.is(name)) {
        return Ok(name.into());
    }
    let names: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
    bail!("there is no such kernel or version; there are {}", names.join(", "))
}

impl Kernel {
    /// Whether this is its name or its version.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.name.split('-').nth(1) == Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::platform::{self, PLATFORMS};

    #[test]
    fn kernels_and_platforms_know_each_other() {
        let named: Vec<_> = KERNELS.iter().flat_map(|kernel| kernel.platforms).collect();
        for name in &named {
            assert!(platform::parse(name).is_ok(), "there is no platform {name}");
        }
        for platform in PLATFORMS {
            assert!(named.contains(&&platform.name), "there is no kernel for {}", platform.name);
        }
    }
}
