use std::{
    cell::{LazyCell, RefCell},
    sync::LazyLock,
};

use criterion::BenchmarkId;
use mp_benches::{Cores, Group, Python, in_rounds, unpin};

/// A case of `peers/multiprocessing_cases.py`: its name and its parameters.
#[derive(Clone, Debug)]
pub struct Case(Vec<String>);

impl Case {
    /// A case without parameters.
    pub fn new(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// With one more parameter.
    pub fn with(mut self, parameter: impl ToString) -> Self {
        self.0.push(parameter.to_string());
        self
    }

    /// With the numbers of two cores.
    pub fn on(self, cores: Cores) -> Self {
        let (ours, theirs) = cores.numbers();
        self.with(ours).with(theirs)
    }
}

/// Measures a case in a Python process of its own. Where there is no Python it says that it is skipped.
pub fn python(group: &mut Group<'_>, id: BenchmarkId, case: &Case) {
    static VERSION: LazyLock<Option<String>> = LazyLock::new(Python::version);
    let Some(version) = &*VERSION else {
        println!("SKIPPED {} of Python: there is no python3", case.0.join(" "));
        return;
    };
    let python = LazyCell::new(|| {
        // Python binds its processes itself, where that is part of the question.
        unpin();
        println!("{version}");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/multiprocessing_cases.py");
        let case: Vec<_> = case.0.iter().map(String::as_str).collect();
        RefCell::new(Python::start_script(script, &case))
    });
    group.bench_function(id, in_rounds(|count| python.borrow_mut().measure(count)));
}
