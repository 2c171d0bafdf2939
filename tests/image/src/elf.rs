//! Each platform's ELF file has what a kernel of any page size needs, and nothing else.

use crate::case;
use anyhow::{Context, Result, ensure};
use contract::BINARY_BUDGET;
use elf::abi::*;
use elf::endian::{AnyEndian, EndianParse};
use elf::file::{Class, FileHeader};
use elf::segment::ProgramHeader;
use libtest_mimic::{Completion, Trial};
use object::elf::ELFCLASS64;
use xtask::platform::{self, Platform};
use xtask::test::Program;

/// The largest page that a kernel of any platform has, in bytes.
const LARGEST_PAGE: u64 = 64 * 1024;

#[derive(Debug)]
struct File {
    header: FileHeader<AnyEndian>,
    segments: Vec<ProgramHeader>,
    size: u64,
}

type Case = (&'static str, fn(&File, &Platform) -> bool);

const CASES: [Case; 9] = [
    ("the file is position-independent, and of the platform's class, byte order and machine", |file, platform| {
        let FileHeader { class, endianness, e_type, e_machine, .. } = file.header;
        (class == Class::ELF64) == (platform.class == ELFCLASS64)
            && endianness.is_little() == (platform.byte_order == object::Endianness::Little)
            && (e_type, e_machine) == (ET_DYN, platform.machine.0)
    }),
    ("the file has one segment to load, from its first byte on, readable and executable", |file, _| {
        file.only(PT_LOAD).is_some_and(|segment| {
            segment.p_flags == PF_R | PF_X && segment.p_offset == 0 && segment.p_filesz == segment.p_memsz
        })
    }),
    ("the file asks for a stack that is not executable", |file, _| {
        file.only(PT_GNU_STACK).is_some_and(|stack| stack.p_flags == PF_R | PF_W)
    }),
    ("no segment of the file is both writable and executable", |file, _| {
        !file.segments.iter().any(|segment| segment.p_flags & PF_W != 0 && segment.p_flags & PF_X != 0)
    }),
    ("the file has no interpreter, no dynamic section and no other section, so nothing to relocate", |file, _| {
        let is_known = |segment: &ProgramHeader| [PT_LOAD, PT_GNU_STACK].contains(&segment.p_type);
        file.segments.iter().all(is_known) && (file.header.e_shoff, file.header.e_shnum) == (0, 0)
    }),
    ("the file's entry point is in the segment, behind the headers", |file, _| {
        let FileHeader { e_phoff, e_phentsize, e_phnum, e_entry, .. } = file.header;
        let headers = e_phoff + u64::from(e_phentsize) * u64::from(e_phnum);
        file.only(PT_LOAD)
            .is_some_and(|segment| (segment.p_vaddr + headers..segment.p_vaddr + segment.p_filesz).contains(&e_entry))
    }),
    ("the file can be mapped with pages of up to 64 KiB", |file, _| {
        file.only(PT_LOAD).is_some_and(|segment| {
            let is_congruent = segment.p_offset % LARGEST_PAGE == segment.p_vaddr % LARGEST_PAGE;
            segment.p_align.is_power_of_two() && is_congruent
        })
    }),
    ("the file ends with the last byte that is loaded", |file, _| {
        file.only(PT_LOAD).is_some_and(|segment| file.size == segment.p_offset + segment.p_filesz)
    }),
    ("the file is within the platform's budget", |file, platform| {
        // The linker enforces the largest of the budgets.
        let linker_script = include_str!("../../../linker.ld");
        file.size <= platform.budget && linker_script.contains(&format!("SIZEOF_HEADERS <= {BINARY_BUDGET},"))
    }),
];

pub fn trials(programs: &[Program]) -> Vec<Trial> {
    let cases = programs.iter().flat_map(|program| CASES.map(|case| (program.clone(), case)));
    let trial = |(program, (sentence, check)): (Program, Case)| {
        case(&program.name.clone(), sentence, move || {
            let file = File::read(&program)?;
            ensure!(check(&file, platform::parse(&program.name)?), "{file:#x?}");
            Ok(Completion::Completed)
        })
    };
    cases.map(trial).collect()
}

impl File {
    fn read(program: &Program) -> Result<Self> {
        let bytes = std::fs::read(&program.file).with_context(|| format!("can't read {}", program.file.display()))?;
        let file = elf::ElfBytes::minimal_parse(&bytes)?;
        let segments = file.segments().context("it has no segments")?.iter().collect();
        Ok(Self { header: file.ehdr, segments, size: bytes.len() as u64 })
    }

    /// The segment of this kind, if there is exactly one.
    fn only(&self, kind: u32) -> Option<&ProgramHeader> {
        let mut segments = self.segments.iter().filter(|segment| segment.p_type == kind);
        segments.next().filter(|_| segments.next().is_none())
    }
}
