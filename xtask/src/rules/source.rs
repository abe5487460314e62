//! A file as the rules see it: its lines, and for Rust its tokens with their lines.
//!
//! Rules match tokens, not text, so that a word in a comment or a string is never taken for code.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::Finding;

/// One token of a Rust file. Brackets are tokens too, and so is `::`.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    /// Inside an item that only test builds have.
    pub(super) is_test: bool,
}

/// Where a pattern stands.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Its first token.
    pub(super) token: &'a Token,
    /// All tokens behind it, to the end of the file.
    pub(super) rest: &'a [Token],
}

impl Found<'_> {
    /// Whether the call whose `(` or `[` ended the pattern hands its failure on with `?`.
    pub(super) fn is_handed_on(&self) -> bool {
        let mut depth = 1_usize;
        let mut rest = self.rest.iter().map(|token| token.text.as_str());
        while depth > 0 {
            match rest.next() {
                Some("(" | "[" | "{") => depth += 1,
                Some(")" | "]" | "}") => depth -= 1,
                Some(_) => {}
                None => return false,
            }
        }
        rest.next() == Some("?")
    }
}

#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root of the tree, with `/`.
    pub(super) path: String,
    pub(super) lines: Vec<String>,
    /// Empty for a file that is not Rust, or that is broken, see [`rust_syntax`].
    pub(super) tokens: Vec<Token>,
    broken: Option<Finding>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut source = Self {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            tokens: Vec::new(),
            broken: None,
        };
        if source.is_rust() {
            match text.parse::<TokenStream>() {
                Ok(stream) => flatten(stream, false, &mut source.tokens),
                Err(error) => {
                    let line = error.span().start().line;
                    source.broken = Some(Finding::new(line, error.to_string()));
                }
            }
        }
        source
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether someone wrote this file as code, in whatever language.
    pub(super) fn is_code(&self) -> bool {
        let ends = [".rs", ".c", ".h", ".S", ".sh", ".toml"];
        ends.iter().any(|end| self.path.ends_with(end)) || self.path == ".ci/run"
    }

    /// Whether the whole file belongs to a test build only.
    pub(super) fn is_test(&self) -> bool {
        ["/tests.rs", "_tests.rs", "/testing.rs"].iter().any(|name| self.path.ends_with(name))
            || self.path.split('/').any(|part| ["tests", "testing"].contains(&part))
    }

    /// The crate below `crates/` that this file belongs to.
    pub(super) fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// Whether this is the root file of a library below `crates/`.
    pub(super) fn is_crate_root(&self) -> bool {
        self.crate_name().is_some_and(|name| self.path == format!("crates/{name}/src/lib.rs"))
    }

    /// Where the tokens of `pattern`, separated by blanks, stand one after the other.
    pub(super) fn find<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = Found<'a>> {
        (0..self.tokens.len()).filter_map(move |index| {
            let token = self.tokens.get(index)?;
            let mut rest = self.tokens.get(index..)?;
            for word in pattern.split(' ') {
                rest = rest.split_first().filter(|(token, _)| token.text == word)?.1;
            }
            Some(Found { token, rest })
        })
    }

    /// The 1-based numbers of the lines, and the lines.
    pub(super) fn numbered_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.lines.iter().map(String::as_str))
    }
}

/// The other rules see nothing of a broken file, so breakage has to be a finding of its own.
pub(super) fn rust_syntax(source: &Source) -> Vec<Finding> {
    source.broken.iter().map(|found| Finding::new(found.line, found.sentence.as_str())).collect()
}

/// Appends the tokens of `stream` to `tokens`.
fn flatten(stream: TokenStream, is_test: bool, tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    // From `#[cfg(test)]` to the end of the item behind it: its braces, or a semicolon.
    let mut is_test_item = false;
    for (index, tree) in trees.iter().enumerate() {
        let line = tree.span().start().line;
        let is_test = is_test || is_test_item;
        match tree {
            TokenTree::Group(group) => {
                flatten_group(group, is_test, tokens);
                is_test_item = match group.delimiter() {
                    Delimiter::Bracket => is_test_item || is_cfg_test(group),
                    Delimiter::Brace => false,
                    _ => is_test_item,
                };
            }
            TokenTree::Punct(punct) => {
                let follows_colon = index > 0 && is_colon(trees.get(index - 1));
                if punct.as_char() == ':' && follows_colon {
                    if let Some(last) = tokens.last_mut() {
                        last.text.push(':');
                    }
                    continue;
                }
                is_test_item &= punct.as_char() != ';';
                tokens.push(Token { text: punct.to_string(), line, is_test });
            }
            _ => tokens.push(Token { text: tree.to_string(), line, is_test }),
        }
    }
}

fn flatten_group(group: &Group, is_test: bool, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    let line = group.span_open().start().line;
    tokens.push(Token { text: open.to_owned(), line, is_test });
    flatten(group.stream(), is_test, tokens);
    let line = group.span_close().start().line;
    tokens.push(Token { text: close.to_owned(), line, is_test });
}

/// The first half of `::`; a lone colon is never joint with a second one.
fn is_colon(tree: Option<&TokenTree>) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct))
        if punct.as_char() == ':' && punct.spacing() == proc_macro2::Spacing::Joint)
}

/// Whether these are the brackets of `#[cfg(test)]`, `#[cfg(all(test, unix))]` and the like.
fn is_cfg_test(group: &Group) -> bool {
    let text: String = group.stream().to_string().split_whitespace().collect();
    let words = text.split(|char: char| !char.is_alphanumeric());
    text.starts_with("cfg(")
        && words.clone().any(|word| word == "test")
        && !text.contains("not(test")
}
