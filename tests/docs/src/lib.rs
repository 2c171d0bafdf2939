//! A Markdown page, read for the checks of the documents and for the tests of hosts, which run its blocks.

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::path::{Path, PathBuf};

#[derive(Default)]
pub struct Page {
    /// Relative to the repository.
    pub file: PathBuf,
    pub text: String,
    pub blocks: Vec<Block>,
    /// Code spans, and lines of code blocks.
    pub code: Vec<String>,
    /// Headings as a link writes them after `#`: lower case, dashes for spaces, other punctuation removed.
    pub anchors: Vec<String>,
    pub links: Vec<String>,
}

#[derive(Clone)]
pub struct Block {
    /// The heading above it.
    pub heading: String,
    pub language: String,
    pub text: String,
}

impl Page {
    pub fn read(repository: &Path, file: impl Into<PathBuf>) -> Result<Self> {
        let file = file.into();
        let text = std::fs::read_to_string(repository.join(&file));
        Ok(Self::parse(text.with_context(|| format!("can't read {}", file.display()))?, file))
    }

    pub fn parse(text: String, file: impl Into<PathBuf>) -> Self {
        let mut page = Self { file: file.into(), ..Self::default() };
        let (mut heading, mut in_heading, mut block) = (String::new(), false, None);
        for event in Parser::new(&text) {
            match event {
                Event::Start(Tag::Heading { .. }) => (heading, in_heading) = (String::new(), true),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = heading.to_lowercase().replace(' ', "-");
                    page.anchors.push(anchor.replace(|char: char| !char.is_alphanumeric() && !"-_".contains(char), ""));
                    in_heading = false;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.to_string());
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(language) => language.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    block = Some(Block { heading: heading.clone(), language, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Text(text) => match &mut block {
                    Some(block) => block.text += &text,
                    None if in_heading => heading += &text,
                    None => {}
                },
                Event::Code(text) => {
                    if in_heading {
                        heading += &text;
                    }
                    page.code.push(text.to_string());
                }
                _ => {}
            }
        }
        page.code.extend(page.blocks.iter().flat_map(|block| block.text.lines().map(String::from)));
        Self { text, ..page }
    }

    pub fn name(&self) -> String {
        self.file.display().to_string()
    }
}
