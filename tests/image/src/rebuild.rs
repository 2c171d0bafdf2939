//! Builds the image again from a copy of the sources, with everything else as different as possible.

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Trial};
use std::env::{current_exe, join_paths, split_paths, var_os};
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use xtask::test::Program;
use xtask::{platform, sources};

/// A difference between the two builds: its name, the beginning of a shell command that makes it for the command after
/// it, and a shell command that prints it. `$0` is a directory for files.
type Variation = (&'static str, &'static str, &'static str);

const VARIATIONS: [Variation; 7] = [
    ("another umask", "umask 067;", "umask"),
    ("other home directories", r#"HOME="$0/home" CARGO_HOME="$0/home/cargo""#, r#"echo "$HOME $CARGO_HOME""#),
    ("another locale", r#"LOCPATH="$0/locales" LC_ALL=tr_TR.UTF-8"#, "locale decimal_point"),
    ("another time zone", "TZ=PAUSE-13:37", "date +%z"),
    // The first of the processors that this process may use.
    (
        "one core",
        r"taskset --cpu-list $(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)",
        "nproc",
    ),
    // Only the number differs: the toolchain may be closed to other users.
    ("another user", "unshare --user --map-user=54321 --map-group=54321", "id -u"),
    // A path with a blank would be two in LD_PRELOAD.
    ("a clock twelve years ahead", r#"LD_LIBRARY_PATH="$0" LD_PRELOAD=clock.so"#, "date +%Y"),
];

/// Makes the files of the variations: a locale with a decimal comma and a second letter i, the library with the clock,
/// and a copy of cargo's downloads. With another clock, cargo would delete the caller's if they weren't used for months.
/// If a variation has no effect here, the case is skipped with its name, and `skips.txt` counts that.
const PREPARATION: &str = r#"
    mkdir -p "$0/locales" "$0/home/cargo/registry"
    localedef -i tr_TR -f UTF-8 "$0/locales/tr_TR.UTF-8" || echo "localedef reports a problem" >&2
    rustc --edition=2024 --crate-type=cdylib tests/image/clock.rs -o "$0/clock.so" || echo "there is no other clock" >&2
    cd "${CARGO_HOME:-$HOME/.cargo}"
    cp -R registry/index registry/cache "$0/home/cargo/registry"
    [ ! -e config.toml ] || cp config.toml "$0/home/cargo"
"#;

const DOWNLOADS: &str = r#"find -L "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -type f"#;

/// The first platform is this machine's. For the last one `core` is usually compiled, too.
pub fn trial(image: &Path, programs: &[Program]) -> Trial {
    let sentence =
        "a copy of the sources gives the same bytes at another path, to another user, in another place and time";
    let platforms = [programs.first(), programs.last()].into_iter().flatten().map(|program| program.name.clone());
    let (image, platforms) = (image.to_owned(), platforms.collect::<Vec<_>>());
    crate::case("pause.oci.tar", sentence, move || {
        let repository = Path::new(".").canonicalize()?;
        let directory = tempfile::tempdir_in(repository.join("target"))?;
        let copy = directory.path().join("a b ü");
        sources::copy(&repository, &copy)?;
        fs::create_dir(copy.join("target"))?;
        std::os::unix::fs::symlink(repository.join("target/rustup"), copy.join("target/rustup"))?;
        output(Command::new("sh").args(["-ec", PREPARATION]).arg(directory.path()))?;
        let downloads = output(Command::new("sh").args(["-c", DOWNLOADS]))?;
        let (here, missing): (Vec<_>, Vec<_>) =
            VARIATIONS.iter().partition(|variation| is_effective(variation, directory.path()));
        rebuild(&copy, &wrapper(&here, directory.path()), &platforms)?;
        let lost = downloads.lines().find(|file| !Path::new(file).exists());
        ensure!(lost.is_none(), "the caller's cargo has lost {}", lost.unwrap_or_default());
        for name in &platforms {
            let archive = xtask::image::air_gap_archive(platform::parse(name)?);
            let is_same = fs::read(copy.join("dist").join(&archive))? == fs::read(image.join(&archive))?;
            ensure!(is_same, "{archive} differs");
        }
        let missing: Vec<_> = missing.iter().map(|(name, ..)| *name).collect();
        Ok(match missing.is_empty() {
            true => Completion::Completed,
            false => Completion::ignored_with(format!("the bytes are the same without these: {}", missing.join(", "))),
        })
    })
}

/// The words of a command that varies the command after it.
fn wrapper(variations: &[&Variation], directory: &Path) -> Vec<OsString> {
    let words = |(_, start, _): &&Variation| {
        ["sh".into(), "-c".into(), format!("{start} \"$@\"").into(), directory.as_os_str().into()]
    };
    variations.iter().flat_map(words).collect()
}

fn is_effective(variation: &Variation, directory: &Path) -> bool {
    let probe = |wrapper: &[_]| output(Command::new("env").args(wrapper).args(["sh", "-c", variation.2])).ok();
    let inside = probe(&wrapper(&[variation], directory));
    inside.is_some() && inside != probe(&[])
}

fn rebuild(sources: &Path, wrapper: &[OsString], platforms: &[String]) -> Result<()> {
    // rustup's cargo would look for its own home.
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let toolchain = Path::new(sysroot.trim()).join("bin");
    let path = var_os("PATH").unwrap_or_default();
    let path = join_paths([toolchain].into_iter().chain(split_paths(&path)))?;
    // The tests are next to the tools.
    let xtask = current_exe()?.ancestors().nth(2).context("a file in a directory")?.join("xtask");
    let mut command = Command::new("env");
    command.current_dir(sources).env_clear().env("PATH", path);
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_CACHE_AUTO_CLEAN_FREQUENCY", "never");
    command.args(wrapper).arg(xtask).args(["image", "--air-gap"]);
    output(command.args(platforms.iter().flat_map(|name| ["--platform", name]))).map(drop)
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("can't start {command:?}"))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}
