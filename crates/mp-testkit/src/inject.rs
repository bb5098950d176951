//! A fault at every system call.
//!
//! The operation runs in a forked child, and that and everything it starts under `ptrace(2)`. At its k-th system call one of
//! these processes is killed, or the call fails without having been made; for every k until the operation has ended before.

mod failure;
mod operator;
mod sys;
mod tracer;

use std::{env, fmt};

use nix::sys::{signal::Signal, wait::WaitStatus};

use self::{
    operator::Census,
    tracer::{Aim, At, Run},
};
use crate::{Gate, sys::memory_file};

pub use failure::Failure;

/// The environment says how many points there are to be, or `all`.
const POINTS: &str = "MP_INJECT";

/// So many failures tell enough.
const FAILURES_MAX: usize = 8;

/// Which process the fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The one that runs the operation, whichever of its threads makes the call.
    Operator,
    /// Of those that are there when the operation begins, this one, in the order of their birth.
    Standing(usize),
    /// Of those that are started from then on, this one.
    Started(usize),
}

/// What happens to the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `SIGKILL` before a call, and after it.
    Kill,
    /// A call fails with this: one of them, and then all of a kind, but for errors after which a call is repeated.
    Fail(Failure),
}

/// What an injection has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InjectReport {
    /// The faults, each of them in a run of its own.
    pub points: usize,
    /// The points that there would have been in all.
    pub all: usize,
    /// The runs in which the operation succeeded all the same.
    pub results: usize,
    /// Those in which it returned an error.
    pub errors: usize,
    /// Those in which the operator was killed, and nothing was left of it.
    pub killed: usize,
}

impl fmt::Display for InjectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, all, results, errors, killed } = self;
        write!(f, "{points} of {all} points: {results} results, {errors} errors, ")?;
        write!(f, "{killed} operators killed, 0 failures")
    }
}

/// Lets `operation` meet `fault` at about `points` of the system calls of `victim`, evenly spread, or at so many as the
/// variable `MP_INJECT` says, which may be `all`.
///
/// Each run is a forked process of its own, in which `prepare` is called and then `operation`, with the fault. It may
/// return an error then, and it may succeed, but it must not panic. Then it is called again, without a fault, and must succeed;
/// and after three such calls at most the process must hold what it holds where there was no fault: threads, descriptors, children, shared mappings.
/// Where the operator itself was killed, all that it had started must be gone within 2 s. Nothing may take longer than 15 s.
///
/// Only in a test that has no other children, since every one of them is waited for. It shows every point between two calls of
/// *one* thread; how the calls of several threads or processes interleave is up to the scheduler. No fault is inside a call.
///
/// # Panics
///
/// Where something of that is not so, with the points and what happened there; and where the operation fails without any fault.
///
/// # Examples
///
/// ```
/// use std::{fs::File, io};
/// use mp_testkit::{Failure, Fault, Victim, inject};
///
/// let open = || File::open("/dev/null").map(drop);
/// let report = inject(Victim::Operator, Fault::Fail(Failure::NoDescriptors), 5, || {}, open);
/// assert!(report.errors > 0);
/// ```
#[track_caller]
pub fn inject<E: fmt::Display>(
    victim: Victim,
    fault: Fault,
    points: usize,
    prepare: impl Fn(),
    operation: impl Fn() -> Result<(), E>,
) -> InjectReport {
    let injection = Injection { victim, fault, prepare, operation };
    let (all, census) = injection.rehearse();
    let mut sweep = Sweep { injection, census, report: InjectReport::default(), failures: vec![] };
    sweep.report.all = all.points;
    match env::var(POINTS).ok().as_deref().map(str::parse) {
        None => sweep.sample(points),
        Some(Ok(points)) => sweep.sample(points),
        // `all`
        Some(Err(_)) => sweep.all(),
    }
    if let Fault::Fail(failure) = fault {
        for &number in all.numbers.iter().filter(|&&number| failure.may_last(number)) {
            sweep.at(At::Every(number));
        }
    }
    let Sweep { report, failures, .. } = sweep;
    assert!(
        failures.is_empty(),
        "{fault:?} of {victim:?}, {} points:\n{}",
        all.points,
        failures.join("\n")
    );
    report
}

/// [`inject`] with each of `victims`, whose reports are printed with `name` and what the victim is called.
///
/// # Panics
///
/// As there.
#[track_caller]
pub fn inject_each<E: fmt::Display>(
    name: &str,
    fault: Fault,
    victims: &[(Victim, &str)],
    points: usize,
    prepare: fn(),
    operation: fn() -> Result<(), E>,
) {
    for &(victim, role) in victims {
        let report = inject(victim, fault, points, prepare, operation);
        println!("{name}, {role}, {fault:?}: {report}");
    }
}

struct Injection<P, O> {
    victim: Victim,
    fault: Fault,
    prepare: P,
    operation: O,
}

impl<P: Fn(), E: fmt::Display, O: Fn() -> Result<(), E>> Injection<P, O> {
    /// The run in which nothing is done to the victim.
    #[track_caller]
    fn rehearse(&self) -> (Run, Census) {
        let (run, account) = self.run(At::Nowhere, None);
        let account = match (&run.hang, account) {
            (None, Some(account)) => account,
            (hang, _) => panic!(
                "it fails even without a fault: {:?}\n{}",
                run.status,
                hang.as_deref().unwrap_or_default()
            ),
        };
        assert_eq!(account.error, None, "the operation fails even without a fault");
        let meets = run.points > 0 || self.fault != Fault::Kill;
        assert!(meets, "{:?} makes no calls", self.victim);
        (run, account.census)
    }

    /// One run, and what the operator tells of itself where it came to its end.
    fn run(&self, at: At, expected: Option<&Census>) -> (Run, Option<operator::Account>) {
        let (gate, report) = (Gate::new(), memory_file("report").expect("a file without a name"));
        let operator = operator::start(|| {
            operator::run(&gate, &self.prepare, &self.operation, expected, &report)
        });
        let run = tracer::run(operator, &gate, Aim { victim: self.victim, fault: self.fault, at });
        let succeeded = matches!(run.status, WaitStatus::Exited(_, 0));
        (run, succeeded.then(|| operator::read(&report)))
    }
}

struct Sweep<P, O> {
    injection: Injection<P, O>,
    census: Census,
    report: InjectReport,
    failures: Vec<String>,
}

impl<P: Fn(), E: fmt::Display, O: Fn() -> Result<(), E>> Sweep<P, O> {
    fn sample(&mut self, points: usize) {
        let all = self.report.all;
        for point in 0..points.min(all) {
            self.at(At::Point(point * all / points.min(all)));
        }
    }

    /// Until a run ends before. Runs differ a little, by who waits for whom.
    fn all(&mut self) {
        for point in 0..self.report.all * 2 {
            if !self.at(At::Point(point)) && point >= self.report.all {
                break;
            }
        }
    }

    /// Whether the fault met the victim.
    fn at(&mut self, at: At) -> bool {
        if self.failures.len() >= FAILURES_MAX {
            return false;
        }
        let (run, account) = self.injection.run(at, Some(&self.census));
        let hit = run.hit;
        if let Err(failure) = self.judge(run, account) {
            self.failures.push(format!("at {at:?}, system call {hit:?}: {failure}"));
        }
        hit.is_some()
    }

    fn judge(&mut self, run: Run, account: Option<operator::Account>) -> Result<(), String> {
        if let Some(evidence) = run.hang {
            return Err(evidence);
        }
        self.report.points += usize::from(run.hit.is_some());
        let suicide =
            self.injection.victim == Victim::Operator && self.injection.fault == Fault::Kill;
        match (account, run.status) {
            (None, WaitStatus::Signaled(_, Signal::SIGKILL, _)) if suicide => {
                self.report.killed += 1
            }
            (None, status) => return Err(format!("the operator ended with {status:?}")),
            (Some(account), _) => {
                let mut beyond = account.census.beyond(&self.census);
                if !beyond.is_empty() {
                    // What comes late on a busy machine may not have been there when it was counted without a fault.
                    self.census.grow(self.injection.rehearse().1);
                    beyond = account.census.beyond(&self.census);
                }
                if !beyond.is_empty() {
                    let error = account.error.as_deref().unwrap_or("a result");
                    return Err(format!("after {error} there are {}", beyond.join(", ")));
                }
                match (run.hit, account.error) {
                    (Some(number), Some(error)) => {
                        println!("system call {number}: {error}");
                        self.report.errors += 1;
                    }
                    (Some(_), None) => self.report.results += 1,
                    (None, Some(error)) => return Err(format!("without a fault: {error}")),
                    (None, None) => {}
                }
            }
        }
        Ok(())
    }
}
