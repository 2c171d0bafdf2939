//! Commands: every `cargo xtask …` in a page exists, with the options shown; and the table of all commands.

use crate::page::Page;
use anyhow::{Context, Result, ensure};
use xshell::Shell;
use xtask::command::cargo;
use xtask::table::Table;

/// A command of `cargo xtask`, as its help describes it.
pub struct Command {
    name: String,
    about: String,
    /// As in the usage line: `[FILTER]`.
    arguments: String,
    /// With their dashes, without `--help`.
    options: Vec<String>,
}

/// Asks `cargo xtask` for all commands.
pub fn list(shell: &Shell) -> Result<Vec<Command>> {
    let help = help(shell, &[])?;
    let (_, commands) = help.split_once("\nCommands:\n").context("`cargo xtask --help` lists no commands")?;
    let lines = commands.lines().take_while(|line| !line.is_empty());
    lines.map(|line| Command::read(shell, line.trim())).collect()
}

impl Command {
    /// Asks for a command's own help. `line` has its name and its description.
    fn read(shell: &Shell, line: &str) -> Result<Self> {
        let (name, about) = line.split_once(' ').with_context(|| format!("no description: {line}"))?;
        let help = help(shell, &[name])?;
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: cargo xtask "));
        let usage = usage.with_context(|| format!("the help of {name} has no usage line"))?;
        let arguments = usage.split(' ').skip(1).filter(|word| *word != "[OPTIONS]");
        let definitions = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let options = definitions.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
        Ok(Self {
            name: name.into(),
            about: about.trim_start().into(),
            arguments: arguments.map(|word| format!(" {word}")).collect(),
            options: options.filter(|&option| option != "--help").map(String::from).collect(),
        })
    }
}

/// The output of `--help`.
fn help(shell: &Shell, words: &[&str]) -> Result<String> {
    let output = cargo().current_dir(shell.current_dir()).arg("xtask").args(words).arg("--help").output();
    let output = output.context("can't start cargo")?;
    ensure!(output.status.success(), "`cargo xtask {} --help` failed", words.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

/// All commands with all their options.
pub fn table(commands: &[Command]) -> Table {
    let mut table = Table::new(["command", "description", "options"]);
    for Command { name, about, arguments, options } in commands {
        let options: Vec<_> = options.iter().map(|option| format!("`{option}`")).collect();
        // A bar would end the cell.
        let arguments = arguments.replace('|', r"\|");
        table.push([format!("`cargo xtask {name}{arguments}`"), about.clone(), options.join(", ")]);
    }
    table
}

/// Returns the number of commands in the pages, and the faults.
pub fn check(commands: &[Command], pages: &[Page]) -> (usize, Vec<String>) {
    let (mut count, mut faults) = (0, Vec::new());
    for page in pages {
        for code in page.code() {
            let Some((_, rest)) = code.split_once("cargo xtask ") else { continue };
            // A comment or another command ends it. Brackets and dots surround optional words.
            let words = rest.split_whitespace().take_while(|word| !["#", "&&", "|", ";"].contains(word));
            let words: Vec<_> = words.map(|word| word.trim_matches(|char| "[]();…`".contains(char))).collect();
            let Some((&name, words)) = words.split_first() else { continue };
            if name.starts_with(['<', '-']) || name.is_empty() {
                continue;
            }
            count += 1;
            let Some(command) = commands.iter().find(|command| command.name == name) else {
                faults.push(format!("{}: `{code}`: no command {name}", page.name()));
                continue;
            };
            let options = words.iter().filter(|word| word.starts_with("--"));
            let options = options.map(|word| word.split_once('=').map_or(*word, |(option, _)| option));
            for option in options.filter(|&option| option != "--help" && !command.options.iter().any(|o| o == option)) {
                faults.push(format!("{}: `{code}`: {name} has no option {option}", page.name()));
            }
        }
    }
    (count, faults)
}
