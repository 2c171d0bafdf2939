//! Checks of links, of the pages of hosts, and of the demonstration.

use anyhow::{Context, Result, ensure};
use docs::Page;
use std::path::Path;
use xshell::{Shell, cmd};
use xtask::{build, platform, sources};

/// Links into the repository lead to a file and a heading, links to files on GitHub to a fixed revision.
pub fn links(repository: &Path, pages: &[Page], errors: &mut Vec<String>) {
    for page in pages {
        for link in &page.links {
            let error = error_of_link(repository, pages, page, link);
            errors.extend(error.map(|error| format!("{}: the link {link} {error}", page.name())));
        }
    }
}

fn error_of_link(repository: &Path, pages: &[Page], page: &Page, link: &str) -> Option<&'static str> {
    if let Some((scheme, rest)) = link.split_once("://") {
        let parts: Vec<_> = rest.split('/').collect();
        let is_branch = |revision: &str| !revision.contains(|char: char| char.is_ascii_digit());
        return match parts[..] {
            _ if scheme != "https" => Some("isn't https"),
            ["github.com", _, _, "blob" | "tree", revision, ..] if is_branch(revision) => Some("leads to a branch"),
            _ => None,
        };
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let source = repository.join(&page.file);
    let target = if path.is_empty() { source } else { source.with_file_name(path) };
    let Ok(target) = target.canonicalize() else { return Some("leads to no file") };
    let is_target = |page: &Page| repository.join(&page.file).canonicalize().is_ok_and(|file| file == target);
    let has_anchor = |page: &Page| page.anchors.iter().any(|other| other == anchor) && is_target(page);
    (!anchor.is_empty() && !pages.iter().any(has_anchor)).then_some("leads to no heading")
}

/// A page of a host has a row in the list of hosts. It begins with where it is run, or with the version that its facts are
/// from. `cargo xtask hosts` reads the pages that are run.
pub fn hosts(shell: &Shell, pages: &[Page], errors: &mut Vec<String>) -> Result<()> {
    let mut tests = String::new();
    for file in sources::list(&shell.current_dir())?.iter().filter(|file| file.starts_with("tests/hosts/src")) {
        tests += &shell.read_file(file)?;
    }
    let index = pages.iter().find(|page| page.file.ends_with("hosts/README.md")).context("no list of hosts")?;
    let is_host = |page: &&Page| page.file.starts_with("docs/hosts") && !page.file.ends_with("README.md");
    for page in pages.iter().filter(is_host) {
        let name = page.file.file_stem().unwrap_or_default().display();
        if !index.links.contains(&format!("{name}.md")) {
            errors.push(format!("{} lacks a row for {}", index.name(), page.name()));
        }
        let reads = [format!(", \"{name}\")"), format!("(it, \"{name}\","), format!("page: \"{name}\"")];
        let is_read = reads.iter().any(|read| tests.contains(read));
        let has_commands = page.anchors.iter().any(|anchor| anchor == "install");
        let first = page.text.split("\n\n").nth(1).unwrap_or_default();
        let is_run = first.starts_with("*[Run here](README.md#run-here)");
        if is_run && has_commands && !is_read {
            errors.push(format!("{} isn't read by `cargo xtask hosts`", page.name()));
        } else if !is_run && !first.starts_with("*Not run here. Facts from") {
            errors.push(format!("{} doesn't begin with whether it is run here", page.name()));
        }
    }
    Ok(())
}

/// Runs the demonstration with this machine's program. Its shell blocks print its other blocks.
pub fn demo(shell: &Shell, page: &Page) -> Result<()> {
    let native = platform::native()?;
    let program = build::program(shell, native)?;
    let directory = shell.create_temp_dir()?;
    let shell = Shell::new()?;
    shell.change_dir(directory.path());
    shell.create_dir("dist/bin")?;
    shell.copy_file(program, "dist/bin")?;
    let text = |is_shell| {
        let blocks = page.blocks.iter().filter(move |block| (block.language == "sh") == is_shell);
        blocks.map(|block| block.text.as_str()).collect::<String>()
    };
    let script = format!("exec 2>&1\n{}", text(true).replace("linux-amd64", &native.file_name()));
    let printed = cmd!(shell, "sh -ec {script}").quiet().read().with_context(|| page.name())?;
    ensure!(printed == text(false).trim_end(), "{} shows {:?}, not {printed:?}", page.name(), text(false));
    Ok(())
}
