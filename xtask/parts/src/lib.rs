//! What each byte of the program belongs to: the ELF header, a program header, a function, a message or a
//! constant. No byte is left out and none belongs to two.

pub mod header;

use anyhow::{Context, Result, bail, ensure};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};
use std::ops::Range;
use xshell::Shell;

/// Bytes that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Where they are in the file.
    pub range: Range<usize>,
    /// What they are.
    pub kind: Kind,
    /// What a reader calls them.
    pub name: String,
}

/// What bytes can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// The first header.
    ElfHeader,
    /// A header of a segment.
    ProgramHeader,
    /// Code.
    Function,
    /// What the program says, and where.
    Message,
    /// Other data.
    Constant,
    /// What aligns the next part.
    Padding,
}

/// What the names of sections with a function and with a constant begin with. The rest is a symbol, mangled in
/// whichever way the compiler does that.
const TEXT: &str = ".text.";
const RODATA: &str = ".rodata.";

/// Builds the program, and has the linker write a map of it. `build` builds it as it ships.
///
/// # Errors
/// Where it can't be built, or is another program with a map than without one.
pub fn build_with_map(shell: &Shell, build: impl Fn() -> Result<Vec<u8>>) -> Result<(Vec<u8>, String)> {
    let shipped = build()?;
    // A new name each time: cargo then links anew, and so writes the map, even if nothing else has changed.
    let folder = tempfile::tempdir()?;
    let map = folder.path().join("map");
    let _variable = shell.push_env("PAUSE_LINK_MAP", &map);
    ensure!(build()? == shipped, "the program changes when the linker writes a map of it, so the map is of no use");
    Ok((shipped, std::fs::read_to_string(map).context("the linker wrote no map")?))
}

/// Takes the program apart, with the help of the linker's map. The parts are in the order of the file. `code_size`
/// is how many of a function's bytes are code, where the assembler has not marked that.
///
/// # Errors
/// Where a byte belongs to nothing, or to two things.
pub fn dissect(program: &[u8], map: &str, code_size: impl Fn(&[u8]) -> usize) -> Result<Vec<Part>> {
    let mut parts = match program.get(4) {
        Some(&class) if class == elf::ELFCLASS32.0 => headers::<elf::FileHeader32<Endianness>>(program),
        _ => headers::<elf::FileHeader64<Endianness>>(program),
    }?;
    // Behind the end of the file the map goes on with what is not loaded: the ABI of ppc64le reserves a
    // global offset table even if nothing is in it.
    for section in sections(map).into_iter().filter(|section| section.range.start < program.len()) {
        add_padding(&mut parts, &section)?;
        let Range { start, end } = section.range;
        let content = program.get(start..end).context("the map is of a larger program")?;
        let constants = match section.constants {
            Some(constants) => constants,
            None if section.name.starts_with(TEXT) => start + code_size(content),
            None => end,
        };
        for range in [start..constants, constants..end] {
            if !range.is_empty() {
                parts.push(identify(section.name, range.start >= constants, &program[range.clone()], range)?);
            }
        }
    }
    check(&parts, program.len())?;
    Ok(parts)
}

/// The headers, which the linker's map has no lines for.
fn headers<Elf: FileHeader<Endian = Endianness>>(program: &[u8]) -> Result<Vec<Part>> {
    let header = Elf::parse(program)?;
    let endian = header.endian()?;
    let whole = 0..usize::from(header.e_ehsize(endian));
    let mut parts = vec![Part { range: whole, kind: Kind::ElfHeader, name: "ELF header".into() }];
    let mut start = usize::try_from(header.e_phoff(endian).into())?;
    for segment in header.program_headers(endian, program)? {
        let (offset, address): (u64, u64) = (segment.p_offset(endian).into(), segment.p_vaddr(endian).into());
        ensure!(offset == address, "the map names addresses, which are offsets only if the file begins at address 0");
        let end = start + usize::from(header.e_phentsize(endian));
        let name = format!("program header {:?}", segment.p_type(endian));
        parts.push(Part { range: start..end, kind: Kind::ProgramHeader, name });
        start = end;
    }
    Ok(parts)
}

/// A section of an object file, which holds one function or one constant, and where the linker put it.
struct Section<'a> {
    name: &'a str,
    range: Range<usize>,
    alignment: usize,
    /// Where its code ends and its constants begin, if the assembler marked that.
    constants: Option<usize>,
}

/// The sections in a map of lld's. A line is an address, the address it is loaded to, a size, an alignment
/// and, with more or less indentation, a section of the output, a section of an object or a symbol.
fn sections(map: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section> = Vec::new();
    for line in map.lines() {
        let mut columns = line.split_whitespace();
        let mut number = |radix| usize::from_str_radix(columns.next()?, radix).ok();
        let (Some(start), Some(_), Some(size), Some(alignment)) = (number(16), number(16), number(16), number(10))
        else {
            continue;
        };
        if let Some((_, name)) = line.strip_suffix(')').and_then(|line| line.rsplit_once(":(")) {
            if size > 0 {
                sections.push(Section { name, range: start..start + size, alignment, constants: None });
            }
        } else if columns.next() == Some("$d")
            && let Some(section) = sections.last_mut()
            && section.range.contains(&start)
        {
            section.constants.get_or_insert(start);
        }
    }
    sections
}

/// Accounts for the bytes that align a section.
fn add_padding(parts: &mut Vec<Part>, section: &Section) -> Result<()> {
    let end = parts.last().map_or(0, |part| part.range.end);
    let gap = end..section.range.start;
    if !gap.is_empty() {
        ensure!(gap.len() < section.alignment, "nobody knows what the bytes {gap:#x?} are");
        parts.push(Part { range: gap, kind: Kind::Padding, name: "padding".into() });
    }
    Ok(())
}

/// Says what a section, or the constants at its end, holds.
fn identify(section: &str, constants: bool, content: &[u8], range: Range<usize>) -> Result<Part> {
    let name = |symbol: &str| {
        let name = format!("{:#}", rustc_demangle::demangle(symbol));
        name.strip_prefix("pause::").map(String::from).unwrap_or(name)
    };
    let (kind, name) = if let Some(symbol) = section.strip_prefix(TEXT) {
        match constants {
            true => (Kind::Constant, format!("constants of {}", name(symbol))),
            false => (Kind::Function, name(symbol)),
        }
    } else if let Some(symbol) = section.strip_prefix(RODATA) {
        // A message is a file, a length, and a text of that length.
        match content {
            [file, length, text @ ..] if text.len() == usize::from(*length) && text.ends_with(b"\n") => {
                (Kind::Message, format!("{:?} to file {file}", String::from_utf8_lossy(text)))
            }
            _ => (Kind::Constant, name(symbol)),
        }
    } else {
        bail!("nobody knows what the section {section} holds");
    };
    Ok(Part { range, kind, name })
}

/// Makes sure that every byte of the file belongs to one part.
fn check(parts: &[Part], size: usize) -> Result<()> {
    let mut end = 0;
    for part in parts {
        ensure!(part.range.start >= end, "{} begins at {:#x}, in another part", part.name, part.range.start);
        ensure!(part.range.start == end, "nobody knows what the bytes {:#x?} are", end..part.range.start);
        end = part.range.end;
    }
    ensure!(end == size, "the parts end at {end:#x}, the file ends at {size:#x}");
    Ok(())
}
