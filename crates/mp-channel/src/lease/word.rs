//! The word that says all that matters of a slot.

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Held,
    Returned,
    Dead,
    Acked,
}

impl State {
    pub(crate) const COUNT: usize = 5;
}

/// | bits | what |
/// |---|---|
/// | 0-2 | the state |
/// | 3-24 | the holder's process number, which has 22 bits on every Linux |
/// | 25-40 | how often the record was delivered |
/// | 41-63 | counted up with each step, so that no old word is taken for a new one |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

const PID: u32 = 3;
const DELIVERIES: u32 = 25;
const STEPS: u32 = 41;

impl Word {
    pub(crate) const MAX_DELIVERIES: u32 = (1 << (STEPS - DELIVERIES)) - 1;
    const MAX_PID: u32 = (1 << (DELIVERIES - PID)) - 1;

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// What nobody writes is taken for the last one, which ends in a free slot.
    pub(crate) fn state(self) -> State {
        match self.0 & 7 {
            0 => State::Free,
            1 => State::Held,
            2 => State::Returned,
            3 => State::Dead,
            _ => State::Acked,
        }
    }

    pub(crate) fn pid(self) -> u32 {
        (self.0 >> PID) as u32 & Self::MAX_PID
    }

    pub(crate) fn deliveries(self) -> u32 {
        (self.0 >> DELIVERIES) as u32 & Self::MAX_DELIVERIES
    }

    pub(crate) fn held_by(self, pid: u32, deliveries: u32) -> Self {
        let deliveries = deliveries.min(Self::MAX_DELIVERIES);
        self.next(State::Held, pid & Self::MAX_PID, deliveries)
    }

    pub(crate) fn moved_to(self, state: State) -> Self {
        self.next(state, self.pid(), self.deliveries())
    }

    fn next(self, state: State, pid: u32, deliveries: u32) -> Self {
        let steps = (self.0 >> STEPS).wrapping_add(1);
        let (pid, deliveries) = (u64::from(pid), u64::from(deliveries));
        Self(state as u64 | pid << PID | deliveries << DELIVERIES | steps << STEPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_was_meant() {
        let free = Word::from_bits(0);
        assert_eq!(free.state(), State::Free);
        let held = free.held_by(4_194_303, 9);
        assert_eq!((held.state(), held.pid(), held.deliveries()), (State::Held, 4_194_303, 9));
        let back = held.moved_to(State::Returned);
        assert_eq!((back.state(), back.pid(), back.deliveries()), (State::Returned, 4_194_303, 9));
        assert_eq!(back.held_by(1, u32::MAX).deliveries(), Word::MAX_DELIVERIES);
        assert_ne!(held.moved_to(State::Free), free, "each step shows");
    }
}
