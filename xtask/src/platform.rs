//! The platforms: one row each, which building, testing and packing all read.

use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use xshell::{Shell, cmd};

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
    Platform { name: "linux/amd64",   target: "x86_64-unknown-linux-gnu",      qemu_user: "x86_64",      budget:  700 },
    Platform { name: "linux/arm64",   target: "aarch64-unknown-linux-gnu",     qemu_user: "aarch64",     budget: 1024 },
    Platform { name: "linux/386",     target: "i586-unknown-linux-gnu",        qemu_user: "i386",        budget: 1024 },
    Platform { name: "linux/arm/v7",  target: "armv5te-unknown-linux-gnueabi", qemu_user: "arm",         budget: 1024 },
    Platform { name: "linux/arm/v6",  target: "armv5te-unknown-linux-gnueabi", qemu_user: "arm",         budget: 1024 },
    Platform { name: "linux/arm/v5",  target: "armv5te-unknown-linux-gnueabi", qemu_user: "arm",         budget: 1024 },
    Platform { name: "linux/ppc64le", target: "powerpc64le-unknown-linux-gnu", qemu_user: "ppc64le",     budget: 1024 },
    Platform { name: "linux/s390x",   target: "s390x-unknown-linux-gnu",       qemu_user: "s390x",       budget: 1024 },
    Platform { name: "linux/riscv64", target: "riscv64gc-unknown-linux-gnu",   qemu_user: "riscv64",     budget: 1024 },
    Platform { name: "linux/loong64", target: "loongarch64-unknown-linux-gnu", qemu_user: "loongarch64", budget: 1024 },
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

/// Checks that every port has its file, its line in `src/arch/mod.rs` and its row here, and that none of
/// these is left over.
///
/// # Errors
/// Where one is missing: which, and where.
pub fn check_ports(shell: &Shell) -> Result<()> {
    let list = shell.read_file("src/arch/mod.rs")?;
    let (_, list) = list.split_once("\nports! {\n").context("src/arch/mod.rs lists the ports in `ports! { … }`")?;
    // "x86_64": x86_64,
    let lines = list.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
    let ports: BTreeMap<_, _> = lines.map(|(architecture, module)| (architecture.trim_matches('"'), module)).collect();

    let mut files = BTreeSet::new();
    for path in shell.read_dir("src/arch")? {
        files.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    files.remove("mod");
    for file in &files {
        ensure!(ports.values().any(|module| module == file), "src/arch/{file}.rs has no line in src/arch/mod.rs");
    }
    for module in ports.values() {
        ensure!(files.contains(*module), "src/arch/mod.rs lists {module}, but there is no src/arch/{module}.rs");
    }

    let mut architectures = BTreeSet::new();
    for Platform { name, target, .. } in PLATFORMS {
        let facts = cmd!(shell, "rustc --print cfg --target {target}").quiet().read()?;
        let architecture = facts.lines().find_map(|fact| fact.strip_prefix("target_arch=")?.split('"').nth(1));
        let architecture = architecture.with_context(|| format!("rustc tells no target_arch of {target}"))?;
        ensure!(ports.contains_key(architecture), "{name} needs a port to {architecture}: add it to src/arch/mod.rs");
        architectures.insert(architecture.to_owned());
    }
    for architecture in ports.keys() {
        ensure!(
            architectures.contains(*architecture),
            "src/arch/mod.rs lists a port to {architecture}, but no platform in xtask/src/platform.rs is built from it"
        );
    }
    Ok(())
}
