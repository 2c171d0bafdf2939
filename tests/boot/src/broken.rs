//! Programs that are broken on purpose, so that it shows that a boot can fail.

use anyhow::{Context, Result};

/// A broken variant of the program.
pub struct Variant {
    /// What is wrong with it.
    pub flaw: String,
    /// The file.
    pub program: Vec<u8>,
}

/// Where the fields of an ELF header are that are to be damaged, and their size, in bytes. All are numbers of
/// the same size. <https://man7.org/linux/man-pages/man5/elf.5.html>
struct Layout {
    size: usize,
    entry: usize,
    table: usize,
    /// In a program header: where the address is.
    address: usize,
}

const ELF32: Layout = Layout { size: 4, entry: 24, table: 28, address: 8 };
const ELF64: Layout = Layout { size: 8, entry: 24, table: 32, address: 16 };

/// The variants that a kernel with such pages refuses.
///
/// # Errors
/// Where the program is no ELF file.
pub fn variants(program: &[u8], page_size: u64) -> Result<[Variant; 2]> {
    // The file's offset 0 can't be mapped there. Half of 16 or 64 KiB is a multiple of the 4 KiB that user
    // space emulators think in.
    let misaligned = {
        let mut file = File::new(program)?;
        let headers = file.number(file.layout.table)?;
        let address = headers as usize + file.layout.address;
        file.set(address, file.number(address)? + page_size / 2)?;
        file.set(file.layout.entry, file.number(file.layout.entry)? + page_size / 2)?;
        file.bytes
    };
    let beyond = {
        let mut file = File::new(program)?;
        file.set(file.layout.table, program.len() as u64)?;
        file.bytes
    };
    Ok([
        Variant { flaw: format!("its segment lies {} bytes into a page", page_size / 2), program: misaligned },
        Variant { flaw: "its program headers lie past the end of the file".into(), program: beyond },
    ])
}

/// An ELF file whose numbers can be changed.
struct File {
    bytes: Vec<u8>,
    layout: &'static Layout,
    is_big_endian: bool,
}

impl File {
    fn new(bytes: &[u8]) -> Result<Self> {
        let identity = bytes.get(..6).context("the program is no ELF file")?;
        let layout = if identity[4] == 1 { &ELF32 } else { &ELF64 };
        Ok(Self { bytes: bytes.to_vec(), layout, is_big_endian: identity[5] == 2 })
    }

    fn number(&self, at: usize) -> Result<u64> {
        let field = self.bytes.get(at..at + self.layout.size).context("the program is cut off")?;
        let join = |number, &byte: &u8| number << 8 | u64::from(byte);
        Ok(if self.is_big_endian { field.iter().fold(0, join) } else { field.iter().rev().fold(0, join) })
    }

    fn set(&mut self, at: usize, value: u64) -> Result<()> {
        let size = self.layout.size;
        let field = self.bytes.get_mut(at..at + size).context("the program is cut off")?;
        match self.is_big_endian {
            true => field.copy_from_slice(&value.to_be_bytes()[8 - size..]),
            false => field.copy_from_slice(&value.to_le_bytes()[..size]),
        }
        Ok(())
    }
}
