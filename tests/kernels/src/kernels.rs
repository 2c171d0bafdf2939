//! The kernels, and the machines on which they boot.

use anyhow::{Result, ensure};
use std::fmt;
use std::sync::LazyLock;
use xtask::platform::{self, Platform};

pub struct Machine {
    name: &'static str,
    pub architecture: &'static str,
    pub emulator: &'static str,
    pub package: &'static str,
    /// The first version of the emulator that boots this machine.
    pub version: u32,
    /// The device tree, if it is the kernel package's instead of the emulator's.
    pub device_tree: Option<&'static str>,
    /// Begins the kernel's command line.
    pub append: &'static str,
    /// Machine, processor and memory.
    pub arguments: &'static str,
}

static MACHINES: LazyLock<Vec<Machine>> = LazyLock::new(|| {
    let machine = |row: [&'static str; 9]| {
        let [name, architecture, emulator, package, version, device_tree, append, arguments, _why] = row;
        let (version, device_tree) =
            (version.parse().expect("a number"), Some(device_tree).filter(|&tree| tree != "–"));
        Machine { name, architecture, emulator, package, version, device_tree, append, arguments }
    };
    rows(include_str!("../machines.txt")).map(machine).collect()
});

pub struct Kernel {
    /// Architecture, version and, if there are several, flavour.
    pub name: &'static str,
    pub machine: &'static Machine,
    pub suite: &'static str,
    /// The package `linux-image-…` depends on the newest kernel of this flavour.
    pub flavour: &'static str,
    pub page_size_in_kib: u32,
    platforms: Vec<&'static Platform>,
}

/// For each architecture from the oldest to the newest, and every page size.
static KERNELS: LazyLock<Vec<Kernel>> = LazyLock::new(|| {
    let kernel = |[name, machine, suite, flavour, page_size, platforms]: [&'static str; 6]| {
        let machine = MACHINES.iter().find(|other| other.name == machine).expect("a machine");
        let platforms = platforms.split(' ').map(|name| platform::parse(name).expect("a platform")).collect();
        Kernel { name, machine, suite, flavour, page_size_in_kib: page_size.parse().expect("a number"), platforms }
    };
    rows(include_str!("../debian.txt")).map(kernel).collect()
});

/// Splits a table like [`xtask::table::Table`].
fn rows<const COLUMNS: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; COLUMNS]> {
    table.lines().skip(1).map(|line| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.collect::<Vec<_>>().try_into().expect("a cell per column")
    })
}

impl Kernel {
    pub fn is(&self, name: &str) -> bool {
        self.name == name || self.name.split('-').nth(1) == Some(name)
    }
}

pub fn parse(name: &str) -> Result<String> {
    let names: Vec<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
    let is_known = KERNELS.iter().any(|kernel| kernel.is(name));
    ensure!(is_known, "unknown kernel or version; the kernels are {}", names.join(", "));
    Ok(name.into())
}

/// A kernel, and the platform of a program to test on it.
#[derive(Clone, Copy)]
pub struct Boot {
    pub kernel: &'static Kernel,
    pub platform: &'static Platform,
}

impl Boot {
    /// Lists all boots, kernel by kernel.
    pub fn all() -> impl Iterator<Item = Self> {
        KERNELS.iter().flat_map(|kernel| kernel.platforms.iter().map(move |platform| Self { kernel, platform }))
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{} on {}", self.platform.name, self.kernel.name)
    }
}

#[test]
fn every_platform_has_a_kernel() {
    assert!(platform::PLATFORMS.iter().all(|platform| Boot::all().any(|boot| boot.platform == platform)));
}
