//! `-v` and `-V` ask for the version, and nothing else that memory can hold there.
//!
//! Thousands of strings are the arguments of one process: the program itself reads them, as the kernel has placed them.
//! One string at a time would take hours; a copy of the function would be another program.

use crate::cases::prints_its_name;
use anyhow::{Result, ensure};
use fastrand::Rng;
use harness::{Program, Role, Spawn, c_strings, process, wait};
use nix::libc;
use std::ffi::{CString, OsStr};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Duration;
use tempfile::TempDir;

/// The arguments that ask for the version.
const ASKING: [&[u8]; 2] = [b"-v", b"-V"];

/// Values of a byte of a string: all but zero.
const VALUES: usize = 255;

/// Strings of up to this many bytes are tried with all values. With the NUL at its end, such a string is a word, and all
/// that the program reads.
const LONGEST: usize = 3;

/// Pairs of strings per process: with the pointers to them they take less than a quarter of the stack, which is the
/// kernel's limit (execve(2)).
const PAIRS: usize = VALUES * VALUES;

/// The stack that processes usually have.
const STACK: u64 = 8 << 20;

/// Bytes between the last argument and the end of the stack besides the environment and the file's name: a word of zeros,
/// and the NULs of both. `do_execveat_common` in <https://github.com/torvalds/linux/blob/v6.12/fs/exec.c>
const PADDING: usize = size_of::<u64>() + 2;

/// A multiple of every page size.
const PAGES: usize = 64 << 10;

/// Pairs of consecutive strings, made of three bytes with all their values: the bytes that make each string.
struct Pairs([Range<usize>; 2]);

impl Pairs {
    /// Every string of up to three bytes, followed by every byte that can make a difference.
    fn all() -> impl Iterator<Item = Self> {
        let short =
            (1..=LONGEST).flat_map(|start| (start..=LONGEST).map(move |middle| Self([start..middle, middle..LONGEST])));
        // Every string of two bytes is followed by every other byte; these include every string of three bytes.
        short.chain([Self([1..LONGEST, 0..LONGEST])])
    }

    fn count(&self) -> usize {
        VALUES.pow((LONGEST - self.0[0].start.min(self.0[1].start)) as u32)
    }

    /// Some of the pairs, without strings that ask for the version.
    fn strings(&self, indices: Range<usize>) -> Vec<CString> {
        let strings = indices.flat_map(|index| {
            let bytes = [index / (VALUES * VALUES), index / VALUES, index].map(|digit| (digit % VALUES) as u8 + 1);
            let pair = self.0.each_ref().map(|range| bytes[range.clone()].to_vec());
            let asks = pair.iter().any(|string| ASKING.contains(&string.as_slice()));
            pair.into_iter().filter(move |_| !asks)
        });
        c_strings(strings)
    }
}

pub fn every_other(program: &Program, role: Role) -> Result<()> {
    for pairs in Pairs::all() {
        for start in (0..pairs.count()).step_by(PAIRS) {
            let strings = pairs.strings(start..pairs.count().min(start + PAIRS));
            let (first, last) = (strings[0].clone(), strings[strings.len() - 1].clone());
            let is_version = prints_version(program, role, strings)?;
            ensure!(!is_version, "it takes one of the strings from {first:?} to {last:?} for -v");
        }
    }
    Ok(())
}

pub fn long_ones(program: &Program, role: Role) -> Result<()> {
    const STARTS: [&[u8]; 6] = [b"-v", b"-V", b"-", b"v", b"V", b""];
    const LENGTHS: [Range<usize>; 3] = [1..6, 1..100, 1..100_000];
    const BATCH: usize = 1 << 20;
    for seed in 0..50 {
        let mut random = Rng::with_seed(seed);
        let (mut strings, mut size) = (Vec::new(), 0);
        while size < BATCH {
            let mut string = STARTS[random.usize(..STARTS.len())].to_vec();
            let lengths = LENGTHS[random.usize(..LENGTHS.len())].clone();
            let length = random.usize(lengths);
            string.extend((0..length).map(|_| random.u8(1..)));
            if !ASKING.contains(&string.as_slice()) {
                // Each has a pointer.
                size += string.len() + size_of::<u64>();
                strings.push(string);
            }
        }
        let is_version = prints_version(program, role, c_strings(strings))?;
        ensure!(!is_version, "it takes one of the random strings of seed {seed} for -v");
    }
    Ok(())
}

/// Whether the program prints its version rather than carry on.
fn prints_version(program: &Program, role: Role, arguments: Vec<CString>) -> Result<bool> {
    let spawn = Spawn { arguments, limits: vec![(libc::RLIMIT_STACK, STACK)], ..Spawn::new(role) };
    let mut child = spawn.spawn(program)?;
    let is_decided = || Ok(child.poll_status()?.is_some() || process::is_ready(child.pid())?);
    wait::until("it carries on, or ends", Duration::from_millis(1), is_decided)?;
    if child.poll_status()?.is_none() {
        return Ok(false);
    }
    let end = child.end()?;
    ensure!(end.status.success() && end.stdout.starts_with("pause"), "it ended with {end:?}");
    Ok(true)
}

pub fn before_arguments(program: &Program, role: Role) -> Result<()> {
    for asking in ASKING {
        for byte in 0..=u8::MAX {
            // An empty one if the byte is zero.
            prints_its_name(program, Spawn::new(role).arguments([asking, &[byte, b'x']]))?;
        }
    }
    Ok(())
}

/// After the last argument come the environment, the file's name and the end of the stack, or another page.
pub fn before_all_else(program: &Program, role: Role) -> Result<()> {
    let directory = TempDir::new()?;
    // Names of one byte, which come last on the stack. These two are directories.
    let names = (1..=u8::MAX).filter(|byte| !b"./".contains(byte)).map(|byte| vec![byte]);
    let file = program.file.canonicalize()?;
    for name in names.clone() {
        symlink(&file, directory.path().join(OsStr::from_bytes(&name)))?;
    }
    let name = file.as_os_str().as_bytes().to_vec();
    for asking in ASKING {
        let directory = || c_strings([directory.path().as_os_str().as_bytes()]).pop();
        let spawn = || Spawn { directory: directory(), ..Spawn::new(role).arguments([asking]) };
        for name in names.clone().chain([b"./x".to_vec(), name.clone()]) {
            let file = OsStr::from_bytes(&name).into();
            prints_its_name(&Program { file, ..program.clone() }, spawn())?;
        }
        let program = Program { file: file.clone(), ..program.clone() };
        for byte in 0..=u8::MAX {
            prints_its_name(&program, Spawn { environment: c_strings([[byte, b'x']]), ..spawn() })?;
        }
        // The page ends before, at and after the end of the string.
        for distance in PAGES - asking.len()..=PAGES + 1 {
            let variable = vec![b'x'; distance - PADDING - name.len()];
            prints_its_name(&program, Spawn { environment: c_strings([variable]), ..spawn() })?;
        }
    }
    Ok(())
}
