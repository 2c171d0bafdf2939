//! `cargo xtask boot`: the program on real kernels, under emulated machines.
//!
//! Each boot is one kernel, one platform, and an initial file system of two programs: pause, and the driver
//! of `tests/boot`, which runs the rows and says how they went.

mod broken;
mod fetch;
mod kernels;
mod machine;
mod packages;

use crate::build::{self, Binary};
use crate::platform::{Platform, Selection};
use anyhow::{Context, Result, bail, ensure};
use cpio::newc::{Builder, ModeFileType};
use fetch::Image;
use kernels::{KERNELS, Kernel};
use machine::{Files, Report};
use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use xshell::Shell;

/// Boot Debian's kernels under qemu and run the program's contract on each
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// Only this kernel (arm64-6.12-16k, say) or this version; may be given several times [default: all]
    #[arg(long = "kernel", value_name = "NAME", value_parser = kernels::parse)]
    kernels: Vec<String>,

    /// Boot programs that are broken on purpose, too, and fail where one of them does not
    #[arg(long)]
    broken: bool,
}

/// Where serial output and initial file systems go.
const FOLDER: &str = "target/boot";

/// Boots kernels, and keeps what several boots share.
struct Bench<'a> {
    shell: &'a Shell,
    /// The driver, by target.
    drivers: HashMap<&'static str, Vec<u8>>,
}

/// Runs the command.
///
/// # Errors
/// Where something is missing that can't be got, or a boot failed.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let platforms = arguments.selection.platforms();
    let is_chosen =
        |kernel: &&Kernel| arguments.kernels.is_empty() || arguments.kernels.iter().any(|name| kernel.is(name));
    let boots: Vec<(&Kernel, &Platform)> = KERNELS
        .iter()
        .filter(is_chosen)
        .flat_map(|kernel| platforms.iter().map(move |platform| (kernel, *platform)))
        .filter(|(kernel, platform)| kernel.platforms.contains(&platform.name))
        .collect();
    for platform in &platforms {
        let is_booted = boots.iter().any(|boot| boot.1.name == platform.name);
        ensure!(
            is_booted || !arguments.kernels.is_empty(),
            "there is no kernel for {}: add one to kernels.rs",
            platform.name
        );
    }
    ensure!(!boots.is_empty(), "none of these kernels runs programs for these platforms");

    let needed: Vec<_> =
        platforms.into_iter().filter(|platform| boots.iter().any(|boot| boot.1.name == platform.name)).collect();
    let binaries = build::build(shell, &needed)?;
    let mut bench = Bench { shell, drivers: HashMap::new() };
    shell.create_dir(FOLDER)?;

    let progress = build::progress(boots.len() as u64);
    let (mut rows, mut failures) = (Vec::new(), 0);
    for (kernel, platform) in boots {
        progress.set_message(format!("booting {} for {}", kernel.name, platform.name));
        let binary = binaries.iter().find(|binary| binary.platform.name == platform.name).context("built above")?;
        match bench.try_all(kernel, binary, arguments.broken) {
            Ok(report) => rows.push(row(platform, &report)),
            Err(error) => {
                eprintln!("error: {} on {}: {error:#}", platform.name, kernel.name);
                failures += 1;
            }
        }
        progress.inc(1);
    }
    progress.finish_and_clear();

    println!("\n| platform | kernel | pages | rows passed | seconds |\n|---|---|---|---|---|\n{}", rows.join("\n"));
    ensure!(failures == 0, "{failures} of {} boots failed", failures + rows.len());
    Ok(())
}

/// A line of the table.
fn row(platform: &Platform, report: &Report) -> String {
    let (pages, seconds) = (report.page_size / 1024, report.time.as_secs_f64());
    format!("| {} | {} | {pages} KiB | {} | {seconds:.1} |", platform.name, report.release, report.passed)
}

impl Bench<'_> {
    /// Boots a kernel with the program, and, if that is wanted, with its broken variants.
    fn try_all(&mut self, kernel: &Kernel, binary: &Binary, with_broken: bool) -> Result<Report> {
        let program = fs::read(&binary.path)?;
        let report = self.boot(kernel, binary.platform, &program)?;
        report.verdict()?;
        if with_broken {
            for variant in broken::variants(&program, kernel.page_size * 1024)? {
                println!("The same with a broken program: {}", variant.flaw);
                let report = self.boot(kernel, binary.platform, &variant.program)?;
                ensure!(report.has_begun(), "the driver of the broken program never began");
                let [first, ..] = &report.failed[..] else { bail!("it works although it is broken: {}", variant.flaw) };
                println!("{} failures, as it must be; the first: {first}", report.failed.len());
            }
        }
        Ok(report)
    }

    fn boot(&mut self, kernel: &Kernel, platform: &Platform, program: &[u8]) -> Result<Report> {
        let image = fetch::kernel(self.shell, kernel)?;
        let emulator = fetch::emulator(self.shell, kernel.machine)?;
        let folder = self.shell.current_dir().join(FOLDER);
        let name = format!("{}-{}", kernel.name, platform.file_name());
        let (initramfs, log) = (folder.join(format!("{name}.cpio")), folder.join(format!("{name}.log")));
        build::replace(&initramfs, &initial_file_system(self.driver(platform)?, program)?, 0o644)?;
        let Image { kernel: image, device_tree } = image;
        machine::boot(self.shell, kernel, &Files { emulator, kernel: image, device_tree, initramfs, log })
    }

    /// The driver for a platform.
    fn driver(&mut self, platform: &Platform) -> Result<&[u8]> {
        if !self.drivers.contains_key(platform.target) {
            // The program is built by now, so what rustup can fetch is there.
            let path = build::compile(self.shell, "boot-driver", platform.target, &mut false)?;
            self.drivers.insert(platform.target, fs::read(path)?);
        }
        Ok(&self.drivers[platform.target])
    }
}

/// A file system with the driver as `/init`, the program as `/pause`, and a place for /proc.
/// The kernel adds `/dev/console` itself:
/// <https://github.com/torvalds/linux/blob/v6.12/usr/default_cpio_list>
fn initial_file_system(driver: &[u8], program: &[u8]) -> Result<Vec<u8>> {
    let file = |name: &str, kind, content: &[u8]| {
        (Builder::new(name).mode(0o755).set_mode_file_type(kind), Cursor::new(content.to_vec()))
    };
    let files = [
        file("proc", ModeFileType::Directory, &[]),
        file("init", ModeFileType::Regular, driver),
        file("pause", ModeFileType::Regular, program),
    ];
    Ok(cpio::write_cpio(files.into_iter(), Vec::new())?)
}
