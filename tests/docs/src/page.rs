//! A page of the documents: its links, code and headings.

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown file.
pub struct Page {
    /// Path in the repository.
    pub file: PathBuf,
    pub text: String,
}

impl Page {
    pub fn read(repository: &Path, file: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(repository.join(&file));
        Ok(Self { text: text.with_context(|| format!("can't read {}", file.display()))?, file })
    }

    pub fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// Targets of its links and images.
    pub fn links(&self) -> Vec<String> {
        let link = |event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(dest_url.to_string()),
            _ => None,
        };
        Parser::new(&self.text).filter_map(link).collect()
    }

    /// Code spans, and lines of code blocks.
    pub fn code(&self) -> Vec<String> {
        let mut code = Vec::new();
        let mut is_block = false;
        for event in Parser::new(&self.text) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => is_block = true,
                Event::End(TagEnd::CodeBlock) => is_block = false,
                Event::Text(text) if is_block => code.extend(text.lines().map(String::from)),
                Event::Code(text) => code.push(text.to_string()),
                _ => {}
            }
        }
        code
    }

    /// Fenced code blocks: the language and the text of each.
    pub fn blocks(&self) -> Vec<(String, String)> {
        let (mut blocks, mut block) = (Vec::new(), None);
        for event in Parser::new(&self.text) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    block = Some((language.to_string(), String::new()));
                }
                Event::End(TagEnd::CodeBlock) => blocks.extend(block.take()),
                Event::Text(text) => block.iter_mut().for_each(|(_, content)| *content += &text),
                _ => {}
            }
        }
        blocks
    }

    /// Its headings as a link writes them after `#`: lower case, dashes for blanks, other punctuation removed.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors = Vec::new();
        let mut heading: Option<String> = None;
        for event in Parser::new(&self.text) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let title = heading.take().unwrap_or_default().to_lowercase().replace(' ', "-");
                    anchors.push(title.chars().filter(|&char| char.is_alphanumeric() || "-_".contains(char)).collect());
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        anchors
    }
}
