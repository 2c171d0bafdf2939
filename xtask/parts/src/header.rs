//! The fields of the program's headers.

use object::elf;

/// A field of a header: its name, its size in bytes, and what it is for.
pub type Field = (&'static str, usize, &'static str);

/// The size of an address in the file's class, in bytes.
pub fn word_size(program: &[u8]) -> usize {
    if program[4] == elf::ELFCLASS64.0 { 8 } else { 4 }
}

/// The fields of the ELF header, with addresses of that many bytes.
#[rustfmt::skip]
pub fn elf_header(word: usize) -> Vec<Field> {
    vec![
        ("EI_MAG",        4,    "what makes it an ELF file"),
        ("EI_CLASS",      1,    "the size of addresses"),
        ("EI_DATA",       1,    "the byte order"),
        ("EI_VERSION",    1,    ""),
        ("EI_OSABI",      1,    ""),
        ("EI_ABIVERSION", 1,    ""),
        ("EI_PAD",        7,    ""),
        ("e_type",        2,    "executable at any address"),
        ("e_machine",     2,    "the architecture"),
        ("e_version",     4,    ""),
        ("e_entry",       word, "where it starts"),
        ("e_phoff",       word, "where the program headers are"),
        ("e_shoff",       word, "no section table"),
        ("e_flags",       4,    ""),
        ("e_ehsize",      2,    "bytes of this header"),
        ("e_phentsize",   2,    "bytes of a program header"),
        ("e_phnum",       2,    "program headers"),
        ("e_shentsize",   2,    ""),
        ("e_shnum",       2,    ""),
        ("e_shstrndx",    2,    ""),
    ]
}

/// The fields of a program header: the two classes differ in where p_flags is.
#[rustfmt::skip]
pub fn program_header(word: usize) -> Vec<Field> {
    let flags = ("p_flags", 4, "what is allowed there");
    let mut fields = vec![
        ("p_type",   4,    ""),
        ("p_offset", word, "where in the file"),
        ("p_vaddr",  word, "where in memory"),
        ("p_paddr",  word, ""),
        ("p_filesz", word, "bytes in the file"),
        ("p_memsz",  word, "bytes in memory"),
        ("p_align",  word, ""),
    ];
    fields.insert(if word == 8 { 1 } else { 6 }, flags);
    fields
}
