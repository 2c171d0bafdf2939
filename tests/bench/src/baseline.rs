//! The assembly baseline, and the program's budgets relative to it.

use crate::contender::Contender;
use crate::trace;
use anyhow::{Result, ensure};
use contract::{BASELINE_BYTES, BASELINE_INSTRUCTIONS};
use std::fs;
use std::path::PathBuf;
use xshell::{Shell, cmd};
use xtask::compiler::{self, Toolchain};
use xtask::flags::LINK;
use xtask::prerequisites::Prerequisites;
use xtask::{build, outln, platform};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Assembles it into `target/baseline` with the program's linker and link arguments. Returns its path.
pub fn build(shell: &Shell) -> Result<PathBuf> {
    ensure!(cfg!(target_arch = "x86_64"), "the assembly baseline is for x86-64 only");
    let mut prerequisites = Prerequisites::of("cargo xtask bench");
    let compiler = compiler::choose(shell, [TARGET], None, &mut prerequisites)?[TARGET];
    prerequisites.ensure_installed(shell)?;
    let Toolchain { rustc, linker, .. } = Toolchain::of(shell, compiler)?;
    let directory = shell.create_dir(shell.current_dir().join("target/baseline"))?;
    let (linked, path) = (directory.join("linked"), directory.join("baseline"));
    let link_arguments = LINK.iter().map(|argument| format!("-Clink-arg={argument}"));
    let rustc = cmd!(
        shell,
        "{rustc} --edition 2024 --crate-name baseline --target {TARGET} -Cpanic=abort -Cstrip=symbols
         -Clinker={linker} {link_arguments...} -o {linked} tests/bench/baseline/main.rs"
    );
    rustc.env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION")).quiet().run()?;
    shell.write_file(&path, build::trim(&shell.read_binary_file(&linked)?)?)?;
    fs::set_permissions(&path, fs::metadata(&linked)?.permissions())?;
    Ok(path)
}

pub fn check(shell: &Shell) -> Result<()> {
    let baseline = Contender::pause("baseline", build(shell)?);
    let pause = Contender::pause("pause", build::program(shell, platform::native()?)?);
    let measure = |contender: &Contender| -> Result<[u64; 2]> {
        Ok([fs::metadata(&contender.program.file)?.len(), trace::instructions(contender)?])
    };
    let budgets = [("bytes", BASELINE_BYTES), ("instructions to the last handler", BASELINE_INSTRUCTIONS)];
    for ((pause, baseline), (unit, budget)) in measure(&pause)?.into_iter().zip(measure(&baseline)?).zip(budgets) {
        let ratio = pause as f64 / baseline as f64;
        outln!("{pause} {unit}, {ratio:.2} times the baseline's {baseline}; the budget is {budget:.2} times");
        ensure!(ratio <= budget, "the program exceeds its budget of {unit}");
    }
    Ok(())
}
