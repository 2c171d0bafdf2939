//! `cargo xtask anatomy`: a picture of the program, every byte of it, drawn from the file that ships; or a listing.
//!
//! The file has no symbols. What is where comes from the linker, which is asked to tell while it links the
//! program a second time, and the two programs must be the same.

mod disassembly;
mod golden;
mod listing;
mod loongarch;
mod picture;
mod system_calls;

use anyhow::{Context, Result};
use clap::builder::{PathBufValueParser, TypedValueParser};
use disassembly::InstructionSet;
use parts::Part;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use xshell::Shell;
use xtask::command::{self, Misuse};
use xtask::platform::{self, PLATFORMS, Platform};
use xtask::{build, output, say};

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
    let Anatomy { platform, set, program, parts } = &anatomy;
    let picture = picture::draw(platform.name, set, program, parts)?;

    let usual = || shell.current_dir().join(format!("tests/anatomy/{}.svg", platform.file_name()));
    let file = arguments.output.clone().unwrap_or_else(usual);
    output::replace(&file, picture.as_bytes())?;
    say!("{}: {} bytes in {} parts", file.display(), program.len(), parts.len());
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
    golden::check(&shell.current_dir(), &listings, arguments.platform.is_none(), arguments.bless)?;
    say!("{} listings {}", listings.len(), if arguments.bless { "written" } else { "agree" });
    Ok(())
}

/// The first platform of each program: platforms can share one.
fn programs() -> Vec<&'static Platform> {
    let mut targets = BTreeSet::new();
    PLATFORMS.iter().filter(|platform| targets.insert(platform.target)).collect()
}

/// A program, taken apart.
struct Anatomy {
    platform: &'static Platform,
    set: &'static InstructionSet,
    program: Vec<u8>,
    parts: Vec<Part>,
}

impl Anatomy {
    /// Builds a platform's program and takes it apart.
    fn of(shell: &Shell, platform: &'static Platform) -> Result<Self> {
        let set = InstructionSet::of(platform)?;
        let (program, map) = build_with_map(shell, platform)?;
        let parts = parts::dissect(&program, &map, |function| set.code_size(function))?;
        Ok(Self { platform, set, program, parts })
    }

    /// The name and the text of its listing.
    fn listing(&self) -> Result<(String, String)> {
        Ok((self.platform.file_name(), golden::text(self.set, &self.program, &self.parts)?))
    }
}

/// Builds the program as it ships, and the linker's map of it.
fn build_with_map(shell: &Shell, platform: &'static Platform) -> Result<(Vec<u8>, String)> {
    parts::build_with_map(shell, || Ok(build::build(shell, &[platform])?.remove(0).content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    /// The repository. Cargo says where the package is; the executable may have been moved there from another checkout.
    fn repository() -> Shell {
        let shell = Shell::new().unwrap();
        shell.change_dir(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
        shell.change_dir("../..");
        shell
    }

    /// The real program, compiled with these flags beside the usual ones, its instruction set, and its map.
    fn build(platform: &'static Platform, flags: &str) -> (Vec<u8>, &'static InstructionSet, String) {
        type Built = BTreeMap<(&'static str, String), (Vec<u8>, String)>;
        // All tests build in one folder, and must not read what another one is writing.
        static BUILT: Mutex<Built> = Mutex::new(Built::new());
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        // Platforms can share a target.
        let built = built.entry((platform.target, flags.into())).or_insert_with(|| {
            let shell = repository();
            // Cargo joins these flags and those of .cargo/config.toml.
            let target = platform.target.to_uppercase().replace('-', "_");
            let _variable = shell.push_env(format!("CARGO_TARGET_{target}_RUSTFLAGS"), flags);
            build_with_map(&shell, platform).unwrap()
        });
        let (program, map) = built.clone();
        (program, InstructionSet::of(platform).unwrap(), map)
    }

    fn anatomy(platform: &'static Platform) -> Anatomy {
        let (program, set, map) = build(platform, "");
        let parts = parts::dissect(&program, &map, |function| set.code_size(function)).unwrap();
        Anatomy { platform, set, program, parts }
    }

    fn amd64() -> &'static Platform {
        platform::parse("linux/amd64").unwrap()
    }

    #[test]
    fn every_byte_is_drawn_once() {
        for platform in PLATFORMS {
            let Anatomy { set, program, parts, .. } = anatomy(platform);
            assert_eq!(parts.iter().filter(|part| part.kind == parts::Kind::Message).count(), 4);
            let picture = picture::draw(platform.name, set, &program, &parts).unwrap();
            assert_eq!(picture, picture::draw(platform.name, set, &program, &parts).unwrap());

            // A cell is a closed square in the path of its part.
            let paths = picture.lines().filter_map(|line| line.trim().strip_prefix("<path d=\"")?.split('"').next());
            let cells: Vec<_> = paths.flat_map(|path| path.split_terminator('z')).collect();
            let places: BTreeSet<_> = cells.iter().collect();
            assert_eq!((cells.len(), places.len()), (program.len(), program.len()), "{}", platform.name);
        }
    }

    #[test]
    fn the_listings_are_golden() {
        let listings: Vec<_> = programs().into_iter().map(|platform| anatomy(platform).listing().unwrap()).collect();
        golden::check(&repository().current_dir(), &listings, true, false).unwrap();
    }

    /// Neither more nor fewer than the contract says, on any platform.
    #[test]
    fn the_program_makes_the_system_calls_of_the_contract() {
        for platform in PLATFORMS {
            let Anatomy { set, program, parts, .. } = anatomy(platform);
            let functions = parts.into_iter().filter(|part| part.kind == parts::Kind::Function).map(|part| part.range);
            let instructions =
                functions.flat_map(|range| set.disassemble(&program[range.clone()], range.start).unwrap());
            let made: BTreeSet<_> = instructions.filter_map(|instruction| instruction.system_call).collect();
            let calls = contract::SystemCalls::of(platform.name).unwrap();
            assert_eq!(made.into_iter().collect::<Vec<_>>(), calls.own, "{}", platform.name);
        }
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let (program, set, map) = build(amd64(), "");
        let code_size = |function: &[u8]| set.code_size(function);
        let refused = |program: &[u8], map: &str| parts::dissect(program, map, code_size).unwrap_err().to_string();
        let is_function = |line: &&str| line.contains(":(.text.") && line.contains("write_if_ready");
        let without: Vec<_> = map.lines().filter(|line| !is_function(line)).collect();
        let twice: Vec<_> = map.lines().flat_map(|line| vec![line; 1 + usize::from(is_function(&line))]).collect();
        let longer = [program.as_slice(), &[0]].concat();
        assert!(refused(&program, &without.join("\n")).contains("nobody knows what the bytes"));
        assert!(refused(&program, &twice.join("\n")).contains("in another part"));
        assert!(refused(&program, &map.replace(":(.text.", ":(.data.")).contains("nobody knows what the section"));
        assert!(refused(&longer, &map).contains("the file ends at"));
    }

    #[test]
    fn the_mangling_of_symbols_does_not_matter() {
        let parts = |flags| {
            let (program, set, map) = build(amd64(), flags);
            (parts::dissect(&program, &map, |function| set.code_size(function)).unwrap(), map)
        };
        let ((usual, _), (v0, map)) = (parts(""), parts("-Csymbol-mangling-version=v0"));
        assert!(map.contains(":(.text._R"), "the flag is lost");
        assert_eq!(usual, v0);
    }
}
