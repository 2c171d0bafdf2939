//! Every `cargo xtask …` in a page exists, with the options shown; and the table of all commands.

use anyhow::{Context, Result};
use docs::Page;
use xshell::{Shell, cmd};
use xtask::table::Table;

pub struct Command {
    name: String,
    about: String,
    help: String,
}

pub fn list(shell: &Shell) -> Result<Vec<Command>> {
    let help = |words: &[&str]| cmd!(shell, "cargo xtask {words...} --help").quiet().ignore_stderr().read();
    let all = help(&[])?;
    let (_, commands) = all.split_once("\nCommands:\n").context("`cargo xtask --help` lists no commands")?;
    let lines = commands.lines().map_while(|line| line.trim().split_once(' '));
    lines
        .map(|(name, about)| Ok(Command { name: name.into(), about: about.trim().into(), help: help(&[name])? }))
        .collect()
}

pub fn table(commands: &[Command]) -> Table {
    let mut table = Table::new(["command", "description"]);
    for Command { name, about, .. } in commands {
        table.push([format!("`cargo xtask {name}`"), about.clone()]);
    }
    table
}

/// Returns the number of commands in the pages.
pub fn check(commands: &[Command], pages: &[Page], errors: &mut Vec<String>) -> usize {
    let mut count = 0;
    for (page, code) in pages.iter().flat_map(|page| page.code.iter().map(move |code| (page.name(), code))) {
        let Some((_, rest)) = code.split_once("cargo xtask ") else { continue };
        // A comment or another command ends it. Brackets and dots surround optional words.
        let words = rest.split_whitespace().take_while(|word| !["#", "&&", "|", ";"].contains(word));
        let mut words = words.map(|word| word.trim_matches(|char| "[]();…`".contains(char)));
        let Some(name) = words.next().filter(|name| name.starts_with(char::is_alphabetic)) else { continue };
        count += 1;
        let Some(command) = commands.iter().find(|command| command.name == name) else {
            errors.push(format!("{page}: `{code}`: no command {name}"));
            continue;
        };
        for option in words.filter_map(|word| word.split('=').next()).filter(|word| word.starts_with("--")) {
            let is_in_word = |char: char| char.is_alphanumeric() || char == '-';
            if !command.help.split(|char| !is_in_word(char)).any(|known| known == option) {
                errors.push(format!("{page}: `{code}`: {name} has no option {option}"));
            }
        }
    }
    count
}
