//! Which arguments ask for the version: `-v` and `-V`, and nothing else that memory can hold there.
//!
//! Thousands of strings are the arguments of one process: it is the program itself that reads them, where and as
//! the kernel has put them. One string at a time would take hours; a copy of the function would be another program.

use anyhow::{Result, bail, ensure};
use fastrand::Rng;
use harness::{Program, Role, Start, Strings, process, wait};
use nix::libc;
use std::ffi::OsStr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::Duration;
use tempfile::TempDir;

/// The arguments that ask for the version.
const ASKING: [&[u8]; 2] = [b"-v", b"-V"];

/// How many values a byte of a string can have: it is not zero.
const VALUES: usize = 255;

/// How long strings are tried in every form. With the byte of zero at its end, such a one is a word, and all that the
/// program reads.
const LONGEST: usize = 3;

/// How many pairs of strings one process gets: with the pointers to them they are less than a quarter of the stack,
/// which is what the kernel allows (execve(2)).
const PAIRS: usize = VALUES * VALUES;

/// The stack that processes usually have.
const STACK: u64 = 8 << 20;

/// How many bytes can stand between the program's last argument and the end of the stack besides the environment and the
/// file's name: a word of zeros, and the zeros at the end of both. `do_execveat_common` in
/// <https://github.com/torvalds/linux/blob/v6.12/fs/exec.c>
const AROUND: usize = size_of::<u64>() + 2;

/// A multiple of every page size.
const PAGES: usize = 64 << 10;

/// Pairs of strings, one behind the other, made of three bytes with all their values.
struct Pairs {
    /// Which of the bytes make the first.
    first: Range<usize>,
    /// Which of the bytes make the second.
    second: Range<usize>,
}

impl Pairs {
    /// So many that they hold every string of up to three bytes, with every byte behind it that can make a difference.
    fn all() -> impl Iterator<Item = Self> {
        let short = (1..=LONGEST).flat_map(|start| {
            (start..=LONGEST).map(move |middle| Self { first: start..middle, second: middle..LONGEST })
        });
        // Every string of two bytes is followed by every other byte, and every string of three bytes is there.
        short.chain([Self { first: 1..LONGEST, second: 0..LONGEST }])
    }

    /// How many there are.
    fn count(&self) -> usize {
        VALUES.pow((LONGEST - self.first.start.min(self.second.start)) as u32)
    }

    /// Some of them, in which no string asks for the version.
    fn strings(&self, indices: Range<usize>) -> Strings {
        let mut strings = Strings::default();
        for index in indices {
            let bytes = [index / (VALUES * VALUES), index / VALUES, index].map(|digit| (digit % VALUES) as u8 + 1);
            let (first, second) = (&bytes[self.first.clone()], &bytes[self.second.clone()]);
            if !ASKING.contains(&first) && !ASKING.contains(&second) {
                strings.push(first);
                strings.push(second);
            }
        }
        strings
    }
}

/// Nothing else asks for the version.
pub fn every_other(program: &Program, role: Role) -> Result<()> {
    for pairs in Pairs::all() {
        for start in (0..pairs.count()).step_by(PAIRS) {
            let mut indices = start..pairs.count().min(start + PAIRS);
            if !is_asked(program, role, pairs.strings(indices.clone()))? {
                continue;
            }
            while indices.len() > 1 {
                let half = indices.start..indices.start + indices.len() / 2;
                indices = match is_asked(program, role, pairs.strings(half.clone()))? {
                    true => half,
                    false => half.end..indices.end,
                };
            }
            bail!("it takes one of {:?} for -v", pairs.strings(indices));
        }
    }
    Ok(())
}

/// No longer string asks for the version, however it begins.
pub fn long_ones(program: &Program, role: Role) -> Result<()> {
    const STARTS: [&[u8]; 6] = [b"-v", b"-V", b"-", b"v", b"V", b""];
    const LENGTHS: [Range<usize>; 3] = [1..6, 1..100, 1..100_000];
    const BATCH: usize = 1 << 20;
    for seed in 0..50 {
        let mut random = Rng::with_seed(seed);
        let (mut strings, mut size) = (Strings::default(), 0);
        while size < BATCH {
            let mut string = STARTS[random.usize(..STARTS.len())].to_vec();
            let lengths = LENGTHS[random.usize(..LENGTHS.len())].clone();
            let length = random.usize(lengths);
            string.extend((0..length).map(|_| random.u8(1..)));
            if ASKING.contains(&string.as_slice()) {
                continue;
            }
            // A pointer comes with it.
            size += string.len() + size_of::<u64>();
            strings.push(string);
        }
        ensure!(!is_asked(program, role, strings)?, "it takes one of the random strings of seed {seed} for -v");
    }
    Ok(())
}

/// Whether the program prints its version, with these arguments. Otherwise it carries on.
fn is_asked(program: &Program, role: Role, arguments: Strings) -> Result<bool> {
    let start = Start { arguments, limits: vec![(libc::RLIMIT_STACK, STACK)], ..Start::new(role) };
    let mut running = start.spawn(program)?;
    let is_decided = || Ok(running.poll_status()?.is_some() || process::is_ready(running.pid())?);
    wait::until("it carries on, or ends", Duration::from_millis(1), is_decided)?;
    if running.poll_status()?.is_none() {
        return Ok(false);
    }
    let end = running.end()?;
    ensure!(end.status.success() && end.stdout.starts_with("pause"), "it ended with {end:?}");
    Ok(true)
}

/// Fails where the program does not print its version.
fn prints(program: &Program, start: Start) -> Result<()> {
    let end = start.spawn(program)?.end()?;
    ensure!(end.status.success() && end.stdout.starts_with("pause") && end.stderr.is_empty(), "it ended with {end:?}");
    Ok(())
}

/// A string that begins with that byte: the empty one where it is zero.
fn beginning_with(byte: u8) -> [u8; 2] {
    [byte, b'x']
}

/// What asks for the version does so whatever argument follows.
pub fn before_arguments(program: &Program, role: Role) -> Result<()> {
    for asking in ASKING {
        for byte in 0..=u8::MAX {
            prints(program, Start::new(role).arguments([asking, &beginning_with(byte)]))?;
        }
    }
    Ok(())
}

/// What asks for the version does so whatever follows the last argument: the environment, the name of the program's
/// file, or another page.
pub fn before_all_else(program: &Program, role: Role) -> Result<()> {
    let folder = TempDir::new()?;
    // A name of one byte, and behind it comes the end of the stack. These two are folders.
    let names: Vec<_> = (1..=u8::MAX).filter(|byte| !b"./".contains(byte)).map(|byte| vec![byte]).collect();
    let file = program.file.canonicalize()?;
    for name in &names {
        symlink(&file, folder.path().join(OsStr::from_bytes(name)))?;
    }
    let name = file.as_os_str().as_bytes().to_vec();
    let names = names.into_iter().chain([b"./x".to_vec(), name.clone()]).collect::<Vec<_>>();

    for asking in ASKING {
        let start = || Start { folder: Some(folder.path().into()), ..Start::new(role).arguments([asking]) };
        for name in &names {
            let file = OsStr::from_bytes(name).into();
            prints(&Program { file, ..program.clone() }, start())?;
        }
        let program = Program { file: file.clone(), ..program.clone() };
        for byte in 0..=u8::MAX {
            prints(&program, Start { environment: [beginning_with(byte)].into_iter().collect(), ..start() })?;
        }
        // The page ends before, at and behind the end of the string.
        for distance in PAGES - asking.len()..=PAGES + 1 {
            let variable = vec![b'x'; distance - AROUND - name.len()];
            prints(&program, Start { environment: [variable].into_iter().collect(), ..start() })?;
        }
    }
    Ok(())
}
