//! Programs that are broken on purpose, so that it shows that a boot can fail.

use anyhow::{Result, anyhow, ensure};
use object::elf::{FileHeader32, FileHeader64, ProgramHeader32, ProgramHeader64};
use object::pod::from_bytes_mut;
use object::{Endianness, elf};
use xtask::build::Binary;

/// A broken program.
pub struct BrokenProgram {
    /// What is wrong with it.
    pub flaw: String,
    /// The file.
    pub content: Vec<u8>,
}

/// What is done to a program's headers.
enum Damage {
    /// The first segment, and with it the entry point, moves up by so many bytes.
    Shift(u32),
    /// The table of segments is said to lie at this offset.
    Misplace(u32),
}

/// Variants of a program that a kernel with pages of so many bytes refuses.
///
/// # Errors
/// Where the program is no ELF file.
pub fn variants(binary: &Binary, page_size: u32) -> Result<[BrokenProgram; 2]> {
    // The file's offset 0 can't be mapped there. Half of 16 or 64 KiB is a multiple of the 4 KiB that user
    // space emulators think in.
    let shift = page_size / 2;
    let size = u32::try_from(binary.size())?;
    Ok([
        BrokenProgram {
            flaw: format!("its segment lies {shift} bytes into a page"),
            content: damage(binary, Damage::Shift(shift))?,
        },
        BrokenProgram {
            flaw: "its program headers lie past the end of the file".into(),
            content: damage(binary, Damage::Misplace(size))?,
        },
    ])
}

/// The program, damaged.
fn damage(binary: &Binary, damage: Damage) -> Result<Vec<u8>> {
    let endian = binary.platform.byte_order;
    let mut content = binary.content.clone();
    // The headers of both classes differ in the size of their numbers alone.
    macro_rules! damage {
        ($file:ident, $segment:ident, $word:ty) => {{
            let (file, _) = from_bytes_mut::<$file<Endianness>>(&mut content).map_err(|()| cut_off())?;
            ensure!(file.e_ident.magic == elf::ELFMAG, "the program is no ELF file");
            let (table, entry) = (file.e_phoff.get(endian), file.e_entry.get(endian));
            match damage {
                Damage::Misplace(offset) => file.e_phoff.set(endian, <$word>::from(offset)),
                Damage::Shift(bytes) => {
                    file.e_entry.set(endian, entry + <$word>::from(bytes));
                    let segments = content.get_mut(usize::try_from(table)?..).ok_or_else(cut_off)?;
                    let (segment, _) = from_bytes_mut::<$segment<Endianness>>(segments).map_err(|()| cut_off())?;
                    let address = segment.p_vaddr.get(endian);
                    segment.p_vaddr.set(endian, address + <$word>::from(bytes));
                }
            }
        }};
    }
    match binary.platform.class {
        elf::ELFCLASS32 => damage!(FileHeader32, ProgramHeader32, u32),
        _ => damage!(FileHeader64, ProgramHeader64, u64),
    }
    Ok(content)
}

fn cut_off() -> anyhow::Error {
    anyhow!("the program is cut off")
}
