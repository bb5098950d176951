//! Rules about Rust sources.

use syn::{
    Attribute, Block, ImplItemFn, Item, ItemFn, Meta, TraitItemFn,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    finding::Finding,
    source::{self, Source, Token},
};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// Files that own raw memory or implement an unsafe trait, besides those called `sys.rs`.
const UNSAFE_FILES: &[&str] = &[
    // `FromRawFd`, whose method is unsafe by the trait.
    "crates/mp-os/src/pidfd.rs",
    // Memory that other processes write, behind safe access.
    "crates/mp-mmap/src/atomic.rs",
    "crates/mp-mmap/src/guard.rs",
    "crates/mp-mmap/src/mapping.rs",
    "crates/mp-mmap/src/memory.rs",
    // A segment, which is memory for as long as it is attached.
    "crates/mp-shm/src/sysv.rs",
    // The list of robust locks that a thread shares with the kernel.
    "crates/mp-sync/src/robust.rs",
];

pub(crate) fn check(source: &Source) -> Vec<Finding> {
    [length, functions, sleep, unsafe_place, unsafe_denied, thin_core, table_of_contents]
        .iter()
        .flat_map(|rule| rule(source))
        .collect()
}

fn length(source: &Source) -> Vec<Finding> {
    let lines = source.code_lines();
    let advice = || format!("{lines} lines of code; move a concept into a file of its own");
    let rule = "a file has at most 400 lines of code";
    (lines > FILE_LINES).then(|| Finding::new(&source.path, rule, advice())).into_iter().collect()
}

fn functions(source: &Source) -> Vec<Finding> {
    let mut long = LongFunctions { source, findings: Vec::new() };
    long.visit_file(&source.syntax);
    long.findings
}

struct LongFunctions<'a> {
    source: &'a Source,
    findings: Vec<Finding>,
}

impl LongFunctions<'_> {
    fn look(&mut self, name: &syn::Ident, body: &Block) {
        let range = source::lines(body.span());
        let lines = self.source.code_lines_in(&range);
        if lines > FUNCTION_LINES {
            let advice = format!("`{name}` has {lines}; name its steps");
            let rule = "a function has at most 70 lines of code";
            self.findings.push(Finding::new(&self.source.path, rule, advice).at(*range.start()));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.look(&item.sig.ident, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.look(&item.sig.ident, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(body) = &item.default {
            self.look(&item.sig.ident, body);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// In code, and in the examples of documentation too.
fn sleep(source: &Source) -> Vec<Finding> {
    let named = concat!("thread::", "sleep");
    let in_text = source.text.lines().enumerate().filter(|(_, line)| line.contains(named));
    let mut lines: Vec<_> = in_text.map(|(index, _)| index + 1).collect();
    let words: Vec<_> = source.tokens.iter().map(|token| token.text.as_str()).collect();
    for (start, window) in words.windows(3).enumerate() {
        if window == ["thread", "::", "{"] {
            let group = words[start + 3..].iter().take_while(|&&word| word != "}");
            if group.clone().any(|&word| word == "sleep") {
                lines.push(*source.tokens[start].lines.start());
            }
        }
    }
    let advice = "wait for the event, with a deadline";
    lines
        .into_iter()
        .map(|line| Finding::new(&source.path, "nobody sleeps", advice).at(line))
        .collect()
}

fn unsafe_place(source: &Source) -> Vec<Finding> {
    if !source.is_product()
        || source.name() == "sys.rs"
        || UNSAFE_FILES.contains(&source.path.as_str())
    {
        return Vec::new();
    }
    let advice =
        "wrap the call in `sys.rs`, or list the file in UNSAFE_FILES of xtask/src/tidy/rust.rs";
    // A type of pointers to unsafe functions is no unsafe code: it takes a block to call one.
    let is_type = |rest: &[Token]| matches!(rest, [_, word, open, ..] if word.text == "fn" && open.text == "(");
    let mut tokens = source.tokens.iter().enumerate();
    tokens
        .find(|&(index, token)| {
            token.text == "unsafe"
                && !source.is_test_line(*token.lines.start())
                && !is_type(&source.tokens[index..])
        })
        .map(|(_, token)| *token.lines.start())
        .into_iter()
        .map(|line| Finding::new(&source.path, "unsafe is in `sys.rs`", advice).at(line))
        .collect()
}

fn lines_of<'a>(source: &'a Source, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    source.tokens.iter().filter(move |token| token.text == word).map(|token| *token.lines.start())
}

fn unsafe_denied(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("crates/") || !source.path.ends_with("/src/lib.rs") {
        return Vec::new();
    }
    let level = if source.path.starts_with("crates/mp-core/") { "forbid" } else { "deny" };
    let is_there = source.syntax.attrs.iter().any(|attribute| {
        let path = attribute.path();
        (path.is_ident(level) || path.is_ident("forbid"))
            && attribute.parse_args::<syn::Path>().is_ok_and(|lint| lint.is_ident("unsafe_code"))
    });
    let advice = || format!("add `#![{level}(unsafe_code)]`");
    let rule = "a crate denies unsafe code";
    (!is_there).then(|| Finding::new(&source.path, rule, advice())).into_iter().collect()
}

/// What wants a system call, or differs by platform, belongs to a lower floor.
fn thin_core(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("crates/mp-core/src/") {
        return Vec::new();
    }
    let rule = "mp-core is thin";
    let libc = lines_of(source, "libc").map(|line| (line, "no libc: move the call down a floor"));
    let mut conditions = Conditions { lines: Vec::new() };
    conditions.visit_file(&source.syntax);
    let cfg = conditions.lines.into_iter().map(|line| {
        (line, "no `cfg` but of tests, features and docs: move the difference down a floor")
    });
    libc.chain(cfg)
        .map(|(line, advice)| Finding::new(&source.path, rule, advice).at(line))
        .collect()
}

/// The lines of `cfg` and `cfg_attr` whose condition is not allowed in mp-core.
struct Conditions {
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Conditions {
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let is_condition =
            attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr");
        let allowed = ["test", "feature", "docsrs", "doc"];
        if is_condition
            && let Meta::List(list) = &attribute.meta
            && !list
                .tokens
                .clone()
                .into_iter()
                .next()
                .is_some_and(|first| allowed.contains(&first.to_string().as_str()))
        {
            self.lines.push(attribute.span().start().line);
        }
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if item.path.is_ident("cfg") {
            self.lines.push(item.span().start().line);
        }
    }
}

fn table_of_contents(source: &Source) -> Vec<Finding> {
    if !source.is_product() || !matches!(source.name(), "lib.rs" | "mod.rs") {
        return Vec::new();
    }
    let advice = "it selects and exports; move the code into a file named after its concept";
    let computes = |item: &&Item| matches!(item, Item::Fn(_) | Item::Impl(_));
    let items = source.syntax.items.iter().filter(computes).map(|item| item.span().start().line);
    items
        .filter(|&line| !source.is_test_line(line))
        .map(|line| Finding::new(&source.path, "lib.rs computes nothing", advice).at(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        check(&Source::parse(path, text).unwrap()).iter().map(Finding::place).collect()
    }

    #[test]
    fn good_code_has_no_findings() {
        let text = "//! A tour.\n#![deny(unsafe_code)]\nmod a;\npub use a::b;\n";
        assert_eq!(places("crates/mp-pipe/src/lib.rs", text), []);
        let text = "pub fn b() { std::thread::yield_now() }\n#[cfg(test)]\nmod tests { fn c() { unsafe {} } }\n";
        assert_eq!(places("crates/mp-pipe/src/a.rs", text), []);
    }

    #[test]
    fn long_files_and_functions() {
        let rule = "a file has at most 400 lines of code";
        assert_eq!(places("xtask/src/a.rs", &"const _: u8 = 1;\n".repeat(401)), [(0, rule)]);
        assert_eq!(places("xtask/src/a.rs", &"const _: u8 = 1;\n".repeat(400)), []);
        let rule = "a function has at most 70 lines of code";
        let body = |lines| format!("\nfn a() {{\n{}}}\n", "    b();\n    // why\n".repeat(lines));
        assert_eq!(places("crates/a/tests/it/a.rs", &body(69)), [(2, rule)]);
        assert_eq!(places("crates/a/tests/it/a.rs", &body(68)), []);
    }

    #[test]
    fn sleeping() {
        let rule = "nobody sleeps";
        let text = format!("fn a() {{\n    std::{}(b);\n}}\n", concat!("thread::", "sleep"));
        assert_eq!(places("crates/a/tests/it/a.rs", &text), [(2, rule)]);
        let text = "use std::thread::{self, sleep};\nfn a() { sleep(b) }\n";
        assert_eq!(places("examples/a.rs", text), [(1, rule)]);
    }

    #[test]
    fn unsafe_code_in_the_wrong_place() {
        let text = "pub fn a() {\n    unsafe { b() }\n}\n";
        assert_eq!(places("crates/mp-shm/src/a.rs", text), [(2, "unsafe is in `sys.rs`")]);
        assert_eq!(places("crates/mp-shm/src/a.rs", "type B = unsafe fn(u8);\n"), []);
        assert_eq!(places("crates/mp-shm/src/posix/sys.rs", text), []);
        assert_eq!(places("crates/mp-shm/tests/it/a.rs", text), []);
    }

    #[test]
    fn unsafe_code_that_is_not_denied() {
        let rule = "a crate denies unsafe code";
        assert_eq!(places("crates/mp-shm/src/lib.rs", "mod a;\n"), [(0, rule)]);
        let text = "#![deny(unsafe_code)]\n";
        assert_eq!(places("crates/mp-core/src/lib.rs", text), [(0, rule)]);
        assert_eq!(places("crates/mp-core/src/lib.rs", "#![forbid(unsafe_code)]\n"), []);
    }

    #[test]
    fn a_core_that_is_not_thin() {
        let rule = "mp-core is thin";
        let text = "use nix::libc;\n#[cfg(target_os = \"linux\")]\nmod a;\n#[cfg(feature = \"b\")]\nmod b;\n";
        assert_eq!(places("crates/mp-core/src/pool.rs", text), [(1, rule), (2, rule)]);
        assert_eq!(
            places("crates/mp-core/src/a.rs", "fn a() {\n    cfg!(unix);\n}\n"),
            [(2, rule)]
        );
        assert_eq!(places("crates/mp-process/src/pool.rs", text), []);
    }

    #[test]
    fn a_table_of_contents_that_computes() {
        let rule = "lib.rs computes nothing";
        assert_eq!(
            places("crates/a/src/b/mod.rs", "fn a() {}\nimpl B {}\n"),
            [(1, rule), (2, rule)]
        );
        assert_eq!(places("crates/a/src/b/c.rs", "fn a() {}\nimpl B {}\n"), []);
    }
}
