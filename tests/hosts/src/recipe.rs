//! The blocks of a page, applied as its readers apply them.

use crate::host::{Check, check};
use anyhow::{Context, Result, bail, ensure};
use docs::Block;
use mutation::DEAF;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::NamedTempFile;
use xshell::{Cmd, Shell, cmd};
use xtask::status;

// The headings of a page: commands and settings that install something, a command that runs in the foreground, commands
// that fail without the installation, and commands that undo it.
pub const INSTALL: &str = "Install";
pub const RUN: &str = "Run";
pub const CHECK: &str = "Check";
pub const BACK: &str = "Back";

pub const INSTALLS: Check = check("the page's check fails before its installation, and succeeds after it");
pub const GOES_BACK: Check = check("the page's check fails again after its way back");
/// The same if the way back only sends SIGTERM.
pub const ENDS: Check = Check { broken_by: &[&DEAF], ..GOES_BACK };

#[derive(Clone)]
pub struct Page(Vec<Block>);

impl Page {
    /// Reads a page of a host: `docs/hosts/<name>.md`.
    pub fn of_host(repository: &Path, name: &str) -> Result<Self> {
        Self::read(repository, &format!("docs/hosts/{name}.md"))
    }

    pub fn read(repository: &Path, file: &str) -> Result<Self> {
        Ok(Self(docs::Page::read(repository, file)?.blocks))
    }

    /// Reads a section of a page, with this machine's program in place of the page's.
    pub fn section(repository: &Path, file: &str, section: &str) -> Result<Self> {
        let text = fs::read_to_string(repository.join(file))?;
        let text = text.split("\n## ").find_map(|text| text.strip_prefix(section)).context("no such section")?;
        let page = Self(docs::Page::parse(text.into(), file).blocks);
        Ok(page.replace("dist/bin/pause-linux-amd64", "dist/program"))
    }

    pub fn replace(mut self, from: &str, to: &str) -> Self {
        self.0.iter_mut().for_each(|block| block.text = block.text.replace(from, to));
        self
    }

    /// The blocks under a heading, at least one.
    fn under(&self, heading: &str) -> Result<Vec<&Block>> {
        let blocks: Vec<_> = self.0.iter().filter(|block| block.heading == heading).collect();
        ensure!(!blocks.is_empty(), "the page has no block under {heading}");
        Ok(blocks)
    }

    /// Returns the command that the page runs in the foreground, with more arguments.
    pub fn command<'a>(&self, shell: &'a Shell, arguments: &str) -> Result<Cmd<'a>> {
        let [Block { text, .. }] = self.under(RUN)?[..] else { bail!("the page runs more than one command") };
        let script = format!("exec {}{arguments}", text.trim_end());
        Ok(cmd!(shell, "sh -c {script}"))
    }

    /// Applies the blocks under a heading: runs `sh`, and writes all else to a file. Returns the output.
    pub fn apply(&self, shell: &Shell, heading: &str) -> Result<String> {
        let mut output = String::new();
        for Block { language, text, .. } in self.under(heading)? {
            status!("{heading}:\n{text}");
            if language == "sh" {
                output += &run(shell, text).with_context(|| heading.to_owned())?;
            } else {
                write(text)?;
            }
        }
        Ok(output)
    }

    /// Fails unless README.md repeats the page's installation.
    pub fn is_in_readme(&self, repository: &Path) -> Result<()> {
        let readme = fs::read_to_string(repository.join("README.md"))?;
        for Block { text, .. } in self.under(INSTALL)? {
            ensure!(readme.contains(text), "README.md lacks a block of the page:\n{text}");
        }
        Ok(())
    }

    pub fn check_fails(&self, shell: &Shell) -> Result<()> {
        ensure!(self.apply(shell, CHECK).is_err(), "the page's check succeeds");
        Ok(())
    }

    /// Applies the installation. The check must fail before and succeed after it. `use_it` makes the thing to look for.
    pub fn install(&self, shell: &Shell, use_it: impl Fn() -> Result<()>) -> Result<()> {
        use_it()?;
        self.check_fails(shell)?;
        self.apply(shell, INSTALL)?;
        use_it()?;
        self.apply(shell, CHECK).map(drop)
    }

    /// Applies the page's way back. Its check must fail after it.
    pub fn go_back(&self, shell: &Shell, use_it: impl Fn() -> Result<()>) -> Result<()> {
        self.apply(shell, BACK)?;
        use_it()?;
        self.check_fails(shell)
    }
}

/// Runs a script until a command fails. Returns its output.
fn run(shell: &Shell, script: &str) -> Result<String> {
    // As an argument, `pkill --full` would find it. A pipe would stay open for a container that goes on.
    let (file, output) = (NamedTempFile::new()?, NamedTempFile::new()?);
    fs::write(&file, script)?;
    let mut command = Command::from(shell.cmd("sh").arg("-e").arg(file.path()));
    let status = command.stdin(Stdio::null()).stdout(output.reopen()?).status()?;
    let output = fs::read_to_string(output)?;
    status!("{output}");
    ensure!(status.success(), "a command failed: {status}");
    Ok(output)
}

/// Writes a file whose name is in the first line, a comment. JSON has no comments, so the line is left out there.
fn write(text: &str) -> Result<()> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (mark, file) = first.split_once(' ').unwrap_or_default();
    let file = Path::new(file);
    ensure!(["#", "//"].contains(&mark) && file.is_absolute(), "the block's first line doesn't name a file: {first}");
    fs::create_dir_all(file.parent().context("a file is in a directory")?)?;
    Ok(fs::write(file, if mark == "#" { text } else { rest })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page(docs::Page::parse(text.into(), "page.md").blocks)
    }

    /// Installs and goes back, by blocks that make, look for and remove a file.
    fn follow(install: &str, check: &str, back: &str) -> (bool, bool) {
        let (shell, directory) = (Shell::new().unwrap(), tempfile::tempdir().unwrap());
        shell.change_dir(&directory);
        let text = "# Install\n```sh\nI\n```\n# Check\n```sh\nC\n```\n# Back\n```sh\nB\n```\n";
        let page = page(text).replace("I\n", install).replace("C\n", check).replace("B\n", back);
        (page.install(&shell, || Ok(())).is_ok(), page.go_back(&shell, || Ok(())).is_ok())
    }

    #[test]
    fn a_check_fails_before_and_afterwards() {
        assert_eq!(follow("touch it", "test -e it", "rm it"), (true, true));
        assert_eq!(follow("touch ti", "test -e it", "rm ti"), (false, true));
        assert_eq!(follow("touch it", "true", "rm it"), (false, false));
        assert_eq!(follow("touch it", "test -e it", "true"), (true, false));
        assert_eq!(follow("false; touch it", "test -e it", "rm it"), (false, false));
    }
}
