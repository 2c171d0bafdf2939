//! `cargo xtask boot`: the program on real kernels, under emulated machines.
//!
//! Each boot is one kernel, one platform, and an initial file system of two programs: pause, and the driver,
//! which runs the rows and says how they went.

mod boots;
mod broken;
mod fetch;
mod golden;
mod kernels;
mod machine;
#[path = "../driver/src/protocol.rs"]
mod protocol;

use anyhow::{Context, Result, bail, ensure};
use boots::Boot;
use cpio::newc::{Builder, ModeFileType};
use fetch::Equipment;
use golden::Golden;
use kernels::KERNELS;
use machine::{Files, Transcript};
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Cursor;
use std::process::ExitCode;
use xshell::Shell;
use xtask::build::{self, Binary};
use xtask::command::{self, Misuse};
use xtask::needs::Needs;
use xtask::platform::{Platform, Selection};
use xtask::progress::Progress;
use xtask::table::Table;
use xtask::{compiler, debian, note, output, say};

/// What the command takes.
#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// Only this kernel (arm64-6.12-16k, say) or this version; may be given several times [default: all]
    #[arg(long = "kernel", value_name = "NAME", value_parser = kernels::parse)]
    kernels: Vec<String>,

    /// Boot programs that are broken on purpose, too, and fail where one of them does not
    #[arg(long)]
    broken: bool,

    /// Take the page sizes and the numbers of rows, as they are now, for right
    #[arg(long)]
    bless: bool,
}

/// Where serial output and initial file systems go, relative to the repository.
const FOLDER: &str = "target/boot";

/// How many boots went how.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    not_run: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self { passed, failed, not_run } = self;
        write!(formatter, "{passed} passed, {failed} failed, {not_run} not run")
    }
}

fn main() -> ExitCode {
    command::main_of_proof("boot", run)
}

/// Runs the command.
fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let names = &arguments.kernels;
    let chosen = KERNELS.iter().filter(|kernel| names.is_empty() || names.iter().any(|name| kernel.is(name)));
    let mut boots = boots::of(chosen, &arguments.selection.platforms());
    ensure!(!boots.is_empty(), Misuse("none of these kernels runs programs for these platforms".into()));
    needs(&boots).provide(shell)?;
    let golden = Golden::read(&shell.current_dir())?;

    let mut kernels: Vec<_> = boots.iter().map(|boot| boot.kernel).collect();
    kernels.dedup_by_key(|kernel| kernel.name);
    let fetched = fetch::all(shell, &kernels);
    for (reason, kernels) in &fetched.missing {
        note!("can't get {}: {reason}", kernels.join(", "));
    }
    let mut tally = Tally { not_run: boots.len(), ..Tally::default() };
    boots.retain(|boot| fetched.equipment.contains_key(boot.kernel.name));
    tally.not_run -= boots.len();

    let mut table = Table::new(golden::HEADINGS.into_iter().chain(["seconds"]));
    let mut rows = Vec::new();
    if !boots.is_empty() {
        let programs = Programs::build(shell, &boots)?;
        let progress = Progress::new(boots.len());
        for boot in boots {
            progress.step(format_args!("booting {boot}"));
            let tried = || -> Result<_> {
                let transcript = programs.try_on(boot, &fetched.equipment[boot.kernel.name], arguments.broken)?;
                let row = golden::row(&boot, &transcript);
                if !arguments.bless {
                    golden.check(&row)?;
                }
                Ok((row, transcript))
            };
            match tried() {
                Ok((row, transcript)) => {
                    let seconds = format!("{:.1}", transcript.time.as_secs_f64());
                    table.push(row.iter().chain([&seconds]));
                    rows.push(row);
                    tally.passed += 1;
                }
                Err(error) => {
                    note!("error: {boot}: {error:#}");
                    tally.failed += 1;
                }
            }
        }
    }

    if !rows.is_empty() {
        say!("{table}");
    }
    if arguments.bless {
        golden.bless(&rows)?;
    }
    ensure!(tally.failed + tally.not_run == 0, "{tally}");
    say!("{tally}");
    Ok(())
}

/// What these boots need of the machine.
fn needs(boots: &[Boot]) -> Needs {
    let mut needs = Needs::of("cargo xtask boot");
    for Boot { kernel, .. } in boots {
        needs.file(kernel.machine.emulator, kernel.machine.package, "boot kernels");
    }
    needs.file("setpriv", "util-linux", "end an emulator with this command");
    debian::add_needs(&mut needs, "kernels");
    needs
}

/// The programs that several boots share.
struct Programs<'a> {
    shell: &'a Shell,
    binaries: Vec<Binary>,
    /// The driver, by target.
    drivers: HashMap<&'static str, Vec<u8>>,
}

impl<'a> Programs<'a> {
    /// Builds what these boots need.
    fn build(shell: &'a Shell, boots: &[Boot]) -> Result<Self> {
        let mut platforms: Vec<&Platform> = Vec::new();
        for boot in boots {
            if !platforms.contains(&boot.platform) {
                platforms.push(boot.platform);
            }
        }
        let binaries = build::build(shell, &platforms)?;
        let mut drivers = HashMap::new();
        for Binary { platform, compiler, .. } in &binaries {
            if !drivers.contains_key(platform.target) {
                let linked = compiler::compile(shell, *compiler, platform.target, "boot-driver", "boot-driver", &[])
                    .with_context(|| format!("can't build the driver for {}", platform.name))?;
                drivers.insert(platform.target, fs::read(linked)?);
            }
        }
        Ok(Self { shell, binaries, drivers })
    }

    /// Boots a kernel with the program, and, if that is wanted, with the broken ones, too.
    fn try_on(&self, boot: Boot, equipment: &Equipment, with_broken: bool) -> Result<Transcript> {
        let binary = self.binaries.iter().find(|binary| binary.platform == boot.platform).context("it was built")?;
        let transcript = self.run(boot, equipment, &binary.content)?;
        transcript.verdict()?;
        if with_broken {
            for broken in broken::variants(binary, boot.kernel.page_size * 1024)? {
                note!("The same with a broken program: {}", broken.flaw);
                let transcript = self.run(boot, equipment, &broken.content)?;
                ensure!(transcript.has_begun(), "the driver of the broken program never began");
                let [first, ..] = &transcript.failed[..] else {
                    bail!("it works although it is broken: {}", broken.flaw);
                };
                note!("{} failures, as it must be; the first: {first}", transcript.failed.len());
            }
        }
        Ok(transcript)
    }

    /// Boots a kernel with this program.
    fn run(&self, boot: Boot, equipment: &Equipment, program: &[u8]) -> Result<Transcript> {
        let Boot { kernel, platform } = boot;
        let folder = self.shell.current_dir().join(FOLDER);
        fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
        let name = format!("{}-{}", kernel.name, platform.file_name());
        let (initramfs, log) = (folder.join(format!("{name}.cpio")), folder.join(format!("{name}.log")));
        output::replace(&initramfs, &initial_file_system(&self.drivers[platform.target], program)?)?;
        machine::boot(self.shell, kernel, equipment, &Files { initramfs, log })
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
