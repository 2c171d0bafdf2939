//! `cargo xtask answers`: whatever the kernel answers, the program does what it should, and each of its instructions is
//! there for a reason.

use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;
use xshell::Shell;
use xtask::{command, test};

/// Give the program every answer that a kernel can give, at every system call
#[derive(clap::Args)]
struct Arguments {
    /// Try this program instead; one for this machine
    #[arg(long, value_name = "PATH", conflicts_with = "bless", value_parser = test::existing_file)]
    against: Option<PathBuf>,
    /// Take what is tried now for what is to be tried
    #[arg(long)]
    bless: bool,
}

fn main() -> ExitCode {
    command::main_of_proof("answers", run)
}

#[cfg(not(target_arch = "x86_64"))]
fn run(_: &Shell, arguments: &Arguments) -> Result<()> {
    let Arguments { against: _, bless: _ } = arguments;
    anyhow::bail!(command::Misuse(
        "`cargo xtask answers` works on amd64, whose instructions it knows how to stop".into()
    ))
}

#[cfg(target_arch = "x86_64")]
fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    match &arguments.against {
        Some(path) => amd64::try_other(path),
        None => amd64::run(shell, arguments.bless),
    }
}

#[cfg(target_arch = "x86_64")]
mod amd64 {
    use answers::{Tally, explore};
    use anyhow::{Result, ensure};
    use harness::Program;
    use iced_x86::{Decoder, DecoderOptions};
    use std::path::Path;
    use xshell::Shell;
    use xtask::table::Table;
    use xtask::{build, platform, say};

    /// The golden file, relative to the repository.
    const FILE: &str = "tests/answers/answers.txt";

    /// How many violations are enough: more say no more.
    const ENOUGH: usize = 5;

    /// Tries a program of which nothing else is known.
    pub fn try_other(path: &Path) -> Result<()> {
        let Tally { runs, violations, .. } = explore(&Program::new(path.display().to_string(), path.into()), ENOUGH)?;
        say!("{runs} runs, {} violations", violations.len());
        ensure!(violations.is_empty(), "the program does not do what it should:\n{}", violations.join("\n"));
        Ok(())
    }

    /// Tries the program, and looks for instructions that nothing has led to.
    pub fn run(shell: &Shell, bless: bool) -> Result<()> {
        let platform = platform::native()?;
        let instructions = instructions(shell, platform)?;
        let program = Program::new(platform.name, build::program(shell, platform)?);
        let Tally { places, answers, runs, paths, reached, violations } = explore(&program, ENOUGH)?;
        let missed: Vec<_> = instructions.iter().filter(|place| !reached.contains(place)).collect();
        let counts = [places.len(), answers, runs, paths.len(), instructions.len(), instructions.len() - missed.len()];
        let headings =
            ["platform", "system calls", "answers", "runs", "paths", "instructions", "reached", "violations"];
        let counts = counts.into_iter().chain([violations.len()]).map(|count| count.to_string());
        let mut table = Table::new(headings);
        table.push([platform.name.into()].into_iter().chain(counts));
        say!("{table}");
        ensure!(violations.is_empty(), "the program does not do what it should:\n{}", violations.join("\n"));
        ensure!(missed.is_empty(), "no answer leads to the instructions at {missed:#x?}");
        let file = shell.current_dir().join(FILE);
        if bless {
            return table.write(&file);
        }
        ensure!(
            Table::read(&file)? == table,
            "{FILE} has something else; if that is on purpose, run `cargo xtask answers --bless`"
        );
        Ok(())
    }

    /// Offsets of the program's instructions in the file.
    fn instructions(shell: &Shell, platform: &'static platform::Platform) -> Result<Vec<u64>> {
        let (program, functions) = disasm::functions(shell, platform)?;
        let mut places = Vec::new();
        for (_, range) in functions {
            let start = range.start as u64;
            for instruction in &mut Decoder::with_ip(64, &program[range], start, DecoderOptions::NONE) {
                ensure!(!instruction.is_invalid(), "the bytes at {:#x} are not an instruction", instruction.ip());
                places.push(instruction.ip());
            }
        }
        Ok(places)
    }
}
