//! Facts of each platform's ELF file: what a kernel of any page size needs, and nothing beyond.

use crate::fact;
use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Trial};
use object::Endianness;
use object::elf::*;
use object::read::elf::{FileHeader, ProgramHeader};
use xtask::platform::{self, Platform};
use xtask::test::{Order, Program};

/// The largest page that a kernel of any platform has, in bytes.
const LARGEST_PAGE: u64 = 64 * 1024;

/// Why some cases are about the file that ships only.
const NOT_SHIPPED: &str = "cargo leaves the linker's padding in; `cargo xtask test` checks the file that ships";

/// An ELF file, its two classes made one.
struct File {
    class: FileClass,
    byte_order: Endianness,
    kind: FileType,
    machine: Machine,
    entry: u64,
    sections: u64,
    segments: Vec<Segment>,
    size: u64,
}

#[derive(Debug)]
struct Segment {
    kind: ProgramType,
    flags: ProgramFlags,
    offset: u64,
    address: u64,
    size_in_file: u64,
    size_in_memory: u64,
    alignment: u64,
}

type Case = (&'static str, fn(&File, &Platform) -> Result<()>);

/// The cases about any file.
const CASES: [Case; 7] = [
    ("the file is position-independent, and of the platform's class, byte order and machine", is_of_the_platform),
    ("the file has one segment to load, from its first byte on, readable and executable", has_one_segment),
    ("the file asks for a stack that is not executable", has_a_plain_stack),
    ("no segment of the file is both writable and executable", is_never_writable_and_executable),
    ("the file has no interpreter, no dynamic section and no other section, so nothing to relocate", has_nothing_else),
    ("the file's entry point is in the segment, behind the headers", has_its_entry_inside),
    ("the file can be mapped with pages of up to 64 KiB", suits_every_page_size),
];

/// The cases about a file that ships.
const CASES_OF_SHIPPED: [Case; 2] = [
    ("the file ends with the last byte that is loaded", ends_with_the_segment),
    ("the file is within the platform's budget", is_within_budget),
];

pub fn trials(order: &Order) -> Vec<Trial> {
    let mut trials = Vec::new();
    for program in order.programs.iter().filter(|program| platform::parse(&program.name).is_ok()) {
        for (sentence, check) in CASES {
            trials.push(trial(program, sentence, check));
        }
        for (sentence, check) in CASES_OF_SHIPPED {
            trials.push(match order.shipped {
                true => trial(program, sentence, check),
                false => fact(&program.name, sentence, || Ok(Completion::ignored_with(NOT_SHIPPED))),
            });
        }
    }
    trials
}

fn trial(program: &Program, sentence: &str, check: fn(&File, &Platform) -> Result<()>) -> Trial {
    let program = program.clone();
    fact(&program.name.clone(), sentence, move || {
        check(&File::read(&program)?, platform::parse(&program.name)?)?;
        Ok(Completion::Completed)
    })
}

impl File {
    fn read(program: &Program) -> Result<Self> {
        let bytes = std::fs::read(&program.file).with_context(|| format!("can't read {}", program.file.display()))?;
        match bytes.get(4) {
            Some(&class) if class == ELFCLASS32.0 => Self::parse::<FileHeader32<Endianness>>(&bytes),
            _ => Self::parse::<FileHeader64<Endianness>>(&bytes),
        }
    }

    fn parse<Header: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Result<Self> {
        let header = Header::parse(bytes)?;
        let endian = header.endian()?;
        let segments = header.program_headers(endian, bytes)?.iter().map(|segment| Segment {
            kind: segment.p_type(endian),
            flags: segment.p_flags(endian),
            offset: segment.p_offset(endian).into(),
            address: segment.p_vaddr(endian).into(),
            size_in_file: segment.p_filesz(endian).into(),
            size_in_memory: segment.p_memsz(endian).into(),
            alignment: segment.p_align(endian).into(),
        });
        Ok(Self {
            class: header.e_ident().class,
            byte_order: endian,
            kind: header.e_type(endian),
            machine: header.e_machine(endian),
            entry: header.e_entry(endian).into(),
            sections: u64::from(header.e_shnum(endian)) + header.e_shoff(endian).into(),
            segments: segments.collect(),
            size: bytes.len() as u64,
        })
    }

    /// The one segment of this kind.
    fn only(&self, kind: ProgramType) -> Result<&Segment> {
        let mut segments = self.segments.iter().filter(|segment| segment.kind == kind);
        let first = segments.next().context("there is no such segment")?;
        ensure!(segments.next().is_none(), "there are several such segments");
        Ok(first)
    }
}

fn is_of_the_platform(file: &File, platform: &Platform) -> Result<()> {
    ensure!(file.class == platform.class, "its class is {}", file.class);
    ensure!(file.byte_order == platform.byte_order, "its byte order is {:?}", file.byte_order);
    ensure!(file.machine == platform.machine, "its machine is {}", file.machine);
    ensure!(file.kind == ET_DYN, "its type is {}", file.kind);
    Ok(())
}

fn has_one_segment(file: &File, _: &Platform) -> Result<()> {
    let segment = file.only(PT_LOAD)?;
    ensure!(segment.flags == PF_R | PF_X, "{segment:?}");
    ensure!(segment.offset == 0 && segment.size_in_file == segment.size_in_memory, "{segment:?}");
    Ok(())
}

fn has_a_plain_stack(file: &File, _: &Platform) -> Result<()> {
    let stack = file.only(PT_GNU_STACK)?;
    ensure!(stack.flags == PF_R | PF_W, "{stack:?}");
    Ok(())
}

fn is_never_writable_and_executable(file: &File, _: &Platform) -> Result<()> {
    let both = file.segments.iter().find(|segment| segment.flags.contains(PF_W | PF_X));
    ensure!(both.is_none(), "{both:?}");
    Ok(())
}

fn has_nothing_else(file: &File, _: &Platform) -> Result<()> {
    let other = file.segments.iter().find(|segment| ![PT_LOAD, PT_GNU_STACK].contains(&segment.kind));
    ensure!(other.is_none(), "{other:?}");
    ensure!(file.sections == 0, "it has a section table");
    Ok(())
}

fn has_its_entry_inside(file: &File, _: &Platform) -> Result<()> {
    let segment = file.only(PT_LOAD)?;
    let (header, entry_size) = if file.class == ELFCLASS64 { (64, 56) } else { (52, 32) };
    let start = segment.address + header + entry_size * file.segments.len() as u64;
    let code = start..segment.address + segment.size_in_file;
    ensure!(code.contains(&file.entry), "the entry point is {:#x}, the code is {code:#x?}", file.entry);
    Ok(())
}

fn suits_every_page_size(file: &File, _: &Platform) -> Result<()> {
    let segment = file.only(PT_LOAD)?;
    ensure!(segment.alignment.is_power_of_two(), "{segment:?}");
    ensure!(segment.offset % LARGEST_PAGE == segment.address % LARGEST_PAGE, "{segment:?}");
    Ok(())
}

fn ends_with_the_segment(file: &File, _: &Platform) -> Result<()> {
    let segment = file.only(PT_LOAD)?;
    let end = segment.offset + segment.size_in_file;
    ensure!(file.size == end, "the segment ends at {end}, the file at {}", file.size);
    Ok(())
}

fn is_within_budget(file: &File, platform: &Platform) -> Result<()> {
    ensure!(file.size <= platform.budget, "it is {} bytes, over {}", file.size, platform.budget);
    Ok(())
}
