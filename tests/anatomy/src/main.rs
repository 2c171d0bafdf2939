//! `cargo xtask anatomy`: a picture of the program, every byte of it, or a listing.

use anatomy::{Anatomy, programs};
use anyhow::{Context, Result};
use clap::builder::{PathBufValueParser, TypedValueParser};
use std::path::PathBuf;
use std::process::ExitCode;
use xshell::Shell;
use xtask::command::{self, Misuse};
use xtask::platform::{self, PLATFORMS, Platform};
use xtask::{output, say};

/// What is drawn, and where the picture goes.
#[derive(clap::Args)]
struct Arguments {
    /// The platform whose program is drawn or listed (linux/arm64, say) [default: this machine's; for listings, all]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform::parse)]
    platform: Option<&'static Platform>,

    /// Compare the listing of each platform's program with the golden one
    #[arg(long, conflicts_with = "output")]
    listing: bool,

    /// Take the listings as they are now for right
    #[arg(long, requires = "listing")]
    bless: bool,

    /// Where the picture goes [default: tests/anatomy/<PLATFORM>.svg in the repository]
    #[arg(long, value_name = "FILE", value_parser = PathBufValueParser::new().try_map(output::destination))]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    command::main_of_proof("anatomy", run)
}

/// Runs the command.
///
/// # Errors
/// Where the platform's machine code or a byte of the program is unknown, where a listing is not the golden one, or
/// where something can't be built or written.
fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    if arguments.listing {
        return list(shell, arguments);
    }
    let local = || PLATFORMS.iter().find(|platform| platform.is_local());
    let none = || Misuse("pause has no port for this machine's processor; name a platform with --platform".into());
    let anatomy = Anatomy::of(shell, arguments.platform.or_else(local).ok_or_else(none)?)?;
    let picture = anatomy.picture()?;

    let usual = || shell.current_dir().join(format!("tests/anatomy/{}.svg", anatomy.platform.file_name()));
    let file = arguments.output.clone().unwrap_or_else(usual);
    output::replace(&file, picture.as_bytes())?;
    say!("{}: {} bytes in {} parts", file.display(), anatomy.program.len(), anatomy.parts.len());
    Ok(())
}

/// Compares listings with the golden ones.
fn list(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let is_chosen = |platform: &&Platform| arguments.platform.is_none_or(|chosen| chosen.target == platform.target);
    let platforms: Vec<_> = programs().into_iter().filter(is_chosen).collect();
    let listing = |platform: &&'static Platform| {
        let listing = Anatomy::of(shell, platform).and_then(|anatomy| anatomy.listing());
        listing.with_context(|| format!("can't list {}", platform.name))
    };
    let listings = platforms.iter().map(listing).collect::<Result<Vec<_>>>()?;
    anatomy::check_listings(&shell.current_dir(), &listings, arguments.platform.is_none(), arguments.bless)?;
    say!("{} listings {}", listings.len(), if arguments.bless { "written" } else { "agree" });
    Ok(())
}
