//! `cargo xtask test`: the table of cases on every platform, natively or under an emulator, and the facts of the
//! image.

use crate::build::{self, Binary};
use crate::command::{Failed, Misuse, cargo};
use crate::debian::Mirror;
use crate::image::{self, Contents};
use crate::needs::Needs;
use crate::output::{self, Staged};
use crate::platform::{self, Platform, QEMU_USER, Selection};
use crate::seccomp::{self, Profile};
use crate::{compiler, debian, digests, floor, note, proofs, sizes};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xshell::{Shell, cmd};

/// Build the program and run the table of cases on it, where need be under qemu-user
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// Test this pause program instead, by what upstream promises; one for this machine
    #[arg(long, value_name = "PATH", conflicts_with = "platforms", value_parser = existing_file)]
    against: Option<PathBuf>,

    /// Take the sizes and digests of the binaries and of the image, as they are now, for right
    #[arg(long, conflicts_with_all = ["against", "floor", "filter"])]
    bless: bool,

    /// Test the floor instead, the reference in assembly, by what this program promises, and hold the program
    /// to what it may take in multiples of the floor
    #[arg(long, conflicts_with_all = ["platforms", "against"])]
    floor: bool,

    /// Run this machine's program under the seccomp profile that ships: what it does not allow, kills
    #[arg(long, conflicts_with_all = ["platforms", "against", "floor", "bless"])]
    seccomp: bool,

    /// Run what is not for this machine under the emulators of this release of Debian (trixie or sid, say), unpacked
    /// once in target/emulators [default: the installed ones]
    #[arg(long, value_name = "NAME", value_parser = debian::parse_release, conflicts_with_all = ["against", "floor", "seccomp"])]
    release: Option<String>,

    /// Only cases whose names contain this
    filter: Option<String>,
}

/// A program under test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// The OCI platform that it is built for, or what else one calls it.
    pub name: String,
    /// The program's file.
    pub file: PathBuf,
    /// The emulator that runs it, if it needs one.
    pub emulator: Option<PathBuf>,
    /// The seccomp profile that confines it, if one does: what it does not allow, kills.
    pub profile: Option<PathBuf>,
}

impl Program {
    /// A program that this machine runs, without a profile.
    pub fn new(name: impl Into<String>, file: PathBuf) -> Self {
        Self { name: name.into(), file, emulator: None, profile: None }
    }
}

/// What the tests are to do. They find it in the environment, as JSON in the variable [`Order::VARIABLE`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Order {
    /// The programs that every case is run on.
    pub programs: Vec<Program>,
    /// Whether the programs need not keep more than upstream's promises.
    pub stranger: bool,
    /// Whether the programs are what ships, so that the facts of the files hold.
    pub shipped: bool,
    /// The directory with the image of the programs and an archive per platform.
    pub image: Option<PathBuf>,
    /// Whether to write the golden files instead of comparing them.
    pub bless: bool,
}

impl Order {
    /// The variable.
    pub const VARIABLE: &str = "PAUSE_TEST";

    /// The order in the environment, if there is one.
    ///
    /// # Errors
    /// Where the variable holds something else.
    pub fn from_environment() -> Result<Option<Self>> {
        let Some(text) = std::env::var_os(Self::VARIABLE) else { return Ok(None) };
        let text = text.to_str().with_context(|| format!("{} is not UTF-8", Self::VARIABLE))?;
        let order = serde_json::from_str(text).with_context(|| format!("{} is no order for tests", Self::VARIABLE))?;
        Ok(Some(order))
    }
}

/// Runs the command.
///
/// # Errors
/// Where a case fails, or where none was run.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    ensure!(cfg!(target_os = "linux"), Misuse("the tests run programs for Linux, on Linux".into()));
    let filter = arguments.filter.as_deref();
    let mut needs = Needs::of("cargo xtask test");
    needs.file("/usr/bin/strace", "strace", "make system calls fail");
    if arguments.floor || arguments.against.is_some() {
        needs.provide(shell)?;
        let program = match &arguments.against {
            Some(path) => Program::new(platform::native()?.name, path.clone()),
            None => {
                let bench = proofs::find("bench".as_ref()).context("it is in the list")?;
                bench.run(shell, ["--floor".into()])?;
                Program::new("floor", floor::build(shell)?)
            }
        };
        let stranger = arguments.against.is_some();
        return run_tests(shell, &Order { programs: vec![program], stranger, ..Order::default() }, filter);
    }

    if arguments.seccomp {
        needs.provide(shell)?;
        let native = platform::native()?;
        let file = build::program(shell, native)?;
        let profile = file.with_file_name(seccomp::FILE);
        output::replace(&profile, &Profile::of_the_program().to_json()?)?;
        let program = Program { profile: Some(profile), ..Program::new(native.name, file) };
        return run_tests(shell, &Order { programs: vec![program], ..Order::default() }, filter);
    }

    let platforms = arguments.selection.platforms();
    let emulated: Vec<_> = platforms.iter().filter(|platform| !platform.is_native()).collect();
    match arguments.release {
        Some(_) if emulated.is_empty() => {
            bail!(Misuse("--release is about emulators, and this machine needs none for that".into()))
        }
        Some(_) => debian::add_needs(&mut needs, "emulators"),
        None => emulated.iter().for_each(|platform| {
            needs.file(&platform.emulator(), QEMU_USER, "run programs for other platforms");
        }),
    }
    let binaries = build::build_with(shell, &platforms, None, needs)?;
    let emulators = match &arguments.release {
        Some(release) => emulators(shell, release, emulated[0])?,
        None => "/".into(),
    };
    // Beside dist, which holds what somebody asked for.
    let path = shell.current_dir().join("target/tested");
    let mut staged = Staged::new(&path)?;
    let contents = Contents::usual();
    let image = image::pack(&binaries, &contents)?;
    let index = image.digest().to_owned();
    let sizes = image::stage(&mut staged, &binaries, image, &contents, true)?;
    staged.commit()?;

    let program = |Binary { platform, .. }: &Binary, file: PathBuf| Program {
        emulator: (!platform.is_native()).then(|| emulator(&emulators, platform)),
        ..Program::new(platform.name, file)
    };
    let programs = binaries.iter().map(|binary| program(binary, path.join("bin").join(binary.file_name()))).collect();
    let order =
        Order { programs, shipped: true, image: Some(path.clone()), bless: arguments.bless, ..Order::default() };
    let tested = run_tests(shell, &order, filter);
    // Where nothing was tested, that is all there is to say.
    if tested.as_ref().is_err_and(|error| error.is::<Failed>()) {
        return tested;
    }
    // Afterwards, so that a change of a size does not hide what it has broken.
    let repository = shell.current_dir();
    let sizes = sizes::check(&repository, &sizes, arguments.bless);
    let digests = digests::check(&repository, &path, &binaries, &index, arguments.bless);
    let mut errors: Vec<_> = [tested, sizes, digests].into_iter().filter_map(Result::err).collect();
    if errors.len() > 1 {
        bail!("{}", errors.iter().map(|error| format!("{error:#}")).collect::<Vec<_>>().join("; and "));
    }
    errors.pop().map_or(Ok(()), Err)
}

/// The root of a tree with the emulators of a release of Debian, among them one for that platform.
fn emulators(shell: &Shell, release: &str, platform: &Platform) -> Result<PathBuf> {
    let root = shell.current_dir().join("target/emulators").join(release);
    output::provide(&root, |new| {
        note!("Fetching the emulators of {release}");
        let suite = Mirror::new(shell).suite(release, &debian::architecture(shell)?, new)?;
        // In newer releases there are no others, and the package is called so.
        let package = "qemu-user";
        suite.unpack(QEMU_USER, package, new).or_else(|_| suite.unpack(package, package, new))
    })?;
    let emulator = emulator(&root, platform);
    let version = cmd!(shell, "{emulator} --version").quiet().read()?;
    note!("{}", version.lines().next().unwrap_or_default());
    Ok(root)
}

/// Where a platform's emulator is in the tree with that root.
fn emulator(root: &Path, platform: &Platform) -> PathBuf {
    let files = [platform.emulator(), format!("/usr/bin/qemu-{}", platform.qemu_user)];
    let [installed, newer] = files.map(|file| root.join(file.trim_start_matches('/')));
    if installed.exists() { installed } else { newer }
}

/// Runs the repository's tests.
fn run_tests(shell: &Shell, order: &Order, filter: Option<&str>) -> Result<()> {
    let mut tests = Command::new(build_tests(shell)?);
    // As cargo does it. Cargo itself would have more to say of an exit status.
    tests.current_dir(shell.current_dir()).env(Order::VARIABLE, serde_json::to_string(order)?);
    let status = tests.args(filter).status().context("can't start the tests")?;
    match status.code() {
        Some(0) => Ok(()),
        // They have said what was wrong with the filter.
        Some(2) => bail!(Failed(2)),
        _ => bail!("the tests failed"),
    }
}

/// Builds the repository's tests. Returns the executable.
fn build_tests(shell: &Shell) -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.current_dir(shell.current_dir()).args(["test", "--no-run", "--target", "host-tuple"]);
    cargo.args(["--package", "pause", "--test", "contract", "--message-format", "json-render-diagnostics"]);
    // The program is among what it builds.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", compiler::rustflags(shell, std::env::consts::ARCH)?);
    let output = cargo.stderr(Stdio::inherit()).output().context("can't start cargo")?;
    ensure!(output.status.success(), "the tests can't be built");
    let mut messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
    let executable = messages.find_map(|message| {
        let message = message.ok().filter(|message| message["target"]["name"] == "contract")?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.context("cargo does not say where the tests are")
}

/// What `--against` accepts.
///
/// # Errors
/// Where there is no such file.
pub fn existing_file(path: &str) -> Result<PathBuf> {
    let path = Path::new(path);
    ensure!(path.is_file(), "there is no such file; give the path of a pause program");
    Ok(path.canonicalize()?)
}
