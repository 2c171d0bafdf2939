//! `cargo xtask docs`: checks the documents. Tables are up to date, links lead somewhere, commands and options exist, and
//! each host's page says whether it is run.

mod commands;
mod counts;
mod hosts;
mod links;
mod page;
mod tables;

use anyhow::{Context, Result, bail, ensure};
use page::Page;
use std::process::ExitCode;
use xshell::Shell;
use xtask::{command, output, say, sources};

#[derive(clap::Args)]
struct Arguments {
    /// Write the tables, as they are measured now, into the pages
    #[arg(long)]
    bless: bool,
}

/// The most lines that a reader has to read to decide and to begin.
const README_LINES: usize = 200;

fn main() -> ExitCode {
    command::main_of_proof("docs", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let repository = shell.current_dir();
    let all_commands = commands::list(shell)?;
    let mut pages = Vec::new();
    for file in sources::list(&repository)? {
        if file.extension().is_some_and(|extension| extension == "md") {
            pages.push(Page::read(&repository, file)?);
        }
    }
    let mut complaints = Vec::new();
    let mut tables = 0;
    for page in &mut pages {
        let (text, count) = tables::fill(&repository, &all_commands, &page.text).with_context(|| page.name())?;
        tables += count;
        if text != page.text {
            match arguments.bless {
                true => output::replace(&repository.join(&page.file), text.as_bytes())?,
                false => complaints
                    .push(format!("{}: a table is out of date; `cargo xtask docs --bless` writes it", page.name())),
            }
            page.text = text;
        }
    }
    let (links, wrong) = links::check(&repository, &pages)?;
    complaints.extend(wrong);
    let (commands, wrong) = commands::check(&all_commands, &pages);
    complaints.extend(wrong);
    let (hosts, wrong) = hosts::check(&pages);
    complaints.extend(wrong);
    let readme = pages.iter().find(|page| page.name() == "README.md").context("README.md is missing")?;
    let lines = readme.text.lines().count();
    if lines > README_LINES {
        complaints.push(format!("README.md has {lines} lines, over {README_LINES}"));
    }

    say!(
        "{} pages ({hosts} of hosts), {tables} tables, {links} links, {commands} commands; README.md has {lines} lines",
        pages.len()
    );
    ensure!(tables > 0 && links > 0 && commands > 0 && hosts > 0, "nothing was checked");
    if !complaints.is_empty() {
        bail!("the documents are wrong:\n{}", complaints.join("\n"));
    }
    Ok(())
}
