//! `cargo xtask test`: the cases of conformance on every platform, natively or under an emulator, and of the image.

use crate::command::{ChildExit, UsageError, cargo_for};
use crate::debian::Suite;
use crate::image::{self, Contents};
use crate::output::{self, Staged};
use crate::platform::{self, Platform, QEMU_USER, Selection};
use crate::prerequisites::Prerequisites;
use crate::{build, debian, seccomp, status};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xshell::{Shell, cmd};

/// Build the program and run all cases on it, for other platforms under qemu-user
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Test another pause program, for this machine, and only what upstream promises
    #[arg(long, value_name = "PATH", conflicts_with = "platforms", value_parser = existing_file)]
    against: Option<PathBuf>,
    /// Write the sizes and digests of the binaries and of the image to the golden files
    #[arg(long, conflicts_with_all = ["against", "filter"])]
    bless: bool,
    /// With --against: test everything that this program promises
    #[arg(long, requires = "against")]
    strict: bool,
    /// Run this machine's program under the seccomp profile that ships, which then kills at any other system call
    #[arg(long, conflicts_with_all = ["platforms", "against", "bless"])]
    seccomp: bool,
    /// Use the emulators of this Debian release (such as trixie or sid), unpacked once in target/emulators [default: the
    /// installed ones]
    #[arg(long, value_name = "NAME", value_parser = debian::parse_release, conflicts_with_all = ["against", "seccomp"])]
    debian: Option<String>,
    /// Only cases whose names contain this
    filter: Option<String>,
}

/// A program under test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// Its platform, or another name.
    pub name: String,
    pub file: PathBuf,
    /// The emulator that runs it, unless the machine does.
    pub emulator: Option<PathBuf>,
    /// The processor that the emulator has, unless it is the emulator's choice.
    pub cpu: Option<String>,
    /// A seccomp profile, under which any other system call kills it.
    pub profile: Option<PathBuf>,
}

impl Program {
    /// A program that this machine runs, without a profile.
    pub fn new(name: impl Into<String>, file: PathBuf) -> Self {
        Self { name: name.into(), file, emulator: None, cpu: None, profile: None }
    }

    /// A platform's program, which an emulator runs on the platform's processor.
    pub fn emulated(platform: &Platform, file: PathBuf, emulator: PathBuf) -> Self {
        Self { emulator: Some(emulator), cpu: Some(platform.cpu.into()), ..Self::new(platform.name, file) }
    }

    /// Builds this machine's program in this repository.
    pub fn native(repository: &Path) -> Result<Self> {
        let (shell, platform) = (Shell::new()?, platform::native()?);
        shell.change_dir(repository);
        Ok(Self::new(platform.name, build::program(&shell, platform)?))
    }
}

/// The parameters of the tests, passed as JSON in the variable [`Order::VARIABLE`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Order {
    pub programs: Vec<Program>,
    /// Whether the programs promise no more than upstream.
    pub stranger: bool,
    /// Whether the programs are as they ship: trimmed.
    pub shipped: bool,
    /// The directory with the image of the programs and an archive per platform.
    pub image: Option<PathBuf>,
    /// Whether to write the golden files instead of comparing them.
    pub bless: bool,
}

impl Order {
    pub const VARIABLE: &str = "PAUSE_TEST";

    /// Reads the parameters from the environment, if they are there.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(text) = std::env::var_os(Self::VARIABLE) else { return Ok(None) };
        let order = serde_json::from_slice(text.as_encoded_bytes());
        order.with_context(|| format!("{} has no parameters of tests", Self::VARIABLE)).map(Some)
    }
}

/// Runs the command. Fails if a case fails, or if none runs.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), UsageError("the tests need Linux".into()));
    let filter = arguments.filter.as_deref();
    let mut prerequisites = Prerequisites::of("cargo xtask test");
    prerequisites.file("/usr/bin/strace", "strace", "make system calls fail");
    if arguments.seccomp || arguments.against.is_some() {
        prerequisites.ensure_installed(shell)?;
        let native = platform::native()?;
        let file = arguments.against.clone().map_or_else(|| build::program(shell, native), Ok)?;
        let profile = arguments.seccomp.then(|| file.with_file_name(seccomp::FILE));
        if let Some(profile) = &profile {
            output::replace(profile, seccomp::PROFILE)?;
        }
        let programs = vec![Program { profile, ..Program::new(native.name, file) }];
        let stranger = arguments.against.is_some() && !arguments.strict;
        return run_tests(shell, &Order { programs, stranger, ..Order::default() }, filter);
    }

    let platforms = arguments.selection.platforms();
    let emulated: Vec<_> = platforms.iter().filter(|platform| !platform.is_native()).collect();
    if arguments.debian.is_some() {
        let error = "--debian selects emulators, and this machine needs none for these platforms";
        ensure!(!emulated.is_empty(), UsageError(error.into()));
        debian::add_needs(&mut prerequisites, "emulators");
    } else {
        let mut need = |file: &str| prerequisites.file(file, QEMU_USER, "run programs for other platforms");
        emulated.iter().for_each(|platform| need(&platform.emulator()));
    }
    let binaries = build::build_with(shell, &platforms, None, prerequisites)?;
    let emulators = match &arguments.debian {
        Some(release) => emulators(shell, release, emulated[0])?,
        None => "/".into(),
    };
    // dist is for artefacts that the user asked for.
    let path = shell.current_dir().join("target/tested");
    let mut staged = Staged::new(&path)?;
    let packed = image::pack(&binaries, &Contents::usual())?;
    packed.stage(&mut staged);
    staged.commit()?;

    let programs = binaries.iter().map(|binary| {
        let (platform, file) = (binary.platform, path.join("bin").join(binary.file_name()));
        match platform.is_native() {
            true => Program::new(platform.name, file),
            false => Program::emulated(platform, file, emulator(&emulators, platform)),
        }
    });
    let (programs, image) = (programs.collect(), Some(path.clone()));
    let order = Order { programs, shipped: true, image, bless: arguments.bless, ..Order::default() };
    let tested = run_tests(shell, &order, filter);
    // The filter matched no case.
    if tested.as_ref().is_err_and(|error| error.is::<ChildExit>()) {
        return tested;
    }
    // Afterwards, so that a change of a size doesn't hide what it has broken.
    let golden = image::golden::check(&shell.current_dir(), &binaries, &packed, arguments.bless);
    match (tested, golden) {
        (Err(tested), Err(golden)) => bail!("{tested:#}; and {golden:#}"),
        (tested, golden) => tested.and(golden),
    }
}

/// Unpacks the emulators of a Debian release, and prints the version of one. Returns the root of their tree.
fn emulators(shell: &Shell, release: &str, platform: &Platform) -> Result<PathBuf> {
    let root = shell.current_dir().join("target/emulators").join(release);
    output::provide(&root, |new| {
        status!("fetching the emulators of {release}");
        let suite = Suite::open(shell, release, &debian::architecture(shell)?, new, true)?;
        // Newer releases have no static ones.
        let package = "qemu-user";
        suite.unpack(QEMU_USER, package, new).or_else(|_| suite.unpack(package, package, new))
    })?;
    let emulator = emulator(&root, platform);
    let version = cmd!(shell, "{emulator} --version").quiet().read()?;
    status!("{}", version.lines().next().unwrap_or_default());
    Ok(root)
}

/// Returns the path of a platform's emulator in the tree with that root.
fn emulator(root: &Path, platform: &Platform) -> PathBuf {
    let files = [platform.emulator(), format!("/usr/bin/qemu-{}", platform.qemu_user)];
    let [installed, newer] = files.map(|file| root.join(file.trim_start_matches('/')));
    if installed.exists() { installed } else { newer }
}

/// Builds the tests, and runs them without cargo, which would report their exit status.
fn run_tests(shell: &Shell, order: &Order, filter: Option<&str>) -> Result<()> {
    let mut cargo = cargo_for("test", "conformance", &shell.current_dir());
    cargo.args(["--test", "cases", "--no-run", "--message-format", "json-render-diagnostics"]);
    let output = cargo.stderr(Stdio::inherit()).output().context("can't start cargo")?;
    ensure!(output.status.success(), "the tests can't be built");
    let mut messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let executable = messages.find_map(|message| {
        let message = message.ok().filter(|message| message["target"]["name"] == "cases")?;
        message["executable"].as_str().map(PathBuf::from)
    });
    let mut tests = Command::new(executable.context("cargo doesn't report the tests' executable")?);
    tests.current_dir(shell.current_dir()).env(Order::VARIABLE, serde_json::to_string(order)?);
    match tests.args(filter).status().context("can't start the tests")?.code() {
        Some(0) => Ok(()),
        // They have printed that the filter matches no case.
        Some(2) => bail!(ChildExit(2)),
        _ => bail!("the tests failed"),
    }
}

/// Parses the value of `--against`.
pub fn existing_file(path: &str) -> Result<PathBuf> {
    let path = Path::new(path);
    ensure!(path.is_file(), "there is no such file; give the path of a pause program");
    Ok(path.canonicalize()?)
}
