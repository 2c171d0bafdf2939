//! What is tested: given by `cargo xtask test`, or else the program that cargo has just built.

use std::path::Path;

/// A pause program for one platform.
#[derive(Clone)]
pub struct Program {
    /// The OCI platform.
    pub platform: String,
    /// What to execute: an emulator, where one is needed, and the program's file.
    pub command: Vec<String>,
}

impl Program {
    /// The program's file.
    pub fn file(&self) -> &Path {
        Path::new(self.command.last().expect("a command has at least one word"))
    }

    /// Whether an emulator runs it.
    pub fn is_emulated(&self) -> bool {
        self.command.len() > 1
    }
}

/// The programs in `PAUSE_PROGRAMS`: a `;` between two, each a platform, a `=` and words of a command.
pub fn programs() -> Vec<Program> {
    let Ok(programs) = std::env::var("PAUSE_PROGRAMS") else {
        return vec![Program { platform: "host".into(), command: vec![env!("CARGO_BIN_EXE_pause").into()] }];
    };
    let parse = |program: &str| {
        let (platform, command) = program.split_once('=').expect("PAUSE_PROGRAMS: platform=command");
        Program { platform: platform.into(), command: command.split_whitespace().map(str::to_string).collect() }
    };
    programs.split(';').map(parse).collect()
}
