//! `cargo xtask kernels`: the program on real kernels, in emulated machines.
//!
//! A boot is a kernel and an initial file system with two programs: pause, and the driver, which runs the cases.

mod broken;
mod fetch;
mod kernels;
mod machine;
#[path = "../driver/src/protocol.rs"]
mod protocol;

use anyhow::{Context, Result, ensure};
use cpio::newc::{Builder, ModeFileType};
use fetch::Equipment;
use harness::wait;
use kernels::Boot;
use machine::Results;
use std::fs;
use std::io::Cursor;
use std::process::ExitCode;
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::command::{UsageError, cargo_for};
use xtask::golden::Golden;
use xtask::platform::Selection;
use xtask::prerequisites::Prerequisites;
use xtask::table::Table;
use xtask::{compiler, debian, outln, output, status, subcommands};

#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Only this kernel (arm64-6.12-16k, for example) or version; may be repeated [default: all]
    #[arg(long = "kernel", value_name = "NAME", value_parser = kernels::parse)]
    kernels: Vec<String>,
    /// Also boot two negative controls: broken programs, which must fail
    #[arg(long)]
    broken: bool,
    /// Also send pairs of signals to the program, as `cargo xtask inject` does; for kernels of amd64, and slow
    #[arg(long, conflicts_with_all = ["broken", "bless"])]
    signals: bool,
    /// Update the golden page sizes and numbers of cases
    #[arg(long)]
    bless: bool,
}

const GOLDEN: &str = "tests/kernels/kernels.txt";
const DRIVER: &str = "kernel-driver";

fn main() -> ExitCode {
    subcommands::main_of_subcommand("kernels", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let mut platforms = arguments.selection.platforms();
    let is_kernel = |boot: &Boot| arguments.kernels.iter().any(|name| boot.kernel.is(name));
    let mut boots: Vec<_> = Boot::all().filter(|boot| platforms.contains(&boot.platform)).collect();
    boots.retain(|boot| arguments.kernels.is_empty() || is_kernel(boot));
    boots.retain(|boot| !arguments.signals || cfg!(target_arch = "x86_64") && boot.platform.is_native());
    ensure!(!boots.is_empty(), UsageError("none of these kernels runs programs for these platforms".into()));
    let mut prerequisites = Prerequisites::of("cargo xtask kernels");
    for Boot { kernel, .. } in &boots {
        prerequisites.file(kernel.machine.emulator, kernel.machine.package, "boot kernels");
    }
    prerequisites.file("setpriv", "util-linux", "end an emulator with this command");
    prerequisites.file("zstd", "zstd", "unpack kernels");
    debian::add_needs(&mut prerequisites, "kernels");
    prerequisites.ensure_installed(shell)?;
    let golden = Golden::read(&shell.current_dir(), GOLDEN, "cargo xtask kernels")?;

    let mut kernels: Vec<_> = boots.iter().map(|boot| boot.kernel).collect();
    kernels.dedup_by_key(|kernel| kernel.name);
    let equipment = fetch::all(shell, &kernels);
    let count = boots.len();
    boots.retain(|boot| equipment.contains_key(boot.kernel.name));
    let not_run = count - boots.len();
    ensure!(!boots.is_empty(), "0 passed, 0 failed, {not_run} not run");

    platforms.retain(|platform| boots.iter().any(|boot| boot.platform == *platform));
    let binaries = build::build(shell, &platforms)?;
    let mut table = Table::new(golden.table.headings.iter().map(String::as_str).chain(["seconds"]));
    let mut rows = Vec::new();
    for boot in &boots {
        status!("booting {boot}");
        let binary = binaries.iter().find(|binary| binary.platform == boot.platform).context("it was built")?;
        let row = test(shell, boot, binary, &equipment[boot.kernel.name], arguments).and_then(|results| {
            let Results { page_size, passed, release, time, .. } = results;
            // The golden number is without the case of the signals.
            let passed = passed - usize::from(arguments.signals);
            let (Boot { platform, kernel }, seconds) = (boot, format!("{:.1}", time.as_secs_f64()));
            let row = [platform.name, kernel.name, &page_size, &passed.to_string(), &release].map(String::from);
            table.push(row.iter().chain([&seconds]));
            // Debian updates its kernels, so releases aren't compared.
            if arguments.bless { Ok(()) } else { golden.check(&row, 2, 4) }.map(|()| row.to_vec())
        });
        match row {
            Ok(row) => rows.push(row),
            Err(error) => status!("error: {boot}: {error:#}"),
        }
    }

    if !table.rows.is_empty() {
        outln!("{table}");
    }
    let (passed, failed) = (rows.len(), boots.len() - rows.len());
    if arguments.bless {
        let order = Boot::all().map(|Boot { kernel, platform }| vec![platform.name.into(), kernel.name.into()]);
        golden.bless(rows, 2, &order.collect::<Vec<_>>())?;
    }
    let summary = format!("{passed} passed, {failed} failed, {not_run} not run");
    ensure!(failed + not_run == 0, "{summary}");
    outln!("{summary}");
    Ok(())
}

/// Tests the program on a kernel, and, if asked, that the negative controls fail.
fn test(shell: &Shell, boot: &Boot, binary: &Binary, equipment: &Equipment, arguments: &Arguments) -> Result<Results> {
    let driver = compiler::compile(shell, binary.compiler, boot.platform.target, DRIVER, false);
    let driver = fs::read(driver.context("can't build the driver")?)?;
    let inject = if arguments.signals { Some(inject(shell)?) } else { None };
    let directory = shell.create_dir(shell.current_dir().join("target/boot"))?;
    let name = format!("{}-{}", boot.kernel.name, boot.platform.file_name());
    let (initramfs, log) = (directory.join(format!("{name}.cpio")), directory.join(format!("{name}.log")));
    let run = |program: &[u8]| {
        output::replace(&initramfs, &initial_file_system(&driver, program, inject.as_deref())?)?;
        machine::boot(shell, boot.kernel, equipment, &initramfs, &log)
    };
    let results = run(&binary.content)?;
    ensure!(results.failed.is_empty(), "{}", results.failed.join("\n  "));
    let page_size = boot.kernel.page_size_in_kib * 1024;
    let broken = if arguments.broken { broken::variants(binary, page_size)?.into() } else { Vec::new() };
    for (flaw, program) in broken {
        status!("a negative control: {flaw}");
        let results = run(&program)?;
        ensure!(!results.release.is_empty(), "the driver of the negative control never started");
        let first = results.failed.first().with_context(|| format!("a negative control passed: {flaw}"))?;
        status!("{} failures, as expected; the first: {first}", results.failed.len());
    }
    Ok(results)
}

/// Builds the program that sends signals, without shared libraries. Cargo puts it next to this one.
fn inject(shell: &Shell) -> Result<Vec<u8>> {
    wait::set_timeout(1200);
    let mut command = cargo_for("rustc", "inject", &shell.current_dir());
    command.args(["--quiet", "--bin", "inject", "--", "-Ctarget-feature=+crt-static", "-Cstrip=symbols"]);
    ensure!(command.status()?.success(), "can't build the program that sends signals");
    Ok(fs::read(std::env::current_exe()?.with_file_name("inject"))?)
}

/// The driver as `/init`, the program as `/pause`, and a mount point for /proc. The kernel adds `/dev/console`:
/// <https://github.com/torvalds/linux/blob/v6.12/usr/default_cpio_list>
fn initial_file_system(driver: &[u8], program: &[u8], inject: Option<&[u8]>) -> Result<Vec<u8>> {
    let files: [(_, _, &[u8]); 3] = [
        ("proc", ModeFileType::Directory, &[]),
        ("init", ModeFileType::Regular, driver),
        ("pause", ModeFileType::Regular, program),
    ];
    let file = |(name, kind, content)| (Builder::new(name).mode(0o755).set_mode_file_type(kind), Cursor::new(content));
    let inject = inject.map(|content| ("inject", ModeFileType::Regular, content));
    Ok(cpio::write_cpio(files.into_iter().chain(inject).map(file), Vec::new())?)
}
