//! `cargo xtask anatomy`: a picture of the program, every byte of it, drawn from the file that ships.
//!
//! The file has no symbols. What is where comes from the linker, which is asked to tell while it links the
//! program a second time, and the two programs must be the same.

mod disassembly;
mod listing;
mod parts;
mod picture;

use crate::build::{self, Binary};
use crate::platform::{self, Platform};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use xshell::Shell;

/// Draw every byte of the program, with its disassembly, as an SVG
#[derive(clap::Args)]
pub struct Arguments {
    /// The platform whose program is drawn (linux/arm64, say) [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform::parse)]
    platform: Option<&'static Platform>,
    /// Where the picture goes [default: xtask/assets/anatomy-<PLATFORM>.svg]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// Where the program can't be built, or where a byte of it is unknown.
pub fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let native = || platform::PLATFORMS.iter().find(|platform| platform.is_native());
    let platform = arguments.platform.or_else(native);
    let platform = platform.context("pause is not built for this machine; name a platform with --platform")?;
    let (program, map) = build_with_map(shell, platform)?;
    let parts = parts::dissect(&program, &map)?;
    let picture = picture::draw(platform.name, &program, &parts)?;

    let file = format!("xtask/assets/anatomy-{}.svg", platform.file_name());
    let file = arguments.output.clone().unwrap_or(file.into());
    build::replace(&shell.current_dir().join(&file), picture.as_bytes(), 0o644)
        .with_context(|| format!("can't write {}", file.display()))?;
    println!("{}: {} bytes in {} parts", file.display(), program.len(), parts.len());
    Ok(())
}

/// Builds the program as it ships, and the linker's map of it.
fn build_with_map(shell: &Shell, platform: &'static Platform) -> Result<(Vec<u8>, String)> {
    let build = || -> Result<Vec<u8>> {
        let binaries = build::build(shell, &[platform])?;
        let [Binary { path, .. }] = binaries.as_slice() else { unreachable!("one platform, one program") };
        Ok(std::fs::read(path)?)
    };
    let shipped = build()?;
    // A new name each time: cargo then links anew, and so writes the map, even if nothing else has changed.
    let folder = tempfile::tempdir()?;
    let map = folder.path().join("map");
    let _variable = shell.push_env("PAUSE_LINK_MAP", &map);
    ensure!(build()? == shipped, "the program changes when the linker writes a map of it, so the map is of no use");
    Ok((shipped, std::fs::read_to_string(map).context("the linker wrote no map")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The real program, its parts, and its map.
    fn amd64() -> (Vec<u8>, String) {
        let shell = Shell::new().unwrap();
        shell.change_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        build_with_map(&shell, platform::parse("linux/amd64").unwrap()).unwrap()
    }

    #[test]
    fn every_byte_is_drawn_once() {
        let (program, map) = amd64();
        let parts = parts::dissect(&program, &map).unwrap();
        assert_eq!(parts.iter().filter(|part| part.kind == parts::Kind::Message).count(), 4);
        let picture = picture::draw("linux/amd64", &program, &parts).unwrap();
        assert_eq!(picture, picture::draw("linux/amd64", &program, &parts).unwrap());

        // A cell is a closed square in the path of its part.
        let paths = picture.lines().filter_map(|line| line.trim().strip_prefix("<path d=\"")?.split('"').next());
        let cells: Vec<_> = paths.flat_map(|path| path.split_terminator('z')).collect();
        let places: BTreeSet<_> = cells.iter().collect();
        assert_eq!((cells.len(), places.len()), (program.len(), program.len()));
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let (program, map) = amd64();
        let refused = |program: &[u8], map: &str| parts::dissect(program, map).unwrap_err().to_string();
        let is_function = |line: &&str| line.contains("14write_if_ready");
        let without: Vec<_> = map.lines().filter(|line| !is_function(line)).collect();
        let twice: Vec<_> = map.lines().flat_map(|line| vec![line; 1 + usize::from(is_function(&line))]).collect();
        let longer = [program.as_slice(), &[0]].concat();
        assert!(refused(&program, &without.join("\n")).contains("nobody knows what the bytes"));
        assert!(refused(&program, &twice.join("\n")).contains("in another part"));
        assert!(refused(&program, &map.replace(".text._ZN", ".data._ZN")).contains("nobody knows what the section"));
        assert!(refused(&longer, &map).contains("the file ends at"));
    }
}
