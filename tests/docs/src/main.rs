//! `cargo xtask docs`: checks the documents. Tables are up to date, links lead somewhere, commands and options exist, and
//! each host's page says whether it is run. The demonstration is run.

mod commands;
mod counts;
mod demo;
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
    /// Write the up-to-date tables to the pages
    #[arg(long)]
    bless: bool,
}

/// Maximum length of the README.
const README_LINES: usize = 200;

fn main() -> ExitCode {
    command::main_of_proof("docs", run)
}

fn run(shell: &Shell, arguments: &Arguments) -> Result<()> {
    let repository = shell.current_dir();
    // First: this may compile for minutes, and pages may change meanwhile.
    let all_commands = commands::list(shell)?;
    let mut pages = Vec::new();
    for file in sources::list(&repository)? {
        if file.extension().is_some_and(|extension| extension == "md") {
            pages.push(Page::read(&repository, file)?);
        }
    }
    let mut faults = Vec::new();
    let mut tables = 0;
    for page in &mut pages {
        let (text, count) = tables::fill(&repository, &all_commands, &page.text).with_context(|| page.name())?;
        tables += count;
        if text != page.text {
            match arguments.bless {
                true => output::replace(&repository.join(&page.file), text.as_bytes())?,
                false => faults
                    .push(format!("{}: a table is out of date; `cargo xtask docs --bless` writes it", page.name())),
            }
            page.text = text;
        }
    }
    let (links, in_links) = links::check(&repository, &pages);
    let (commands, in_commands) = commands::check(&all_commands, &pages);
    let (hosts, in_hosts) = hosts::check(&repository, &pages)?;
    faults.extend([in_links, in_commands, in_hosts].concat());
    let demo = pages.iter().find(|page| page.name() == "docs/demo.md").context("docs/demo.md is missing")?;
    if let Some(skipped) = demo::check(shell, demo)? {
        say!("{skipped}");
    }
    let readme = pages.iter().find(|page| page.name() == "README.md").context("README.md is missing")?;
    let lines = readme.text.lines().count();
    if lines > README_LINES {
        faults.push(format!("README.md has {lines} lines, over {README_LINES}"));
    }

    say!(
        "{} pages ({hosts} of hosts), {tables} tables, {links} links, {commands} commands; README.md has {lines} lines",
        pages.len()
    );
    ensure!(tables > 0 && links > 0 && commands > 0 && hosts > 0, "nothing was checked");
    if !faults.is_empty() {
        bail!("{} faults in the documents:\n{}", faults.len(), faults.join("\n"));
    }
    Ok(())
}
