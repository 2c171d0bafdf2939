//! The programs under test, as the environment names them.

// Each test program uses what it needs of this module.
#![allow(dead_code)]

use std::env::consts::ARCH;
use std::path::Path;

/// A program under test.
#[derive(Clone)]
pub struct Program {
    /// The OCI platform that it is built for.
    pub platform: String,
    /// What starts it: the file itself, or an emulator, its arguments and the file.
    pub command: Vec<String>,
}

impl Program {
    /// The program's file.
    pub fn file(&self) -> &Path {
        Path::new(self.command.last().expect("a command has a word"))
    }

    /// Whether an emulator runs it.
    pub fn is_emulated(&self) -> bool {
        self.command.len() > 1
    }

    /// Whether it is what `cargo test` has built, not what ships.
    pub fn is_from_cargo(&self) -> bool {
        self.file() == Path::new(env!("CARGO_BIN_EXE_pause"))
    }
}

/// The programs of `PAUSE_PROGRAMS`, a list of `platform=command` separated by semicolons, where a command's
/// words are separated by spaces; or this machine's, as `cargo test` has built it.
///
/// # Panics
/// Where the variable is set to something else.
pub fn programs() -> Vec<Program> {
    let Ok(list) = std::env::var("PAUSE_PROGRAMS") else {
        return vec![Program { platform: host().into(), command: vec![env!("CARGO_BIN_EXE_pause").into()] }];
    };
    let parse = |entry: &str| {
        let (platform, command) = entry.split_once('=')?;
        let command: Vec<_> = command.split_whitespace().map(String::from).collect();
        (!command.is_empty()).then(|| Program { platform: platform.into(), command })
    };
    let programs: Option<_> = list.split(';').map(parse).collect();
    programs.unwrap_or_else(|| panic!("PAUSE_PROGRAMS is {list:?}, not platform=command;platform=command"))
}

/// The OCI platform of this machine.
fn host() -> &'static str {
    match ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        "x86" => "linux/386",
        "arm" => "linux/arm/v7",
        "powerpc64" => "linux/ppc64le",
        "s390x" => "linux/s390x",
        "riscv64" => "linux/riscv64",
        "loongarch64" => "linux/loong64",
        _ => panic!("pause has no port to {ARCH}"),
    }
}
