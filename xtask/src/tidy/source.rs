use std::{collections::BTreeSet, ops::RangeInclusive, str::FromStr};

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::{Attribute, File, Item, spanned::Spanned};

/// A Rust file, as text, tokens and syntax.
pub(crate) struct Source {
    /// Relative to the root of the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Without comments and documentation.
    pub(crate) tokens: Vec<Token>,
    pub(crate) syntax: File,
    /// The lines of items for tests only.
    tests: Vec<RangeInclusive<usize>>,
}

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) lines: RangeInclusive<usize>,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> syn::Result<Self> {
        let mut tokens = Vec::new();
        flatten(TokenStream::from_str(text)?, &mut tokens);
        let syntax = syn::parse_file(text)?;
        let tests = syntax.items.iter().filter(|item| is_test(item)).map(|item| lines(item.span()));
        let tests = tests.collect();
        Ok(Self { path: path.to_owned(), text: text.to_owned(), tokens, syntax, tests })
    }

    /// The file's name without its folders.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is part of the crate itself, not of its tests or examples.
    pub(crate) fn is_product(&self) -> bool {
        self.path.starts_with("src/") || self.path.contains("/src/")
    }

    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&line))
    }

    /// How many lines hold code: no blank ones, no comments, no documentation, and nothing that is for tests only.
    pub(crate) fn code_lines(&self) -> usize {
        self.lines_with_code().filter(|&line| !self.is_test_line(line)).count()
    }

    pub(crate) fn code_lines_in(&self, range: &RangeInclusive<usize>) -> usize {
        self.lines_with_code().filter(|line| range.contains(line)).count()
    }

    fn lines_with_code(&self) -> impl Iterator<Item = usize> {
        let lines: BTreeSet<_> = self.tokens.iter().flat_map(|token| token.lines.clone()).collect();
        lines.into_iter()
    }
}

pub(crate) fn lines(span: Span) -> RangeInclusive<usize> {
    span.start().line..=span.end().line
}

/// Whether an item has the attribute `#[cfg(test)]`.
fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    let push = |text: String, span: Span, tokens: &mut Vec<Token>| {
        tokens.push(Token { text, lines: lines(span) });
    };
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Group(group) if is_documentation(&group) => {
                // What came before it is `#` or `#!`, on the line of the comment.
                while tokens.pop_if(|token| token.text == "#" || token.text == "!").is_some() {}
            }
            TokenTree::Group(group) => {
                let (open, close) = delimiters(group.delimiter());
                push(open.to_owned(), group.span_open(), tokens);
                flatten(group.stream(), tokens);
                push(close.to_owned(), group.span_close(), tokens);
            }
            // Two colons are one token to whoever looks for a path.
            TokenTree::Punct(punct)
                if punct.as_char() == ':'
                    && matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':') =>
            {
                trees.next();
                push("::".to_owned(), punct.span(), tokens);
            }
            tree => push(tree.to_string(), tree.span(), tokens),
        }
    }
}

fn is_documentation(group: &proc_macro2::Group) -> bool {
    let mut trees = group.stream().into_iter();
    group.delimiter() == Delimiter::Bracket
        && matches!(trees.next(), Some(TokenTree::Ident(name)) if name == "doc")
        && matches!(trees.next(), Some(TokenTree::Punct(equals)) if equals.as_char() == '=')
}

const fn delimiters(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_documentation_and_tests_are_no_code() {
        let text = "//! The tour.\n\n/// Documentation.\n// A comment.\nfn one() {\n    // why\n    \
                    let _ = \"two\nlines\";\n}\n\n#[cfg(test)]\nmod tests {\n    fn two() {}\n}\n";
        let source = Source::parse("crates/a/src/a.rs", text).unwrap();
        assert_eq!(source.code_lines(), 4);
        assert!(source.is_test_line(12) && !source.is_test_line(5));
        assert_eq!(source.tokens[0].text, "fn");
    }
}
