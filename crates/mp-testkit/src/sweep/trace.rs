//! The way that an operation goes, instruction by instruction, and short cuts along it.

use std::collections::HashSet;

use super::{
    LONGEST, Point,
    victim::{Stop, Victim},
};

/// The instructions of an operation in the order in which they were executed.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// Where each of them lies.
    addresses: Vec<u64>,
    /// For each the last one up to it that is executed there for the first time: where a breakpoint leads to.
    landmarks: Vec<usize>,
    /// Before which of them the others did what they do.
    acted: Option<usize>,
}

impl Trace {
    /// What `victim` executes until the operation returns; `others` do something on the way as soon as they return true.
    #[track_caller]
    pub(super) fn record(mut victim: Victim, mut others: impl FnMut() -> bool) -> Self {
        let (mut trace, mut seen, mut landmark) = (Self::default(), HashSet::new(), 0);
        loop {
            let here = trace.len();
            assert!(here < LONGEST, "the operation does not end in {LONGEST} instructions");
            if trace.acted.is_none() && others() {
                trace.acted = Some(here);
            }
            let address = victim.address();
            if seen.insert(address) {
                landmark = here;
            }
            trace.addresses.push(address);
            trace.landmarks.push(landmark);
            if victim.step() == Stop::End {
                return trace;
            }
        }
    }

    /// The number of instructions.
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether others did something on the way.
    pub(super) fn has_others(&self) -> bool {
        self.acted.is_some()
    }

    /// Leads `victim` from its beginning to the instruction of this number, or to the end of the operation; `None` where it
    /// goes another way.
    #[track_caller]
    pub(super) fn follow(
        &self,
        victim: &mut Victim,
        to: usize,
        mut others: impl FnMut() -> bool,
    ) -> Option<Point> {
        let mut from = 0;
        if let Some(acted) = self.acted.filter(|&acted| acted <= to) {
            self.lead(victim, from, acted)?;
            others().then_some(())?;
            from = acted;
        }
        if to < self.len() {
            self.lead(victim, from, to)?;
            return Some(Point { instruction: to, complete: false });
        }
        let ended = victim.run() == Stop::End;
        ended.then_some(Point { instruction: self.len() - 1, complete: true })
    }

    /// From one instruction to another.
    #[track_caller]
    fn lead(&self, victim: &mut Victim, mut from: usize, to: usize) -> Option<()> {
        let landmark = self.landmarks[to];
        if landmark > from {
            (victim.run_to(self.addresses[landmark]) == Stop::There).then_some(())?;
            from = landmark;
        }
        let is_there = |victim: &Victim, at: usize| victim.address() == self.addresses[at];
        let stepped = (from..to).all(|at| is_there(victim, at) && victim.step() == Stop::There);
        (stepped && is_there(victim, to)).then_some(())
    }
}
