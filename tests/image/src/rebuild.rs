//! Builds the image again from a copy of the sources, with everything else as different as possible.

use crate::fact_of_image;
use crate::layout::Layout;
use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::{Completion, Trial};
use std::env::{current_exe, home_dir, join_paths, split_paths, var_os};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::sources;

/// Most seconds that the build may take: many times what one old core needs.
const TIMEOUT: &str = "1800";

/// A difference between the two builds.
struct Variation {
    name: &'static str,
    /// The command that makes the difference to the command that follows it.
    wrapper: Vec<String>,
    /// A command that prints the difference.
    probe: &'static [&'static str],
}

pub fn trials(image: Option<&Path>) -> Vec<Trial> {
    let sentence =
        "a copy of the sources gives the same bytes at another path, to another user, in another place and time";
    vec![fact_of_image(image, "pause.oci.tar", sentence, |archive| {
        let directory = tempfile::tempdir()?;
        // A path that a user may have.
        let copy = directory.path().join("a b ü");
        let repository = Path::new(".").canonicalize()?;
        sources::copy(&repository, &copy)?;
        fs::create_dir(copy.join("target"))?;
        symlink(repository.join("target/rustup"), copy.join("target/rustup"))?;
        let downloads = downloads()?;
        let variations = variations(directory.path(), &downloads)?;
        let (here, missing): (Vec<_>, Vec<_>) = variations.into_iter().partition(Variation::is_effective);
        let rebuilt = rebuild(&copy, &here, &Layout::read(archive)?)?;
        ensure!(rebuilt == fs::read(archive)?, "the archives differ");
        if let Some(lost) = downloads.iter().find(|file| !file.exists()) {
            bail!("the caller's cargo has lost {}", lost.display());
        }
        let missing: Vec<_> = missing.iter().map(|variation| variation.name).collect();
        Ok(match missing.is_empty() {
            true => Completion::Completed,
            false => Completion::ignored_with(format!("the bytes are the same without these: {}", missing.join(", "))),
        })
    })]
}

/// All variations. Their files are in this directory.
fn variations(directory: &Path, downloads: &[PathBuf]) -> Result<Vec<Variation>> {
    let [home, cargo, locales] = ["home", "home/cargo", "locales"].map(|name| directory.join(name));
    fs::create_dir(&home)?;
    fs::create_dir(&locales)?;
    copy_cargo_home(&cargo, downloads)?;
    // Turkish has a comma for a point, and an i of its own. If this or the next command fails, the probe notices.
    let turkish = locales.join("tr_TR.UTF-8");
    let _ = Command::new("localedef").args(["-i", "tr_TR", "-f", "UTF-8"]).arg(turkish).output();
    let clock = directory.join("clock.so");
    let rustc = ["--edition=2024", "--crate-type=cdylib", "tests/image/clock.rs", "-o"];
    let _ = Command::new("rustc").args(rustc).arg(&clock).output();

    let set = |name: &str, path: &Path| format!("{name}={}", path.display());
    let variation = |name, wrapper: &[&str], probe| {
        let wrapper = wrapper.iter().map(ToString::to_string).collect();
        Variation { name, wrapper, probe }
    };
    let homes = ["env", &set("HOME", &home), &set("CARGO_HOME", &cargo)];
    Ok(vec![
        variation("another umask", &["sh", "-c", "umask 067; exec \"$@\"", "sh"], &["sh", "-c", "umask"]),
        variation("other home directories", &homes, &["sh", "-c", "echo \"$HOME $CARGO_HOME\""]),
        variation(
            "another locale",
            &["env", &set("LOCPATH", &locales), "LC_ALL=tr_TR.UTF-8"],
            &["locale", "decimal_point"],
        ),
        variation("another time zone", &["env", "TZ=PAUSE-13:37"], &["date", "+%z"]),
        variation("one core", &["taskset", "--cpu-list", &first_core()?], &["nproc"]),
        // Only the number differs: the toolchain may be closed to other users.
        variation("another user", &["unshare", "--user", "--map-user=54321", "--map-group=54321"], &["id", "-u"]),
        variation("a clock twelve years ahead", &["env", &set("LD_PRELOAD", &clock)], &["date", "+%Y"]),
    ])
}

/// The caller's home of cargo.
fn cargo_home() -> Result<PathBuf> {
    let home = var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home_dir()?.join(".cargo")));
    home.context("there is no home directory")
}

/// The crates that cargo has downloaded.
fn downloads() -> Result<Vec<PathBuf>> {
    let registries = fs::read_dir(cargo_home()?.join("registry/cache"))?.collect::<Result<Vec<_>, _>>()?;
    let files = registries.iter().map(|registry| fs::read_dir(registry.path())).collect::<Result<Vec<_>, _>>()?;
    files.into_iter().flatten().map(|file| Ok(file?.path())).collect()
}

/// Makes a home for cargo with everything that it has downloaded for this repository and for `core`. No process with
/// another clock may see the caller's: cargo would delete what was not used for months.
fn copy_cargo_home(to: &Path, downloads: &[PathBuf]) -> Result<()> {
    let from = cargo_home()?;
    fs::create_dir_all(to.join("registry"))?;
    let index = Command::new("cp").arg("-R").arg(from.join("registry/index")).arg(to.join("registry")).status()?;
    ensure!(index.success(), "can't copy cargo's index");
    let _ = fs::copy(from.join("config.toml"), to.join("config.toml"));

    let mut toolchains = vec![sysroot()?];
    for home in fs::read_dir("target/rustup").into_iter().flatten().flatten() {
        toolchains.push(home.path().join("toolchains").join(home.file_name()));
    }
    let locks = toolchains.iter().map(|root| root.join("lib/rustlib/src/rust/library/Cargo.lock"));
    let crates: Vec<_> = locks.chain(["Cargo.lock".into()]).flat_map(|lock| crates(&lock)).collect();
    for file in downloads {
        if crates.iter().any(|name| file.ends_with(name)) {
            let copy = to.join(file.strip_prefix(&from)?);
            fs::create_dir_all(copy.parent().context("a file in a directory")?)?;
            fs::copy(file, copy)?;
        }
    }
    Ok(())
}

/// The names of the files of a lock file's crates.
fn crates(lock: &Path) -> Vec<String> {
    let lock = fs::read_to_string(lock).unwrap_or_default();
    let file = |package: &str| {
        let (name, rest) = package.split_once("\"\nversion = \"")?;
        Some(format!("{name}-{}.crate", rest.split('"').next()?))
    };
    lock.split("\nname = \"").filter_map(file).collect()
}

/// The root of the active toolchain.
fn sysroot() -> Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("can't start rustc")?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// The first core that this process may run on.
fn first_core() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no list of cores")?;
    Ok(list.trim().chars().take_while(char::is_ascii_digit).collect())
}

impl Variation {
    /// Whether this machine has it.
    fn is_effective(&self) -> bool {
        let output = |words: &[&str]| {
            let output = Command::new(words[0]).args(&words[1..]).output().ok()?;
            output.status.success().then_some(output.stdout)
        };
        let wrapper: Vec<_> = self.wrapper.iter().map(String::as_str).collect();
        let inside = output(&[&wrapper, self.probe].concat());
        inside.is_some() && inside != output(self.probe)
    }
}

/// Builds the image for the same platforms, with the same names, and returns the archive.
fn rebuild(sources: &Path, variations: &[Variation], layout: &Layout) -> Result<Vec<u8>> {
    let mut command = Command::new("timeout");
    // rustup's cargo would look for its own home.
    let path = var_os("PATH").unwrap_or_default();
    let path = [sysroot()?.join("bin")].into_iter().chain(split_paths(&path));
    command.current_dir(sources).env_clear().env("PATH", join_paths(path)?);
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_CACHE_AUTO_CLEAN_FREQUENCY", "never");
    // The tests are next to the tools.
    let xtask = current_exe()?.ancestors().nth(2).context("a file in a directory")?.join("xtask");
    command.arg(TIMEOUT).args(variations.iter().flat_map(|variation| &variation.wrapper)).arg(xtask).arg("image");
    for image in layout.images()? {
        command.args(["--platform", &image.platform()?]);
    }
    for name in layout.names()? {
        command.args(["--name", &name]);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(fs::read(sources.join("dist/pause.oci.tar"))?)
}
