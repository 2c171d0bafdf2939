//! The program taken apart: a picture of it, every byte, drawn from the file that ships; or a listing.
//!
//! The file has no symbols. What is where comes from the linker, which is asked to tell while it links the
//! program a second time, and the two programs must be the same.

mod disassembly;
mod golden;
mod listing;
mod loongarch;
mod picture;
mod system_calls;

pub use golden::{Row, check as check_listings};

use anyhow::Result;
use disassembly::InstructionSet;
use parts::{Kind, Part};
use std::collections::BTreeSet;
use xshell::Shell;
use xtask::build;
use xtask::platform::{PLATFORMS, Platform};

/// The first platform of each program: platforms can share one.
pub fn programs() -> Vec<&'static Platform> {
    let mut targets = BTreeSet::new();
    PLATFORMS.iter().filter(|platform| targets.insert(platform.target)).collect()
}

/// A program, taken apart.
pub struct Anatomy {
    /// What it is for.
    pub platform: &'static Platform,
    set: &'static InstructionSet,
    /// Its bytes.
    pub program: Vec<u8>,
    /// What they belong to.
    pub parts: Vec<Part>,
}

impl Anatomy {
    /// Builds a platform's program and takes it apart.
    ///
    /// # Errors
    /// Where the platform's machine code or a byte of the program is unknown, or where it can't be built.
    pub fn of(shell: &Shell, platform: &'static Platform) -> Result<Self> {
        let set = InstructionSet::of(platform)?;
        let (program, map) = build_with_map(shell, platform)?;
        let parts = parts::dissect(&program, &map, |function| set.code_size(function))?;
        Ok(Self { platform, set, program, parts })
    }

    /// The name and the text of its listing.
    ///
    /// # Errors
    /// Where a part's bytes are not what the part is said to be.
    pub fn listing(&self) -> Result<(String, String)> {
        Ok((self.platform.file_name(), golden::text(self.set, &self.program, &self.parts)?))
    }

    /// Its picture, as SVG.
    ///
    /// # Errors
    /// Where a part's bytes are not what the part is said to be.
    pub fn picture(&self) -> Result<String> {
        picture::draw(self.platform.name, self.set, &self.program, &self.parts)
    }

    /// Its functions: the name of each and its instructions.
    ///
    /// # Errors
    /// Where some of the code is no instruction that is known.
    pub fn functions(&self) -> Result<Vec<(&str, Vec<Row>)>> {
        let functions = self.parts.iter().filter(|part| part.kind == Kind::Function);
        functions
            .map(|part| Ok((part.name.as_str(), golden::rows(self.set, &self.program, part, &self.parts)?)))
            .collect()
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
        xtask::platform::parse("linux/amd64").unwrap()
    }

    #[test]
    fn every_byte_is_drawn_once() {
        for platform in PLATFORMS {
            let Anatomy { set, program, parts, .. } = anatomy(platform);
            assert_eq!(parts.iter().filter(|part| part.kind == Kind::Message).count(), 4);
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
        check_listings(&repository().current_dir(), &listings, true, false).unwrap();
    }

    /// Neither more nor fewer than the contract says, on any platform.
    #[test]
    fn the_program_makes_the_system_calls_of_the_contract() {
        for platform in PLATFORMS {
            let Anatomy { set, program, parts, .. } = anatomy(platform);
            let functions = parts.into_iter().filter(|part| part.kind == Kind::Function).map(|part| part.range);
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
