//! `cargo xtask docs`: checks the documents and generates their tables.

mod checks;
mod commands;
mod tables;

use anyhow::{Context, Result, ensure};
use docs::Page;
use std::process::ExitCode;
use xshell::Shell;
use xtask::golden::{self, Golden};
use xtask::table::Table;
use xtask::{outln, output, sources, subcommands};

#[derive(clap::Args)]
struct Arguments {
    /// Update the tables in the documents
    #[arg(long)]
    bless: bool,
}

fn main() -> ExitCode {
    subcommands::main_of_subcommand("docs", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let repository = shell.current_dir();
    // First: this may compile for minutes, and pages may change meanwhile.
    let commands = commands::list(shell)?;
    let (mut pages, mut errors, mut measured) = (Vec::new(), Vec::new(), 0);
    for file in sources::list(&repository)? {
        let extension = file.extension().unwrap_or_default();
        if extension == "md" {
            let mut page = Page::read(&repository, file)?;
            let text = tables::fill(&repository, &commands, &page.text).with_context(|| page.name())?;
            if text != page.text && arguments.bless {
                output::replace(&repository.join(&page.file), text.as_bytes())?;
                page = Page::parse(text, page.file);
            } else if text != page.text {
                errors.push(format!("{}: a table is out of date; run `cargo xtask docs --bless`", page.name()));
            }
            pages.push(page);
        } else if extension == "txt" && shell.read_file(&file)?.contains("\nprogram: ") {
            measured += 1;
            // tests/<command>/…
            let command = format!("cargo xtask {}", file.iter().nth(1).unwrap_or_default().display());
            let golden = Golden::read(&repository, &file.display().to_string(), command)?;
            errors.extend(golden.check_program().err().map(|error| format!("{error:#}")));
        }
    }
    let page = |name: &str| pages.iter().find(|page| page.name() == name).with_context(|| format!("{name} is missing"));
    let lines = page("README.md")?.text.lines().count();
    if lines > 200 {
        errors.push(format!("README.md has {lines} lines, more than 200"));
    }
    let digests = Table::read(&repository.join(golden::DIGESTS))?;
    let index = &digests.find(&["index"]).context("the index has no digest")?[1];
    if !page("README.md")?.text.contains(&format!("index sha256:{index:.16}…")) {
        errors.push(format!("README.md: the sample output of `verify` lacks the index sha256:{index:.16}…"));
    }
    checks::links(&repository, &pages, &mut errors);
    checks::hosts(shell, &pages, &mut errors)?;
    checks::demo(shell, page("docs/demo.md")?)?;
    let uses = commands::check(&commands, &pages, &mut errors);
    let links: usize = pages.iter().map(|page| page.links.len()).sum();
    outln!("{} pages, {links} links, {uses} commands, {measured} measured tables", pages.len());
    ensure!(links > 0 && uses > 0 && measured > 0, "a check found nothing to check");
    ensure!(errors.is_empty(), "{} errors in the documents:\n{}", errors.len(), errors.join("\n"));
    Ok(())
}
