//! A kill at every instruction.
//!
//! The operation runs in a forked child under `ptrace(2)`, which executes `n` of its instructions one by one and is then
//! killed, for every `n` from none to all of them. After each kill an oracle looks at what the child left in shared memory.

use std::panic::{self, AssertUnwindSafe};

use nix::{
    sys::{
        ptrace::{self, Options},
        signal::{self, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpid},
};

use crate::{fork_child, sys};

/// The signals by which the child says that the operation begins and that it has ended.
const BEGIN: Signal = Signal::SIGSTOP;
const END: Signal = Signal::SIGUSR2;

/// Longer operations are loops: two threads of one lock, or a pair of load-exclusive and store-exclusive instructions,
/// which never succeeds under single steps (aarch64 before 8.1).
const LONGEST: usize = 200_000;

/// Where the child was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// How many instructions it had executed.
    pub instruction: usize,
    /// Whether the operation had returned, so that what it promises must hold.
    pub complete: bool,
}

/// What a sweep has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Kills, each followed by a call of the oracle.
    pub points: usize,
    /// Of those, the ones before the operation had returned.
    pub killed: usize,
}

/// Kills a child at every instruction of `operation`, and asks `oracle` after each kill.
///
/// For each point `setup` makes a fresh state, which child and oracle share: what is to be seen by the oracle must be in
/// shared memory or in the kernel. The oracle says what must hold after a kill at any point, and panics where it does not;
/// when it is called the child is reaped, and the kernel has released what it held. The last point is after the return.
///
/// It shows every point of *one* instruction stream at which a holder can die. It shows no races with processes that run at
/// the same time, and no kill inside of a system call that waits: an operation that blocks hangs the sweep, and the
/// watchdog ends it. The instructions are those of the build at hand, and each point starts anew: 500 instructions take
/// some seconds, 5000 a hundred times as long. So sweep an optimized build, and use [`sweep_sample`] in others:
/// `if cfg!(debug_assertions)` tells them apart.
///
/// # Examples
///
/// ```
/// use std::io::{Read, Write};
///
/// let report = mp_testkit::sweep(
///     || std::io::pipe().unwrap(),
///     |(_, writer)| (&*writer).write_all(b"all or nothing").unwrap(),
///     |(mut reader, writer), point| {
///         drop(writer);
///         let mut read = Vec::new();
///         reader.read_to_end(&mut read).unwrap();
///         assert!(read == b"all or nothing" || (read.is_empty() && !point.complete));
///     },
/// );
/// assert_eq!(report.points, report.killed + 1);
/// ```
#[track_caller]
pub fn sweep<S>(
    mut setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    rehearse(setup(), &operation);
    sweep_at(0..=LONGEST, setup, operation, oracle)
}

/// [`sweep`] at about `points` points, evenly spread over an operation that is too long for all of them.
#[track_caller]
pub fn sweep_sample<S>(
    points: usize,
    mut setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    rehearse(setup(), &operation);
    let state = setup();
    let length = Victim::start(|| operation(&state)).run(LONGEST).instruction;
    drop(state);
    let stride = length.div_ceil(points.max(1)).max(1);
    sweep_at((0..=LONGEST).step_by(stride), setup, operation, oracle)
}

/// [`sweep`] after so many instructions each, to look at some points again.
///
/// It ends with a point that is after the return.
#[track_caller]
pub fn sweep_at<S>(
    points: impl IntoIterator<Item = usize>,
    mut setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    mut oracle: impl FnMut(S, Point),
) -> SweepReport {
    let mut report = SweepReport { points: 0, killed: 0 };
    for instruction in points {
        let state = setup();
        let mut victim = Victim::start(|| operation(&state));
        let point = victim.run(instruction);
        drop(victim);
        oracle(state, point);
        report.points += 1;
        if point.complete {
            break;
        }
        report.killed += 1;
    }
    report
}

/// Once at full speed: what fails by itself is not worth millions of steps through the printing of its panic.
#[track_caller]
fn rehearse<S>(state: S, operation: impl Fn(&S)) {
    let rehearsal = fork_child(|| {
        operation(&state);
        0
    });
    let status = rehearsal.wait();
    assert!(status.success(), "the operation fails even when nobody kills it: {status}");
}

/// A child that stands before an instruction, killed and reaped when it is dropped.
#[derive(Debug)]
struct Victim {
    pid: Pid,
    /// A signal that the child was stopped for, to be delivered with the next step.
    pending: Option<Signal>,
    reaped: bool,
}

impl Victim {
    #[track_caller]
    fn start(operation: impl FnOnce()) -> Self {
        let Some(pid) = sys::fork().expect("a child can be forked") else {
            let traced = ptrace::traceme().and_then(|()| signal::kill(getpid(), BEGIN));
            traced.expect("a child can be traced");
            let outcome = panic::catch_unwind(AssertUnwindSafe(operation));
            // To this process alone, whose only thread gets it before the call returns.
            let ended = signal::kill(getpid(), END);
            sys::exit_now(if outcome.is_ok() && ended.is_ok() { 0 } else { 101 });
        };
        let mut victim =
            Self { pid: Pid::from_raw(pid.cast_signed()), pending: None, reaped: false };
        let stopped = victim.wait();
        assert_eq!(stopped, Some(BEGIN), "a child can be traced");
        ptrace::setoptions(victim.pid, Options::PTRACE_O_EXITKILL).expect("a tracer sets options");
        victim
    }

    /// Executes so many instructions, or fewer where the operation ends before.
    #[track_caller]
    fn run(&mut self, instructions: usize) -> Point {
        for instruction in 0..instructions {
            ptrace::step(self.pid, self.pending.take()).expect("a stopped child can be stepped");
            match self.wait() {
                Some(Signal::SIGTRAP) => {}
                Some(END) => return Point { instruction, complete: true },
                Some(other) => self.pending = Some(other),
                None => panic!("the operation ended its process after {instruction} instructions"),
            }
        }
        assert!(instructions < LONGEST, "the operation does not end in {LONGEST} instructions");
        Point { instruction: instructions, complete: false }
    }

    /// The signal that the child stopped for; `None` once it is dead.
    fn wait(&mut self) -> Option<Signal> {
        match waitpid(self.pid, Some(WaitPidFlag::__WALL)).expect("a child can be waited for") {
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => {
                self.reaped = true;
                None
            }
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !self.reaped {
            sys::kill(self.pid.as_raw().unsigned_abs());
            // A stop that was on its way may be reported before the death.
            while self.wait().is_some() {}
        }
    }
}
