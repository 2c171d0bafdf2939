//! `cargo xtask disasm`: compares every byte of each platform's program, as text, with golden listings. The tools of
//! the compiler's own LLVM print the text.

use anyhow::{Context, Result, ensure};
use clap::Args;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use xshell::{Shell, cmd};
use xtask::platform::{Platform, Selection};
use xtask::{compiler, outln, output, subcommands};

#[derive(Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// Write the listings to the golden files
    #[arg(long)]
    bless: bool,
}

fn main() -> ExitCode {
    subcommands::main_of_subcommand("disasm", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let tools = compiler::llvm_tools(shell)?;
    shell.create_dir("target/listings")?;
    let platforms = prove::distinct(&arguments.selection);
    let mut different = Vec::new();
    for platform in &platforms {
        let listing = listing(shell, &tools, platform).with_context(|| format!("can't list {}", platform.name))?;
        let golden = format!("tests/prove/listings/{}.s", platform.file_name());
        let new = format!("target/listings/{}.s", platform.file_name());
        output::replace(&shell.current_dir().join(if arguments.bless { &golden } else { &new }), listing.as_bytes())?;
        if shell.read_file(&golden)? != listing {
            different.push(format!("{golden} differs: see `diff -u {golden} {new}`"));
        }
    }
    ensure!(different.is_empty(), "{}\nif intended, run `cargo xtask disasm --bless`", different.join("\n"));
    outln!("{} listings {}", platforms.len(), if arguments.bless { "written" } else { "agree" });
    Ok(())
}

/// Lists a platform's program: its headers, the sizes of all symbols, and the code.
fn listing(shell: &Shell, tools: &Path, platform: &'static Platform) -> Result<String> {
    let (binary, linked) = prove::build(shell, platform)?;
    prove::symbols(&binary.content, &fs::read(&linked)?)?;
    let shipped = tempfile::NamedTempFile::new()?;
    fs::write(&shipped, &binary.content)?;
    let shipped = shipped.path();
    let [readobj, nm, objdump] = ["llvm-readobj", "llvm-nm", "llvm-objdump"].map(|name| tools.join(name));
    let disassemble =
        "--disassemble --demangle --no-show-raw-insn --symbolize-operands --x86-asm-syntax=intel".split(' ');
    let commands = [
        cmd!(shell, "{readobj} --elf-output-style=GNU --file-header --program-headers {shipped}"),
        cmd!(shell, "{nm} --demangle --numeric-sort --print-size {linked}"),
        cmd!(shell, "{objdump} {disassemble...} {linked}"),
    ];
    let listing = commands.into_iter().map(|command| Ok(command.quiet().read()? + "\n")).collect::<Result<String>>()?;
    // Without the program's path, and the hashes that LLVM leaves in Rust's symbols: `pause::main::h0123456789abcdef`.
    let script = "/file format/d; s/::h[0-9a-f]{16}//g; s/ +$//";
    Ok(cmd!(shell, "sed -E {script}").stdin(listing).quiet().read()? + "\n")
}
