//! A kill at every instruction.
//!
//! The operation runs in a forked child under `ptrace(2)`, which executes `n` of its instructions and is then killed, for
//! every `n` from none to all of them. After each kill an oracle looks at what the child left in shared memory.
//!
//! A first child shows the [`Trace`], one instruction after the other. The others run to a breakpoint near their point and
//! take the last steps one by one. Where one of them goes another way (a library's function has been found by now, or it has
//! waited where the first one came too late to), another child shows the way anew; and where the next one goes yet another
//! way, one takes all steps one by one.

mod trace;
mod victim;

use crate::fork_child;
use trace::Trace;
use victim::{Stop, Victim};

/// Longer operations are loops: two threads of one lock, or a pair of load-exclusive and store-exclusive instructions,
/// which never succeeds under single steps (aarch64 before 8.1).
const LONGEST: usize = 200_000;

/// So many children may go a way of their own before nobody is asked to show it anew.
const FEW: usize = 3;

/// Where the child was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// How many instructions it had executed.
    pub instruction: usize,
    /// Whether the operation had returned, so that what it promises must hold.
    pub complete: bool,
}

/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Kills, each followed by a call of the oracle.
    pub points: usize,
    /// Of those, the ones before the operation had returned.
    pub killed: usize,
    /// Of those, the ones that took all steps one by one, which costs a hundred times as much.
    pub stepped: usize,
}

/// Kills a child at every instruction of `operation`, and asks `oracle` after each kill.
///
/// For each point `setup` makes a fresh state, which child and oracle share: what is to be seen by the oracle must be in
/// shared memory or in the kernel. The oracle says what must hold after a kill at any point, and panics where it does not;
/// when it is called the child is reaped, and the kernel has released what it held. The last point is after the return.
///
/// It shows every point of *one* instruction stream at which a holder can die. It shows no races with processes that run at
/// the same time, and no kill inside of a system call that waits: an operation that blocks hangs the sweep, and the
/// watchdog ends it. The instructions are those of the build at hand, and each point starts anew: thousands of instructions
/// take some seconds. So sweep an optimized build, and use [`sweep_sample`] in others: `if cfg!(debug_assertions)` tells
/// them apart.
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
    sweep_at(0.., setup, operation, oracle)
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
    let mut sweep = Sweep::new(setup, operation, |_| false);
    let stride = sweep.trace.len().div_ceil(points.max(1)).max(1);
    sweep.kill((0..).step_by(stride), oracle)
}

/// [`sweep`] after so many instructions each, to look at some points again.
///
/// It ends with a point that is after the return.
#[track_caller]
pub fn sweep_at<S>(
    points: impl IntoIterator<Item = usize>,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    let mut points = points.into_iter().peekable();
    match points.peek() {
        Some(_) => Sweep::new(setup, operation, |_| false).kill(points, oracle),
        None => SweepReport::default(),
    }
}

/// [`sweep_at`], while others do something in the middle of the operation.
///
/// While the child stands before an instruction, `others` looks at what it has done so far: as soon as it is the time for
/// what the others do, it does that and returns true, and is not asked again. At the points before that it has not been done.
///
/// # Panics
///
/// Where they never do it.
#[track_caller]
pub fn sweep_beside<S>(
    points: impl IntoIterator<Item = usize>,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    others: impl FnMut(&S) -> bool,
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    let mut sweep = Sweep::new(setup, operation, others);
    assert!(sweep.trace.has_others(), "it was never the time for what the others do");
    sweep.kill(points.into_iter(), oracle)
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

/// An operation, and the way that it goes.
struct Sweep<Setup, Operation, Others> {
    setup: Setup,
    operation: Operation,
    others: Others,
    trace: Trace,
}

impl<S, Setup, Operation, Others> Sweep<Setup, Operation, Others>
where
    Setup: FnMut() -> S,
    Operation: Fn(&S),
    Others: FnMut(&S) -> bool,
{
    #[track_caller]
    fn new(setup: Setup, operation: Operation, others: Others) -> Self {
        let mut sweep = Self { setup, operation, others, trace: Trace::default() };
        sweep.record();
        sweep
    }

    /// A fresh state and a child that stands before its operation: the same code for all of them.
    #[track_caller]
    #[inline(never)]
    fn start(&mut self) -> (S, Victim) {
        let state = (self.setup)();
        let victim = Victim::start(|| (self.operation)(&state));
        (state, victim)
    }

    /// Has a child show the way.
    #[track_caller]
    fn record(&mut self) {
        let (state, victim) = self.start();
        self.trace = Trace::record(victim, || (self.others)(&state));
    }

    #[track_caller]
    fn kill(
        &mut self,
        points: impl Iterator<Item = usize>,
        mut oracle: impl FnMut(S, Point),
    ) -> SweepReport {
        let mut report = SweepReport::default();
        for instruction in points {
            let found = self.kill_at(instruction).or_else(|| {
                // Not for those that go another way each time.
                if report.stepped > FEW {
                    return None;
                }
                self.record();
                self.kill_at(instruction)
            });
            let is_last = instruction >= self.trace.len();
            let (state, point) = found.unwrap_or_else(|| {
                report.stepped += 1;
                self.step_and_kill_at(if is_last { LONGEST } else { instruction })
            });
            assert!(point.complete || !is_last, "the operation does not end");
            oracle(state, point);
            report.points += 1;
            report.killed += usize::from(!point.complete);
            if is_last {
                break;
            }
        }
        report
    }

    /// Kills a child there, having run most of the way; `None` where it has not gone the way of the trace.
    #[track_caller]
    fn kill_at(&mut self, instruction: usize) -> Option<(S, Point)> {
        let (state, mut victim) = self.start();
        let point = self.trace.follow(&mut victim, instruction, || (self.others)(&state))?;
        drop(victim);
        Some((state, point))
    }

    /// Kills a child after so many steps, or after its return.
    #[track_caller]
    fn step_and_kill_at(&mut self, instruction: usize) -> (S, Point) {
        let (state, mut victim) = self.start();
        let mut act = false;
        let mut point = Point { instruction: 0, complete: false };
        while point.instruction < instruction && !point.complete {
            act = act || (self.others)(&state);
            point.complete = victim.step() == Stop::End;
            point.instruction += usize::from(!point.complete);
        }
        drop(victim);
        (state, point)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use super::*;
    use crate::isolated;

    type Pipe = (io::PipeReader, io::PipeWriter);

    /// With a loop, and calls into a library and into the kernel; what memory it gets is not up to it, so it wants none.
    fn operation(writer: &io::PipeWriter) {
        for byte in 0..3 {
            let bytes = std::hint::black_box([byte; 3]);
            assert_eq!((&*writer).write(&bytes).unwrap(), 3);
        }
    }

    /// Whoever is led by breakpoints has done at each point what one has who is led step by step.
    #[test]
    fn a_short_cut_comes_to_the_same() {
        isolated(|| {
            let mut sweep = Sweep::new(
                || io::pipe().unwrap(),
                |(_, writer): &Pipe| operation(writer),
                |_| false,
            );
            let read = |((mut reader, writer), point): (Pipe, Point)| {
                drop(writer);
                let mut read = Vec::new();
                reader.read_to_end(&mut read).unwrap();
                (read, point)
            };
            let len = sweep.trace.len();
            for instruction in (0..len).step_by(len / 15).chain([len]) {
                let short = sweep.kill_at(instruction).map(read).expect("it goes the same way");
                let long = sweep.step_and_kill_at(instruction.min(len));
                assert_eq!(short, read(long));
            }
        });
    }
}
