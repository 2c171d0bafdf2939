//! Installs what a command needs and the machine lacks, or says how to.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::Once;
use xshell::{Shell, cmd};

/// The package lists are updated once, and only if something is to be installed.
static UPDATE: Once = Once::new();

/// Makes sure that `file` exists (an absolute path, or a program somewhere in `PATH`) by installing the
/// Debian packages that bring it. `why` ends the sentence "needed to".
///
/// # Errors
/// Where it can't be installed: one line with the remedy.
pub fn ensure(shell: &Shell, file: &str, packages: &[&str], why: &str) -> Result<()> {
    if exists(file) {
        return Ok(());
    }
    let list = packages.join(" ");
    if !exists("apt-get") {
        bail!("{file} is missing, needed to {why}; install it with this system's package manager (Debian: {list})");
    }
    if !is_root() {
        bail!("{file} is missing, needed to {why}; run `sudo apt-get install {list}`");
    }
    println!("Installing {list}, needed to {why}");
    // Another installation may be under way, and its clean-up must not take the archives of this one.
    let archives = tempfile::tempdir()?;
    let cache = format!("Dir::Cache::archives={}", archives.path().display());
    std::fs::create_dir(archives.path().join("partial"))?;
    // The package lists of a new machine are old or not there at all.
    UPDATE.call_once(|| {
        let updated = cmd!(shell, "apt-get update --quiet -o DPkg::Lock::Timeout=300").ignore_stdout().run();
        if let Err(error) = updated {
            println!("Going on with the package lists as they are: {error}");
        }
    });
    cmd!(
        shell,
        "apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=300 -o {cache} {packages...}"
    )
    .env("DEBIAN_FRONTEND", "noninteractive")
    .ignore_stdout()
    .run()
    .with_context(|| format!("can't install {list}, needed to {why}"))?;
    if !exists(file) {
        bail!("the packages {list} are installed, but did not bring {file}, needed to {why}");
    }
    Ok(())
}

/// Whether there is such a file, or such a program in `PATH`.
pub fn exists(file: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Joining an absolute path replaces the folder.
    std::env::split_paths(&path).any(|folder| folder.join(file).exists())
        || Path::new(file).is_absolute() && Path::new(file).exists()
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
