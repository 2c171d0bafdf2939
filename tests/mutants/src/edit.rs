//! Changes to Rust sources, token by token: neither blanks nor line breaks nor comments matter, and nothing outside
//! of the function that is named.

use anyhow::{Result, ensure};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A change to a function, or to the linker script.
#[derive(Debug)]
pub struct Edit {
    /// The function's name, or [`Edit::LINKER_SCRIPT`].
    pub function: &'static str,
    /// The tokens that are replaced; they occur once in the function.
    pub from: &'static str,
    /// What replaces them.
    pub to: &'static str,
}

impl Edit {
    /// Instead of a function's name: the text of `linker.ld`, which has no functions.
    pub const LINKER_SCRIPT: &str = "linker.ld";

    /// The linker script with the change.
    ///
    /// # Errors
    /// Where the text does not occur in it, or more than once.
    pub fn apply_to_script(&self, script: &str) -> Result<String> {
        let count = script.matches(self.from).count();
        ensure!(count == 1, "{} has `{}` {count} times, not once", Self::LINKER_SCRIPT, self.from);
        Ok(script.replace(self.from, self.to))
    }

    /// The source with the change.
    ///
    /// # Errors
    /// Where there is no such function, or the tokens do not occur in it, or more than once.
    pub fn apply(&self, source: &str) -> Result<String> {
        let (from, to) = (parse(self.from)?, parse(self.to)?);
        let mut count = 0;
        let source = in_function(parse(source)?, self.function, &mut |body| replace(body, &from, &to, &mut count));
        let Self { function, from, .. } = self;
        ensure!(count == 1, "the function {function} has `{from}` {count} times, not once");
        Ok(source.into_iter().collect::<TokenStream>().to_string())
    }
}

fn parse(source: &str) -> Result<Vec<TokenTree>> {
    match source.parse::<TokenStream>() {
        Ok(tokens) => Ok(tokens.into_iter().collect()),
        Err(error) => anyhow::bail!("`{source}` is not Rust: {error}"),
    }
}

/// The same kind of brackets around something else.
fn group(delimiter: Delimiter, content: Vec<TokenTree>) -> TokenTree {
    Group::new(delimiter, content.into_iter().collect()).into()
}

/// Changes the bodies of all functions of that name, wherever they are: the first braces behind `fn` and the name.
fn in_function(
    tokens: Vec<TokenTree>,
    name: &str,
    change: &mut dyn FnMut(Vec<TokenTree>) -> Vec<TokenTree>,
) -> Vec<TokenTree> {
    let (mut before, mut is_inside) = (String::new(), false);
    let mut changed = Vec::new();
    for token in tokens {
        let word = token.to_string();
        is_inside |= before == "fn" && word == name;
        changed.push(match token {
            TokenTree::Group(body) if is_inside && body.delimiter() == Delimiter::Brace => {
                is_inside = false;
                group(body.delimiter(), change(body.stream().into_iter().collect()))
            }
            TokenTree::Group(other) => {
                let content = in_function(other.stream().into_iter().collect(), name, change);
                group(other.delimiter(), content)
            }
            other => other,
        });
        before = word;
    }
    changed
}

/// Replaces a sequence of tokens, in groups too, and counts how often.
fn replace(tokens: Vec<TokenTree>, from: &[TokenTree], to: &[TokenTree], count: &mut usize) -> Vec<TokenTree> {
    let is_here = |rest: &[TokenTree]| {
        rest.len() >= from.len() && rest.iter().zip(from).all(|(one, other)| one.to_string() == other.to_string())
    };
    let mut changed = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if is_here(&tokens[index..]) {
            changed.extend(to.iter().cloned());
            index += from.len();
            *count += 1;
            continue;
        }
        changed.push(match &tokens[index] {
            TokenTree::Group(inner) => {
                group(inner.delimiter(), replace(inner.stream().into_iter().collect(), from, to, count))
            }
            other => other.clone(),
        });
        index += 1;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::Edit;

    fn edited(source: &str, from: &'static str, to: &'static str) -> String {
        let edited = Edit { function: "run", from, to }.apply(source);
        edited.map(|text| text.replace(' ', "")).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn only_the_function_and_only_its_tokens_count() {
        let source = "fn other() { one(); }\n/// Text.\nunsafe fn run(x: u8) -> u8 {\n    if x { // why\n        one( ) ;\n    }\n}";
        assert!(edited(source, "one();", "").ends_with("unsafefnrun(x:u8)->u8{ifx{}}"));
        assert!(edited(source, "if x", "if two").contains("{iftwo{one();}}"));
        assert!(edited(source, "absent", "").contains("0 times"));
        assert!(edited("fn run() { a; b; a; }", "a;", "").contains("2 times"));
        assert!(edited("fn main() { a; }", "a;", "").contains("0 times"));
    }
}
