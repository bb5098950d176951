//! The process that runs the operation: traced, perhaps killed, and audited if it survives.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, Write},
    panic::{self, AssertUnwindSafe},
    process,
    time::Duration,
};

use mp_os::Deadline;
use nix::sys::signal::{self, Signal};

use crate::{Gate, proc, sys};

/// By this signal to itself the operator says that the operation begins, and that it has ended.
pub(super) const MARK: Signal = Signal::SIGUSR2;

/// How often the operation is done after a fault until all must be as it was.
const RECOVERIES: usize = 3;

/// How long what is being cleaned up may be seen still.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the first census looks for what is being cleaned up.
const LOOK: Duration = Duration::from_millis(100);

/// What the operator tells of itself.
#[derive(Debug)]
pub(super) struct Account {
    /// The error of the operation, where it had one.
    pub(super) error: Option<String>,
    pub(super) census: Census,
}

/// What a process holds, without the numbers: how many of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Census(BTreeMap<String, usize>);

impl Census {
    fn take() -> Self {
        let mut census = Self::default();
        for thread in proc::numbers("/proc/self/task") {
            census.add("thread", fs::read_to_string(format!("/proc/self/task/{thread}/comm")).ok());
        }
        for fd in proc::numbers("/proc/self/fd") {
            let target = fs::read_link(format!("/proc/self/fd/{fd}"));
            census.add("descriptor of", target.ok().map(|target| target.display().to_string()));
        }
        for child in proc::children(process::id()) {
            census.add(if child.is_zombie() { "zombie" } else { "child" }, Some(child.name));
        }
        for line in fs::read_to_string("/proc/self/maps").unwrap_or_default().lines() {
            let mut fields = line.split_ascii_whitespace();
            if fields.nth(1).is_some_and(|permissions| permissions.ends_with('s')) {
                census.add("shared mapping of", fields.nth(3).map(str::to_owned));
            }
        }
        census
    }

    /// What is gone already has no name.
    fn add(&mut self, kind: &str, name: Option<String>) {
        let Some(name) = name else { return };
        let letters: String = name.trim_end().chars().filter(|c| !c.is_ascii_digit()).collect();
        *self.0.entry(format!("{kind} {letters}")).or_default() += 1;
    }

    /// What exists once all that was to be cleaned up is: the `expected`, or the least that is seen within a while.
    fn settled(expected: Option<&Self>) -> Self {
        let deadline = Deadline::after(if expected.is_some() { SETTLE } else { LOOK });
        let mut best = Self::take();
        while expected.is_none_or(|expected| !best.beyond(expected).is_empty())
            && !deadline.is_past()
        {
            std::thread::yield_now();
            let next = Self::take();
            if expected.is_some() || next.size() <= best.size() {
                best = next;
            }
        }
        best
    }

    fn size(&self) -> usize {
        self.0.values().sum()
    }

    /// Expects as many of each as were seen in either.
    pub(super) fn grow(&mut self, other: Self) {
        for (name, count) in other.0 {
            let own = self.0.entry(name).or_default();
            *own = count.max(*own);
        }
    }

    /// What there is more of than `expected`, a line each.
    ///
    /// Not less: on a busy machine something that was being cleaned up may have been counted there.
    pub(super) fn beyond(&self, expected: &Self) -> Vec<String> {
        self.0
            .iter()
            .map(|(name, &is)| (name, is, expected.0.get(name).copied().unwrap_or(0)))
            .filter(|(_, is, should)| is > should)
            .map(|(name, is, should)| format!("{is} x {name}, expected {should}"))
            .collect()
    }
}

/// The body of the operator: its exit code.
///
/// After the operation, which may have met a fault, it is done again without one, and must succeed: who survives is to be
/// as good as new. Then the process must hold what it holds where there was no fault at all.
pub(super) fn run<E: std::fmt::Display>(
    traced: &Gate,
    prepare: &impl Fn(),
    operation: &impl Fn() -> Result<(), E>,
    expected: Option<&Census>,
    mut report: &File,
) -> i32 {
    traced.wait();
    let work = AssertUnwindSafe(|| {
        prepare();
        signal::raise(MARK).expect("a process can signal itself");
        let outcome = operation();
        signal::raise(MARK).expect("a process can signal itself");
        (outcome.err(), recovered(operation, expected))
    });
    let Ok((error, census)) = panic::catch_unwind(work) else { return 101 };
    let mut text = error.map_or_else(String::new, |error| error.to_string().replace('\n', " "));
    text.push('\n');
    for (name, count) in census.0 {
        text += &format!("{count} {name}\n");
    }
    i32::from(report.write_all(text.as_bytes()).is_err())
}

/// What this process holds after the operation was done without a fault; not the first time, perhaps, because what has died may
/// be missed only then.
fn recovered<E: std::fmt::Display>(
    operation: &impl Fn() -> Result<(), E>,
    expected: Option<&Census>,
) -> Census {
    let mut census = Census::default();
    for _ in 0..RECOVERIES {
        if let Err(error) = operation() {
            panic!("the operation fails without a fault, after one: {error}");
        }
        census = Census::settled(expected);
        if expected.is_none_or(|expected| census.beyond(expected).is_empty()) {
            break;
        }
    }
    census
}

/// What an operator that succeeded has written.
pub(super) fn read(mut report: &File) -> Account {
    let mut text = String::new();
    report.rewind().and_then(|()| report.read_to_string(&mut text)).expect("a report can be read");
    let mut lines = text.lines();
    let error = lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
    let entry = |line: &str| {
        let (count, name) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    Account { error, census: Census(lines.filter_map(entry).collect()) }
}

/// Forks the operator, which waits to be traced.
pub(super) fn start(body: impl FnOnce() -> i32) -> u32 {
    match sys::fork().expect("a child can be forked") {
        Some(pid) => pid,
        None => sys::exit_now(panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or(101)),
    }
}
