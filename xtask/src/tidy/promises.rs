//! Documents that name tests: each of them must exist.

use std::collections::BTreeSet;

use super::{finding::Finding, source::Source};

/// The functions of a crate's tests, as `crate`, `module`, `function`.
pub(crate) type Tests = BTreeSet<(String, String, String)>;

/// The functions in a source file that may be named as tests. Those that a macro makes one of for each kind have no attribute.
pub(crate) fn tests(source: &Source) -> Tests {
    let Some((krate, file)) =
        source.path.strip_prefix("crates/").and_then(|path| path.split_once('/'))
    else {
        return Tests::new();
    };
    let Some(module) = file.strip_prefix("tests/it/").and_then(|file| file.strip_suffix(".rs"))
    else {
        return Tests::new();
    };
    let words = source.tokens.windows(2).filter(|pair| pair[0].text == "fn");
    words.map(|pair| (krate.to_owned(), module.to_owned(), pair[1].text.clone())).collect()
}

/// Whether every `module::test` in the last column of the tables exists, in the crate that the heading above names.
pub(crate) fn check(path: &str, text: &str, tests: &Tests) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut krate = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            krate = heading.starts_with("mp-").then(|| heading.trim().to_owned());
        }
        let (Some(krate), Some(cell)) = (&krate, last_cell(line)) else { continue };
        let mut named = cell.split('`').skip(1).step_by(2).peekable();
        if named.peek().is_none() && !is_head(cell) {
            let advice = "a promise is worth its test: name one".to_owned();
            findings.push(Finding::new(path, "a promise has a test", advice).at(index + 1));
        }
        for name in named {
            let exists = name.split_once("::").is_some_and(|(module, function)| {
                tests.contains(&(krate.clone(), module.to_owned(), function.to_owned()))
            });
            if !exists {
                let advice = format!("`{name}` is not in `crates/{krate}/tests/it`");
                findings.push(Finding::new(path, "a named test exists", advice).at(index + 1));
            }
        }
    }
    findings
}

/// The last cell of a row.
fn last_cell(line: &str) -> Option<&str> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    row.rsplit(" | ").next().map(str::trim)
}

/// The head of a table, and the line below it.
fn is_head(cell: &str) -> bool {
    cell == "test" || cell.chars().all(|c| "-|: ".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "for_each! { by_macro }\nfn by_macro() {}\n#[test]\nfn plain() {}\n";

    fn findings(text: &str) -> Vec<(usize, &'static str)> {
        let source = Source::parse("crates/mp-x/tests/it/kills.rs", SOURCE).unwrap();
        check("docs/a.md", text, &tests(&source)).iter().map(Finding::place).collect()
    }

    #[test]
    fn tests_that_exist() {
        let text = "## mp-x\n\n| killed | seen | test |\n|---|---|---|\n| a | b | `kills::by_macro`, `kills::plain` |\n";
        assert_eq!(findings(text), []);
        assert_eq!(findings("| a | b | `no::test` of no crate |"), []);
    }

    #[test]
    fn tests_that_do_not() {
        let rule = [(2, "a named test exists")];
        assert_eq!(findings("## mp-x\n| a | b | `kills::other` |"), rule);
        assert_eq!(findings("## mp-x\n| a | b | `other::plain` |"), rule);
        assert_eq!(findings("## mp-y\n| a | b | `kills::plain` |"), rule);
        assert_eq!(findings("## mp-x\n| a | b | `plain` |"), rule);
    }

    #[test]
    fn promises_without_a_test() {
        assert_eq!(findings("## mp-x\n| a | b | surely |"), [(2, "a promise has a test")]);
    }
}
