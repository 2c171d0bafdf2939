//! Which compiler builds the program for a target, and how it is called: with the flags and the profile of this
//! repository, whatever cargo is set to elsewhere.

use crate::needs::{self, Needs};
use crate::platform::PLATFORMS;
use crate::{command, flags, note, output};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fmt, fs};
use xshell::{Cmd, Shell, cmd};

/// A compiler, with its cargo and its linker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Compiler {
    /// The active toolchain.
    Active,
    /// The toolchain of `rust-toolchain.toml`, which rustup installs in `target/rustup`.
    Private,
    /// Debian's packages.
    Debian,
}

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

/// The source of `core`, in a toolchain's library.
const SOURCE: &str = "src/rust/library/Cargo.lock";

/// Chooses a compiler for each target: `only` this one, or the active toolchain if it has `core` or its source, otherwise
/// the private one; Debian's if there is no rustup.
pub fn choose<'a>(
    shell: &Shell,
    targets: impl IntoIterator<Item = &'a str>,
    only: Option<Compiler>,
    needs: &mut Needs,
) -> Result<BTreeMap<&'a str, Compiler>> {
    let active = Toolchain::of(shell, Compiler::Active)?;
    let other = if needs::exists("rustup") { Compiler::Private } else { Compiler::Debian };
    let choice = |target| only.unwrap_or(if active.can_build(target) { Compiler::Active } else { other });
    let compilers: BTreeMap<_, _> = targets.into_iter().map(|target| (target, choice(target))).collect();
    for compiler in [Compiler::Private, Compiler::Debian] {
        if compilers.values().any(|chosen| *chosen == compiler) {
            provide(shell, compiler, needs)?;
        }
    }
    Ok(compilers)
}

/// Finds the tools of the pinned compiler's own LLVM: `llvm-objdump` and others.
pub fn llvm_tools(shell: &Shell) -> Result<PathBuf> {
    provide(shell, Compiler::Private, &mut Needs::of(""))?;
    let name = private_name(shell)?;
    let component = cmd!(shell, "rustup --quiet component add llvm-tools --toolchain {name}");
    component.env("RUSTUP_HOME", rustup_home(shell, &name)).quiet().ignore_stderr().run()?;
    let linker = Toolchain::of(shell, Compiler::Private)?.linker;
    Ok(linker.parent().context("a file in a directory")?.into())
}

fn provide(shell: &Shell, compiler: Compiler, needs: &mut Needs) -> Result<()> {
    match compiler {
        Compiler::Active => {}
        Compiler::Private => {
            let name = private_name(shell)?;
            output::provide(&rustup_home(shell, &name), |home| install(shell, &name, home))?;
        }
        Compiler::Debian => {
            let purpose = if needs::exists("rustup") { "build with Debian's compiler" } else { "build without rustup" };
            needs.file(DEBIAN_RUSTC, "rustc-web", purpose);
            needs.file(DEBIAN_LINKER, "lld-22", purpose);
            needs.file(&format!("{DEBIAN_LIBRARY}/{SOURCE}"), "rust-web-src", purpose);
        }
    }
    Ok(())
}

/// The name of the private toolchain: `1.95.0-x86_64-unknown-linux-gnu`.
fn private_name(shell: &Shell) -> Result<String> {
    let file = shell.read_file("rust-toolchain.toml")?;
    let channel =
        file.lines().find_map(|line| line.strip_prefix("channel = ")).context("rust-toolchain.toml has no channel")?;
    let host = cmd!(shell, "rustc --print host-tuple").quiet().read()?;
    Ok(format!("{}-{host}", channel.trim_matches('"')))
}

fn rustup_home(shell: &Shell, name: &str) -> PathBuf {
    // A release is built where `target` is a link to the repository's. Cargo compiles `core` anew for each compiler's path.
    let target = shell.current_dir().join("target");
    let target = if cfg!(unix) { target.canonicalize().unwrap_or(target) } else { target };
    target.join("rustup").join(name)
}

/// Has rustup install a toolchain, with the source of `core`, in a home of its own.
fn install(shell: &Shell, name: &str, home: &Path) -> Result<()> {
    note!("fetching Rust {name} with the source of core into target/rustup");
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", name, "--profile", "minimal", "--component", "rust-src", "--no-self-update"]);
    rustup.env("RUSTUP_HOME", home).env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(Stdio::null());
    if stderr().is_terminal() {
        rustup.stderr(Stdio::inherit()); // its progress
    }
    let output = rustup.output().context("can't start rustup")?;
    if !output.status.success() {
        let log = command::log(shell, "rustup", &output.stderr);
        bail!("rustup can't install Rust {name}, see {log}; `rustup component add rust-src` would do instead");
    }
    Ok(())
}

/// The programs of a compiler, and its library.
pub struct Toolchain {
    cargo: PathBuf,
    /// The compiler.
    pub rustc: PathBuf,
    linker: PathBuf,
    library: PathBuf,
}

impl Toolchain {
    /// Finds the programs of a compiler.
    pub fn of(shell: &Shell, compiler: Compiler) -> Result<Self> {
        let printed = cmd!(shell, "rustc --print host-tuple --print target-libdir").quiet().read()?;
        let (host, libraries) = printed.split_once('\n').context("rustc doesn't print its host and library")?;
        let (cargo, rustc, library) = match compiler {
            Compiler::Active => {
                let library = Path::new(libraries).ancestors().nth(2).context("rustc has no library")?;
                ("cargo".into(), "rustc".into(), library.into())
            }
            Compiler::Private => {
                let name = private_name(shell)?;
                let root = rustup_home(shell, &name).join("toolchains").join(&name);
                (root.join("bin/cargo"), root.join("bin/rustc"), root.join("lib/rustlib"))
            }
            Compiler::Debian => ("cargo".into(), DEBIAN_RUSTC.into(), DEBIAN_LIBRARY.into()),
        };
        let linker = match compiler {
            Compiler::Debian => DEBIAN_LINKER.into(),
            // It links for every architecture.
            _ => library.join(format!("{host}/bin/rust-lld{}", env::consts::EXE_SUFFIX)),
        };
        Ok(Self { cargo, rustc, linker, library })
    }

    fn can_build(&self, target: &str) -> bool {
        self.linker.exists() && (self.core(target).is_some() || self.library.join(SOURCE).exists())
    }

    /// The compiled `core` for a target.
    pub fn core(&self, target: &str) -> Option<PathBuf> {
        let files = fs::read_dir(self.library.join(target).join("lib")).ok()?;
        let is_core = |name: &str| name.starts_with("libcore-") && name.ends_with(".rlib");
        files.flatten().find(|file| is_core(&file.file_name().to_string_lossy())).map(|file| file.path())
    }
}

/// Compiles and links a freestanding package, with these further arguments of cargo's. Returns the linker's output.
pub fn compile(
    shell: &Shell,
    compiler: Compiler,
    target: &str,
    package: &str,
    program: &str,
    arguments: &[&str],
) -> Result<PathBuf> {
    let toolchain = Toolchain::of(shell, compiler)?;
    ensure!(toolchain.can_build(target), "the toolchain has neither core for {target} nor its source");
    let Toolchain { cargo, rustc, linker, .. } = &toolchain;
    let directory = match compiler {
        Compiler::Active => "target/cross",
        Compiler::Private => "target/cross-private",
        Compiler::Debian => "target/cross-debian",
    };
    let mut command = cmd!(
        shell,
        "{cargo} rustc --quiet --locked --release --package {package} --bin {program} --target {target}
         --target-dir {directory} {arguments...}"
    );
    // Debian's is there to be as independent as possible: it compiles core, too.
    if compiler == Compiler::Debian || toolchain.core(target).is_none() {
        command = command.arg("-Zbuild-std=core").env("RUSTC_BOOTSTRAP", "1");
    } else {
        // The crate `syscalls` needs a nightly feature, asm_experimental_arch, on s390x and powerpc64.
        command = command.env("RUSTC_BOOTSTRAP", "syscalls");
    }
    command = isolate(shell, command, target)?.env("RUSTC", rustc);
    // The build scripts have another linker than the program.
    command = command.env("PAUSE_LINKER", linker).args(["--".into(), format!("-Clinker={}", linker.display())]);
    let output = command.quiet().ignore_status().output()?;
    if !output.status.success() {
        let log = command::log(shell, "cargo", &output.stderr);
        let messages = String::from_utf8_lossy(&output.stderr);
        let error = messages.lines().find_map(|line| line.strip_prefix("error")?.split_once(": "));
        let error = error.map_or("cargo failed", |(_, error)| error);
        bail!("{}; cargo's output is in {log}", error.chars().take(100).collect::<String>());
    }
    Ok(shell.current_dir().join(format!("{directory}/{target}/release/{program}")))
}

/// Sets what compiling depends on, so that it is the same whatever the environment or any `config.toml` say: variables
/// take precedence over files.
fn isolate<'a>(shell: &Shell, mut command: Cmd<'a>, target: &str) -> Result<Cmd<'a>> {
    const CHANGING: [&str; 4] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_UNSTABLE_"];
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| CHANGING.iter().any(|prefix| name.starts_with(prefix))) {
            command = command.env_remove(name);
        }
    }
    // rustup sets it to the active toolchain's libraries.
    command = command.env_remove("LD_LIBRARY_PATH").env("CARGO_INCREMENTAL", "0");
    command = command.env("RUSTC_WRAPPER", "").env("RUSTC_WORKSPACE_WRAPPER", "");
    let platform =
        PLATFORMS.iter().find(|platform| platform.target == target).context("no platform has this target")?;
    command = command.env("CARGO_ENCODED_RUSTFLAGS", rustflags(shell, platform.architecture)?);
    let manifest = shell.read_file("Cargo.toml")?;
    let (_, profile) = manifest.split_once("[profile.release]\n").context("Cargo.toml has no release profile")?;
    let profile = profile.lines().take_while(|line| !line.is_empty());
    for (key, value) in profile.filter_map(|line| line.split_once(" = ")) {
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches('"');
        command = command.env(format!("CARGO_PROFILE_RELEASE_{}", key.to_uppercase().replace('-', "_")), value);
    }
    Ok(command)
}

/// The value of `CARGO_ENCODED_RUSTFLAGS` for an architecture (`target_arch`).
pub fn rustflags(shell: &Shell, architecture: &str) -> Result<String> {
    Ok(flags::parse(&shell.read_file(".cargo/config.toml")?, architecture).join("\x1f"))
}
