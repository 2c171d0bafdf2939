//! The program's bytes, whatever the user has set cargo to.

use crate::Case;
use crate::checkout::{QUICK, on_linux};
use crate::place::{Place, Run, clear, original, run, set_mode};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use xtask::digest::sha256;
use xtask::platform;

pub const CASES: &[Case] = &[
    ("variables of cargo and rustc do not change the program", variables),
    ("a config.toml of a parent directory or of cargo's home does not change the program", files),
    ("wrappers and compilers that are set elsewhere do not change the program", programs),
    ("a crate that a parent directory replaces stops the build, and Cargo.lock stays", replaced_crate),
    ("the tests are built whatever RUSTFLAGS are", tests),
    ("a toolchain is used only if rustup has installed all of it", half_a_toolchain),
    ("cargo build stops if the toolchain has no linker", no_linker),
    ("cargo build stops at a flag that was added or lost, and names it", plain_build),
];

/// A flag that makes the program larger.
const FLAG: &str = "-Copt-level=3";

/// The target of the platform that is built.
fn target(place: &Place) -> Result<&'static str> {
    Ok(platform::parse(place.platform)?.target)
}

/// Builds the program again, with these variables and with a `config.toml` in the parent directory and in cargo's home.
fn build(place: &Place, parent: &str, home: &str, variables: &[(&str, &str)]) -> Result<Run> {
    let parents = place.checkout.parent().context("a parent")?.join(".cargo");
    let cargo_home = place.folder("cargo home")?;
    let real = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let real = real.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("there is no home directory")?;
    symlink(real.join("registry"), cargo_home.join("registry"))?;
    fs::write(cargo_home.join("config.toml"), home)?;
    fs::create_dir(&parents)?;
    fs::write(parents.join("config.toml"), parent)?;
    File::options().append(true).open(place.checkout.join("src/main.rs"))?.set_modified(SystemTime::now())?;
    clear(&place.dist())?;
    let mut command = place.xtask(&["build", "--platform", place.platform]);
    command.env("CARGO_HOME", &cargo_home).env("CARGO_CACHE_AUTO_CLEAN_FREQUENCY", "never");
    let build = run(command.envs(variables.iter().copied()));
    clear(&parents)?;
    clear(&cargo_home)?;
    build
}

/// Fails unless the golden program was built.
fn golden(place: &Place, build: &Run) -> Result<()> {
    ensure!(build.status.success(), "{}", build.stderr);
    let file = place.dist().join(format!("bin/pause-{}", place.platform.replace('/', "-")));
    let digest = sha256(&fs::read(file)?);
    let golden = fs::read_to_string(original().join("tests/image/digests.txt"))?;
    let is_golden = golden.lines().any(|line| line.starts_with(place.platform) && line.ends_with(&digest));
    ensure!(is_golden && build.stdout.trim_end().ends_with(" yes"), "other bytes: {}", build.stdout);
    Ok(())
}

fn variables(place: &Place) -> Result<()> {
    let of_target = format!("CARGO_TARGET_{}_RUSTFLAGS", target(place)?.to_uppercase().replace('-', "_"));
    for (name, value) in [
        ("RUSTFLAGS", FLAG),
        ("CARGO_ENCODED_RUSTFLAGS", FLAG),
        (&of_target, FLAG),
        ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3"),
        ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
    ] {
        golden(place, &build(place, "", "", &[(name, value)])?).context(format!("{name}={value}"))?;
    }
    Ok(())
}

fn files(place: &Place) -> Result<()> {
    let of_target = format!("[target.{}]\nrustflags = ['{FLAG}']", target(place)?);
    golden(place, &build(place, &of_target, "", &[])?).context("rustflags of a parent directory")?;
    for config in [
        &of_target,
        &format!("[target.'cfg(target_os = \"linux\")']\nrustflags = ['{FLAG}']"),
        "[profile.release]\nopt-level = 3\nlto = false\ncodegen-units = 16\npanic = 'unwind'\nstrip = false",
        "[profile.release]\ndebug = true\ndebug-assertions = true\noverflow-checks = true",
    ] {
        golden(place, &build(place, "", config, &[])?).context(config.to_owned())?;
    }
    let config = "[profile.release.package.pause]\nopt-level = 3";
    build(place, "", config, &[])?.fails(1, &["the profile's opt-level is not \"z\""])?;
    Ok(())
}

/// Writes a program. Returns its path.
fn script(directory: &Path, name: &str, command: &str) -> Result<String> {
    let file = directory.join(name);
    fs::write(&file, format!("#!/bin/sh\n{command}\n"))?;
    set_mode(&file, 0o755)?;
    Ok(file.to_str().context("a path in UTF-8")?.to_owned())
}

fn programs(place: &Place) -> Result<()> {
    let directory = place.folder("programs")?;
    let wrapper = script(&directory, "wrapper", &format!("exec \"$@\" {FLAG}"))?;
    let rustc = script(&directory, "rustc", &format!("exec rustc \"$@\" {FLAG}"))?;
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"] {
        golden(place, &build(place, "", "", &[(name, &wrapper)])?).context(name)?;
    }
    golden(place, &build(place, "", "", &[("RUSTC", &rustc)])?).context("RUSTC")?;
    for config in [
        format!("[build]\nrustc-wrapper = '{wrapper}'\nrustc-workspace-wrapper = '{wrapper}'"),
        format!("[build]\nrustc = '{rustc}'"),
    ] {
        golden(place, &build(place, "", &config, &[])?).context(config)?;
    }
    clear(&directory)
}

fn replaced_crate(place: &Place) -> Result<()> {
    let directory = place.folder("replaced")?;
    fs::create_dir(directory.join("src"))?;
    fs::write(directory.join("src/lib.rs"), "compile_error!(\"replaced\");")?;
    let lock = fs::read_to_string(place.checkout.join("Cargo.lock"))?;
    let (_, version) = lock.split_once("name = \"syscalls\"\nversion = \"").context("a crate of the program")?;
    let version = version.split('"').next().unwrap_or_default();
    let manifest = format!("package = {{ name = 'syscalls', version = '{version}' }}\nfeatures = {{ all = [] }}");
    fs::write(directory.join("Cargo.toml"), manifest)?;
    let config = format!("patch.crates-io.syscalls.path = '{}'", directory.display());
    build(place, &config, "", &[])?.fails(1, &["--locked"])?;
    ensure!(fs::read_to_string(place.checkout.join("Cargo.lock"))? == lock, "Cargo.lock has changed");
    clear(&directory)
}

fn tests(place: &Place) -> Result<()> {
    on_linux()?;
    run(place.xtask(&["test", "--platform", place.platform, QUICK]).env("RUSTFLAGS", FLAG))?.passes()?;
    Ok(())
}

fn half_a_toolchain(place: &Place) -> Result<()> {
    let directory = place.folder("rust")?;
    script(&directory, "rustc", "echo host; [ $# = 2 ] || echo /nowhere/rustlib/host/lib")?;
    let half = "mkdir -p \"$RUSTUP_HOME\"/toolchains/*-host/bin; echo 'error: no luck today' >&2";
    let path = format!("{}:{}", directory.display(), std::env::var("PATH")?);
    let mut build = place.xtask(&["build", "--platform", place.platform]);
    build.env("PATH", path);
    script(&directory, "rustup", &format!("{half}; kill -KILL $PPID"))?;
    ensure!(build.status()?.code().is_none(), "it was not killed");
    script(&directory, "rustup", &format!("{half}; exit 1"))?;
    for _ in 0..2 {
        run(&mut build)?.fails(1, &["rustup can't install Rust 1", "-host, see target/log/rustup.txt; "])?;
        let log = fs::read_to_string(place.checkout.join("target/log/rustup.txt"))?;
        ensure!(log == "error: no luck today\n", "{log}");
    }
    clear(&place.checkout.join("target/rustup"))?;
    clear(&directory)
}

fn no_linker(place: &Place) -> Result<()> {
    let directory = place.folder("no linker")?;
    let command = "[ \"$*\" = '--print sysroot' ] && echo /nowhere || exec rustc \"$@\"";
    let rustc = script(&directory, "rustc", command)?;
    let mut cargo = place.cargo(&["build", "--release", "--bin", "pause", "--target=host-tuple"]);
    let build = run(cargo.env("RUSTC", rustc))?;
    ensure!(
        build.stderr.contains("this toolchain has no rust-lld") && !build.stderr.contains("cc"),
        "{}",
        build.stderr
    );
    clear(&directory)
}

fn plain_build(place: &Place) -> Result<()> {
    let mut cargo = place.cargo(&["build", "--release", "--bin", "pause", "--target=host-tuple"]);
    let build = run(cargo.env("RUSTFLAGS", format!("-Cno-redzone=yes {FLAG}")))?;
    let message = format!("other than in .cargo/config.toml: + {FLAG}, - -Cllvm-args=-disable-machine-licm");
    ensure!(!build.status.success() && build.stderr.contains(&message), "{}", build.stderr);
    Ok(())
}
