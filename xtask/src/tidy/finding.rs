use std::fmt;

/// One place that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: String,
    /// From one; zero is the whole file.
    line: usize,
    rule: &'static str,
    /// What is wrong here, and how to fix it.
    advice: String,
}

impl Finding {
    pub(crate) fn new(file: &str, rule: &'static str, advice: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: 0, rule, advice: advice.into() }
    }

    pub(crate) fn at(self, line: usize) -> Self {
        Self { line, ..self }
    }

    #[cfg(test)]
    pub(crate) const fn place(&self) -> (usize, &'static str) {
        (self.line, self.rule)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, advice } = self;
        write!(f, "{file}:{}: {rule}: {advice}", (*line).max(1))
    }
}
