//! The compilers that build the program, with this repository's flags and profile, whatever cargo's other settings.

use crate::platform::PLATFORMS;
use crate::prerequisites::{self, Prerequisites};
use crate::{flags, messages, output, status};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fmt, fs};
use xshell::{Shell, cmd};

/// A compiler, with its cargo and its linker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compiler {
    /// The active toolchain.
    Active,
    /// The toolchain of `rust-toolchain.toml`, installed by rustup in `target/rustup`.
    Private,
    /// Debian's packages.
    Debian,
}

/// By target.
pub type Compilers = BTreeMap<&'static str, Compiler>;

impl fmt::Display for Compiler {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.pad(match self {
            Compiler::Active => "active",
            Compiler::Private => "target/rustup",
            Compiler::Debian => "Debian's",
        })
    }
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_LINKER: &str = "/usr/bin/ld.lld-22";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib";

/// A file of the source of `core`, in a toolchain's library.
const SOURCE: &str = "src/rust/library/Cargo.lock";

/// Chooses a compiler for each target: `only` this one, or the active toolchain if it has `core` or its source, otherwise
/// the private one; Debian's if there is no rustup.
pub fn choose(
    shell: &Shell,
    targets: impl IntoIterator<Item = &'static str>,
    only: Option<Compiler>,
    prerequisites: &mut Prerequisites,
) -> Result<Compilers> {
    let active = Toolchain::of(shell, Compiler::Active)?;
    let other = if prerequisites::exists("rustup") { Compiler::Private } else { Compiler::Debian };
    let choice = |target| only.unwrap_or(if active.can_build(target) { Compiler::Active } else { other });
    let compilers: Compilers = targets.into_iter().map(|target| (target, choice(target))).collect();
    let is_chosen = |compiler| compilers.values().any(|chosen| *chosen == compiler);
    if is_chosen(Compiler::Private) {
        private(shell)?;
    }
    if is_chosen(Compiler::Debian) {
        let why = if other == Compiler::Private { "build with Debian's compiler" } else { "build without rustup" };
        prerequisites.file(DEBIAN_RUSTC, "rustc-web", why);
        prerequisites.file(DEBIAN_LINKER, "lld-22", why);
        prerequisites.file(&format!("{DEBIAN_LIBRARY}/{SOURCE}"), "rust-web-src", why);
    }
    Ok(compilers)
}

/// Fails if a `config.toml` replaces one of the program's crates by a directory (`paths`): cargo does that silently.
pub fn check_sources(shell: &Shell) -> Result<()> {
    let tree = cmd!(shell, "cargo tree --quiet --locked --package pause --edges normal --prefix none");
    let output = tree.quiet().ignore_status().output()?;
    ensure!(output.status.success(), "{}", reason(&String::from_utf8_lossy(&output.stderr)));
    let tree = String::from_utf8_lossy(&output.stdout);
    let replaced = tree.lines().skip(1).find(|line| line.ends_with(')') && !line.ends_with("(*)"));
    ensure!(replaced.is_none(), "a config.toml replaces {}; remove `paths` there", replaced.unwrap_or_default());
    Ok(())
}

/// Finds the tools of the pinned compiler's own LLVM, such as `llvm-objdump`. rustup adds them to the private toolchain.
pub fn llvm_tools(shell: &Shell) -> Result<PathBuf> {
    let (name, home) = private(shell)?;
    let component = cmd!(shell, "rustup --quiet component add llvm-tools --toolchain {name}");
    component.env("RUSTUP_HOME", home).quiet().ignore_stderr().run()?;
    let linker = Toolchain::of(shell, Compiler::Private)?.linker;
    Ok(linker.parent().context("a file in a directory")?.into())
}

pub fn channel(shell: &Shell) -> Result<String> {
    let file = shell.read_file("rust-toolchain.toml")?;
    let channel = file.lines().find_map(|line| line.strip_prefix("channel = "));
    Ok(channel.context("rust-toolchain.toml has no channel")?.trim_matches('"').into())
}

/// Installs the private toolchain with the source of `core`, unless it is there. Returns its name and home of rustup.
fn private(shell: &Shell) -> Result<(String, PathBuf)> {
    let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
    let name = format!("{}-{host}", channel(shell)?);
    // A release is built where `target` is a link to the repository's. Cargo compiles `core` again for another path.
    let target = shell.current_dir().join("target");
    let target = if cfg!(unix) { target.canonicalize().unwrap_or(target) } else { target };
    let home = target.join("rustup").join(&name);
    output::provide(&home, |home| {
        status!("fetching Rust {name} with the source of core into target/rustup");
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", &name, "--profile", "minimal", "--component", "rust-src"]);
        rustup.arg("--no-self-update").env("RUSTUP_HOME", home).env("RUST_BACKTRACE", "0");
        rustup.stdin(Stdio::null()).stdout(Stdio::null());
        if stderr().is_terminal() {
            rustup.stderr(Stdio::inherit()); // its progress
        }
        let output = rustup.output().context("can't start rustup")?;
        if output.status.success() {
            return Ok(());
        }
        let log = messages::log(shell, "rustup", &output.stderr);
        bail!("rustup can't install Rust {name}, see {log}; as an alternative, run `rustup component add rust-src`")
    })?;
    Ok((name, home))
}

pub struct Toolchain {
    cargo: PathBuf,
    pub rustc: PathBuf,
    /// lld, which links for every architecture.
    pub linker: PathBuf,
    library: PathBuf,
    /// Cargo's directory for programs, in the repository.
    target: &'static str,
}

impl Toolchain {
    pub fn of(shell: &Shell, compiler: Compiler) -> Result<Self> {
        let printed = cmd!(shell, "rustc --print host-tuple --print target-libdir").quiet().read()?;
        let (host, libraries) = printed.split_once('\n').context("rustc doesn't print its host and library")?;
        let (cargo, rustc, library, target) = match compiler {
            Compiler::Active => {
                let library = Path::new(libraries).ancestors().nth(2).context("rustc has no library")?;
                ("cargo".into(), "rustc".into(), library.into(), "target/cross")
            }
            Compiler::Private => {
                let (name, home) = private(shell)?;
                let root = home.join("toolchains").join(name);
                (root.join("bin/cargo"), root.join("bin/rustc"), root.join("lib/rustlib"), "target/cross-private")
            }
            Compiler::Debian => ("cargo".into(), DEBIAN_RUSTC.into(), DEBIAN_LIBRARY.into(), "target/cross-debian"),
        };
        let lld = format!("{host}/bin/rust-lld{}", env::consts::EXE_SUFFIX);
        let linker = if compiler == Compiler::Debian { DEBIAN_LINKER.into() } else { library.join(lld) };
        Ok(Self { cargo, rustc, linker, library, target })
    }

    fn can_build(&self, target: &str) -> bool {
        self.linker.exists() && (self.core(target).is_some() || self.library.join(SOURCE).exists())
    }

    pub fn core(&self, target: &str) -> Option<PathBuf> {
        let files = fs::read_dir(self.library.join(target).join("lib")).ok()?;
        let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
        files.flatten().find(|file| is_core(&file.file_name().to_string_lossy())).map(|file| file.path())
    }
}

/// Compiles and links a freestanding package, with the name of its program. Returns the linker's output.
///
/// The flags, the profile and the compiler are set in the environment, which takes precedence over any `config.toml`. The
/// linker of build scripts and the variables in `[env]` tables remain the caller's.
pub fn compile(shell: &Shell, compiler: Compiler, target: &str, package: &str, symbols: bool) -> Result<PathBuf> {
    const CHANGING: [&str; 4] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_UNSTABLE_"];
    let toolchain = Toolchain::of(shell, compiler)?;
    ensure!(toolchain.can_build(target), "the toolchain has neither core for {target} nor its source");
    let Toolchain { cargo, rustc, linker, target: directory, .. } = &toolchain;
    let mut command = cmd!(
        shell,
        "{cargo} rustc --quiet --locked --release --package {package} --bin {package} --target {target}
         --target-dir {directory}"
    );
    let changes = |name: &str| CHANGING.iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(changes)) {
        command = command.env_remove(name);
    }
    // rustup sets LD_LIBRARY_PATH to the active toolchain's libraries.
    command = command.env_remove("LD_LIBRARY_PATH").env_remove("PAUSE_SYMBOLS").env("CARGO_INCREMENTAL", "0");
    command = command.env("RUSTC", rustc).env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
    let platform = PLATFORMS.iter().find(|platform| platform.target == target);
    let architecture = platform.context("no platform has this target")?.architecture;
    let flags = flags::parse(&shell.read_file(".cargo/config.toml")?, architecture);
    command = command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let manifest = shell.read_file("Cargo.toml")?;
    let (_, profile) = manifest.split_once("[profile.release]\n").context("Cargo.toml has no release profile")?;
    let profile = profile.lines().take_while(|line| !line.is_empty());
    for (key, value) in profile.filter_map(|line| line.split_once(" = ")) {
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches('"');
        command = command.env(format!("CARGO_PROFILE_RELEASE_{}", key.to_uppercase().replace('-', "_")), value);
    }
    // Debian's compiles core too, to be as independent as possible.
    let compiles_core = compiler == Compiler::Debian || toolchain.core(target).is_none();
    // The crate `syscalls` needs a nightly feature, asm_experimental_arch, on s390x and powerpc64.
    command = command.env("RUSTC_BOOTSTRAP", if compiles_core { "1" } else { "syscalls" });
    command = command.args(compiles_core.then_some("-Zbuild-std=core"));
    if symbols {
        command = command.env("PAUSE_SYMBOLS", "1");
    }
    // Build scripts are linked by the host's linker.
    command = command.env("PAUSE_LINKER", linker).args(["--".into(), format!("-Clinker={}", linker.display())]);
    let output = command.quiet().ignore_status().output()?;
    if !output.status.success() {
        let log = messages::log(shell, "cargo", &output.stderr);
        bail!("{}; cargo's output is in {log}", reason(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(shell.current_dir().join(format!("{directory}/{target}/release/{package}")))
}

/// Finds the first error of the linker or else of the compiler, cut to fit into a message.
fn reason(messages: &str) -> String {
    let linker = messages.lines().find_map(|line| line.split_once("lld: error: "));
    let compiler = || messages.lines().find_map(|line| line.strip_prefix("error")?.split_once(": "));
    linker.or_else(compiler).map_or("cargo failed", |(_, error)| error).chars().take(120).collect()
}
