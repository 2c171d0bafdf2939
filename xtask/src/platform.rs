//! The platforms: one row each, which building, testing and packing all read.

use anyhow::{Result, bail};

/// A platform that pause is built for.
#[derive(Debug)]
pub struct Platform {
    /// Its OCI name: operating system, architecture and, where there is one, variant.
    pub name: &'static str,
    /// The Rust target.
    pub target: &'static str,
    /// The emulator of one program for it: `qemu-<this>-static`.
    pub qemu_user: &'static str,
    /// The most that its binary may weigh, in bytes.
    pub budget: u64,
}

/// Every platform, in the order of the image's index.
#[rustfmt::skip]
pub static PLATFORMS: &[Platform] = &[
    Platform { name: "linux/amd64", target: "x86_64-unknown-linux-gnu",  qemu_user: "x86_64",  budget: 700 },
    Platform { name: "linux/arm64", target: "aarch64-unknown-linux-gnu", qemu_user: "aarch64", budget: 1024 },
];

impl Platform {
    /// Whether this machine runs the platform's programs without an emulator.
    pub fn is_native(&self) -> bool {
        let mut parts = self.target.split('-');
        parts.next() == Some(std::env::consts::ARCH) && std::env::consts::OS == "linux"
    }

    /// The name as part of a file name: `linux-amd64`.
    pub fn file_name(&self) -> String {
        self.name.replace('/', "-")
    }
}

/// The platform whose programs this machine runs without an emulator.
pub fn native() -> Option<&'static Platform> {
    PLATFORMS.iter().find(|platform| platform.is_native())
}

/// The platform of that OCI name; the parser of every `--platform`.
///
/// # Errors
/// Where there is none.
pub fn parse(name: &str) -> Result<&'static Platform> {
    match PLATFORMS.iter().find(|platform| platform.name == name) {
        Some(platform) => Ok(platform),
        None => {
            let names: Vec<_> = PLATFORMS.iter().map(|platform| platform.name).collect();
            bail!("there is no such platform; there are {}", names.join(", "))
        }
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
        let selected = |platform: &&Platform| {
            self.platforms.is_empty() || self.platforms.iter().any(|chosen| chosen.name == platform.name)
        };
        PLATFORMS.iter().filter(selected).collect()
    }
}
