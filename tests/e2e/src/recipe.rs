//! The blocks of a page, applied as its readers apply them.

use crate::host::Check;
use anyhow::{Context, Result, bail, ensure};
use mutants::DEAF;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::NamedTempFile;
use xshell::{Cmd, Shell, cmd};
use xtask::note;

/// The heading above the commands and settings that install something.
pub const INSTALL: &str = "Install";
/// The heading above a command that goes on in the foreground.
pub const RUN: &str = "Run";
/// The heading above commands that fail without what was installed.
pub const CHECK: &str = "Check";
/// The heading above commands that undo it.
pub const BACK: &str = "Back";

/// The check of [`Page::install`].
pub const INSTALLS: Check =
    Check { name: "the page's check fails before its installation, and succeeds after it", broken_by: &[] };
/// The check of [`Page::go_back`], and the same for a way back that only asks the program to end.
pub const GOES_BACK: Check = Check { name: "the page's check fails again after its way back", broken_by: &[] };
/// See [`GOES_BACK`].
pub const ENDS: Check = Check { broken_by: &[&DEAF], ..GOES_BACK };

/// A page of the documents.
#[derive(Clone)]
pub struct Page {
    blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Clone)]
struct Block {
    /// The heading above it.
    heading: String,
    language: String,
    text: String,
}

impl Page {
    /// Reads a page of a host: `docs/hosts/<name>.md`.
    pub fn of_host(repository: &Path, name: &str) -> Result<Self> {
        Self::read(&repository.join(format!("docs/hosts/{name}.md")))
    }

    /// Reads a page.
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let (mut blocks, mut heading) = (Vec::new(), String::new());
        let (mut in_heading, mut block) = (false, None);
        for event in Parser::new(text) {
            match event {
                Event::Start(Tag::Heading { .. }) => (heading, in_heading) = (String::new(), true),
                Event::End(TagEnd::Heading(_)) => in_heading = false,
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    let (heading, language) = (heading.clone(), language.to_string());
                    block = Some(Block { heading, language, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
                Event::Text(text) => match &mut block {
                    Some(block) => block.text += &text,
                    None if in_heading => heading += &text,
                    None => {}
                },
                _ => {}
            }
        }
        Self { blocks }
    }

    /// Replaces a text in every block.
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        self.blocks.iter_mut().for_each(|block| block.text = block.text.replace(from, to));
        self
    }

    /// The blocks under a heading, at least one.
    fn under(&self, heading: &str) -> Result<Vec<&Block>> {
        let blocks: Vec<_> = self.blocks.iter().filter(|block| block.heading == heading).collect();
        ensure!(!blocks.is_empty(), "the page has no block under {heading}");
        Ok(blocks)
    }

    /// Returns the command that the page runs in the foreground, with more arguments.
    pub fn command<'a>(&self, shell: &'a Shell, arguments: &str) -> Result<Cmd<'a>> {
        let [Block { text, .. }] = self.under(RUN)?[..] else { bail!("the page runs more than one command") };
        let script = format!("exec {}{arguments}", text.trim_end());
        Ok(cmd!(shell, "sh -c {script}"))
    }

    /// Applies the blocks under a heading: `sh` is run until a command fails, all else is written to a file. Returns
    /// what the commands print.
    pub fn apply(&self, shell: &Shell, heading: &str) -> Result<String> {
        let mut output = String::new();
        for Block { language, text, .. } in self.under(heading)? {
            note!("{heading}:\n{text}");
            if language == "sh" {
                output += &run(shell, text).with_context(|| heading.to_owned())?;
            } else {
                write(text)?;
            }
        }
        Ok(output)
    }

    /// Succeeds if README.md repeats the page's installation.
    pub fn is_in_readme(&self, repository: &Path) -> Result<()> {
        let readme = fs::read_to_string(repository.join("README.md"))?;
        for Block { text, .. } in self.under(INSTALL)? {
            ensure!(readme.contains(text), "README.md lacks a block of the page:\n{text}");
        }
        Ok(())
    }

    /// Succeeds if the page's check fails.
    pub fn check_fails(&self, shell: &Shell) -> Result<()> {
        ensure!(self.apply(shell, CHECK).is_err(), "the page's check succeeds");
        Ok(())
    }

    /// Applies the page's installation. Its check must fail before and succeed after it. `use_it` makes what the check
    /// looks for from what is installed.
    pub fn install(&self, shell: &Shell, use_it: impl Fn() -> Result<()>) -> Result<()> {
        use_it()?;
        self.check_fails(shell)?;
        self.apply(shell, INSTALL)?;
        use_it()?;
        self.apply(shell, CHECK)?;
        Ok(())
    }

    /// Applies the page's way back. Its check must fail after it.
    pub fn go_back(&self, shell: &Shell, use_it: impl Fn() -> Result<()>) -> Result<()> {
        self.apply(shell, BACK)?;
        use_it()?;
        self.check_fails(shell)
    }
}

/// Runs a script until a command fails. Returns what it prints.
fn run(shell: &Shell, script: &str) -> Result<String> {
    // Not as an argument, where `pkill --full` would find it.
    let file = NamedTempFile::new()?;
    fs::write(&file, script)?;
    // Not a pipe, which a container that goes on would keep open.
    let output = NamedTempFile::new()?;
    let mut command = Command::from(shell.cmd("sh").arg("-e").arg(file.path()));
    let status = command.stdin(Stdio::null()).stdout(output.reopen()?).status()?;
    let output = fs::read_to_string(output)?;
    note!("{output}");
    ensure!(status.success(), "a command failed: {status}");
    Ok(output)
}

/// Writes a file that is named by its first line, a comment. JSON knows no comments, so there that line is left out.
fn write(text: &str) -> Result<()> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (content, file) = match (first.strip_prefix("# /"), first.strip_prefix("// /")) {
        (Some(file), _) => (text, file),
        (_, Some(file)) => (rest, file),
        _ => bail!("the block's first line names no file: {first}"),
    };
    let file = Path::new("/").join(file);
    fs::create_dir_all(file.parent().context("a file is in a directory")?)?;
    Ok(fs::write(file, content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Installs and goes back, by blocks that make, look for and remove a file.
    fn follow(install: &str, check: &str, back: &str) -> (bool, bool) {
        let (shell, directory) = (Shell::new().unwrap(), tempfile::tempdir().unwrap());
        shell.change_dir(&directory);
        let page =
            format!("# Install\n```sh\n{install}\n```\n# Check\n```sh\n{check}\n```\n# Back\n```sh\n{back}\n```\n");
        let page = Page::parse(&page);
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

    #[test]
    fn blocks_are_those_under_the_heading() {
        let page = Page::parse(
            "```sh\nexit 1\n```\n## A\n```sh\necho 1\n```\n- ```sh\n  echo 2\n  ```\n### B\n```sh\nexit 1\n```\n",
        );
        assert_eq!(page.apply(&Shell::new().unwrap(), "A").unwrap(), "1\n2\n");
        assert!(page.apply(&Shell::new().unwrap(), "C").is_err());
    }

    #[test]
    fn a_setting_names_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/file");
        let text = format!("# {}\nkey = 1\n", file.display());
        write(&text).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        write(&format!("// {}\n{{}}\n", file.display())).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "{}\n");
        assert!(write("key = 1\n").is_err());
    }
}
