//! Negative controls: broken programs, which a kernel must refuse.

use anyhow::{Context, Result};
use xtask::build::Binary;

pub fn variants(binary: &Binary, page_size: u32) -> Result<[(String, Vec<u8>); 2]> {
    // Offsets of the entry, of the program headers' offset, and of the first one's address. EI_CLASS is 2 for 64 bits.
    let [entry, headers, address] = if binary.content[4] == 2 { [24, 32, 64 + 16] } else { [24, 28, 52 + 8] };
    // The file's offset 0 can't be mapped to half a page, except by user-space emulators, whose pages have 4 KiB.
    let shift = page_size / 2;
    let mut misaligned = binary.content.clone();
    add(&mut misaligned, entry, shift)?;
    add(&mut misaligned, address, shift)?;
    let mut truncated = binary.content.clone();
    add(&mut truncated, headers, binary.content.len() as u32)?;
    Ok([
        (format!("its segment starts {shift} bytes into a page"), misaligned),
        ("its program headers are behind the end of the file".into(), truncated),
    ])
}

/// Adds to a field, which is small enough for the lower four bytes.
fn add(program: &mut [u8], offset: usize, summand: u32) -> Result<()> {
    // EI_CLASS and EI_DATA
    let (is_64_bit, is_big_endian) = (program[4] == 2, program[5] == 2);
    let offset = offset + if is_64_bit && is_big_endian { 4 } else { 0 };
    let word: &mut [u8; 4] =
        program.get_mut(offset..).and_then(<[u8]>::first_chunk_mut).context("the program is too short")?;
    *word = match is_big_endian {
        true => (u32::from_be_bytes(*word) + summand).to_be_bytes(),
        false => (u32::from_le_bytes(*word) + summand).to_le_bytes(),
    };
    Ok(())
}
