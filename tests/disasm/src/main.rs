//! `cargo xtask disasm`: every byte of each platform's program as text, compared with golden listings. The text is what
//! the tools of the compiler's own LLVM print.

use anyhow::{Context, Result, bail};
use clap::Args;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use xshell::{Shell, cmd};
use xtask::platform::{Platform, Selection};
use xtask::{command, compiler, output, say};

#[derive(Args)]
struct Arguments {
    #[command(flatten)]
    selection: Selection,

    /// Write the listings to the golden files
    #[arg(long)]
    bless: bool,
}

/// Directory of the golden files, relative to the repository.
const GOLDEN: &str = "tests/disasm/listings";

fn main() -> ExitCode {
    command::main_of_proof("disasm", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let tools = compiler::llvm_tools(shell)?;
    // Some platforms share a program.
    let mut targets = BTreeSet::new();
    let mut platforms = arguments.selection.platforms();
    platforms.retain(|platform| targets.insert(platform.target));
    for platform in &platforms {
        let listing = listing(shell, &tools, platform).with_context(|| format!("can't list {}", platform.name))?;
        let file = format!("{GOLDEN}/{}.s", platform.file_name());
        check(&shell.current_dir().join(file), &listing, arguments.bless)?;
    }
    say!("{} listings {}", platforms.len(), if arguments.bless { "written" } else { "agree" });
    Ok(())
}

/// Lists a platform's program: its headers, the sizes of all symbols, and the code.
fn listing(shell: &Shell, tools: &Path, platform: &'static Platform) -> Result<String> {
    let (binary, linked) = disasm::build(shell, platform)?;
    disasm::symbols(&binary.content, &fs::read(&linked)?)?;
    let shipped = tempfile::NamedTempFile::new()?;
    fs::write(&shipped, &binary.content)?;
    let (shipped, [readobj, nm, objdump]) =
        (shipped.path(), ["llvm-readobj", "llvm-nm", "llvm-objdump"].map(|name| tools.join(name)));
    let commands = [
        cmd!(shell, "{readobj} --elf-output-style=GNU --file-header --program-headers {shipped}"),
        cmd!(shell, "{nm} --demangle --numeric-sort --print-size {linked}"),
        cmd!(
            shell,
            "{objdump} --disassemble --demangle --no-show-raw-insn --symbolize-operands --x86-asm-syntax=intel {linked}"
        ),
    ];
    let mut listing = String::new();
    for command in commands {
        // The path is this machine's, and a symbol's hash is the compiler's version's.
        let text = command.quiet().read()?;
        let lines = text.lines().filter(|line| !line.contains("file format"));
        lines.for_each(|line| listing += &format!("{}\n", disasm::without_hashes(line).trim_end()));
    }
    Ok(listing)
}

/// Compares a listing with the golden one, or writes it.
fn check(golden: &Path, listing: &str, bless: bool) -> Result<()> {
    if bless {
        return output::replace(golden, listing.as_bytes());
    }
    let text = fs::read_to_string(golden).with_context(|| format!("can't read {}", golden.display()))?;
    if text == listing {
        return Ok(());
    }
    let mut lines = text.lines().zip(listing.lines()).zip(1..);
    let different = lines.find(|((old, new), _)| old != new);
    let ((old, new), line) = different.unwrap_or((("the end", "more, or less"), 0));
    bail!("{}:{line} is `{old}`, now `{new}`; `cargo xtask disasm --bless` takes it", golden.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown() {
        let golden = tempfile::NamedTempFile::new().unwrap();
        let error = |listing| check(golden.path(), listing, false).unwrap_err().to_string();
        check(golden.path(), "a\nb\n", true).unwrap();
        check(golden.path(), "a\nb\n", false).unwrap();
        assert!(error("a\nc\n").contains(":2 is `b`, now `c`"));
        assert!(error("a\nb\nc\n").contains("the end"));
    }
}
