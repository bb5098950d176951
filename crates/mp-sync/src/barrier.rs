use std::{
    error, fmt,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, Instant},
};

use mp_os::{Deadline, Error, Result, TimeoutError};

use crate::{Doorbell, LeafGuard, LeafLock, place, process::ProcessId, raw::SLICE, sys, wait};

/// The beginning of a barrier; a [`Place`] for each party follows.
///
/// A round is over when `round` has become the next one: one store. It is broken when its bit of `broken` is set.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Head {
    /// A leaf lock for all that follows.
    lock: LeafLock,
    bell: Doorbell,
    parties: AtomicU64,
    round: AtomicU64,
    /// A bit for each of the last 64 rounds.
    broken: AtomicU64,
    /// The process that runs the action of this round, when all have come.
    runner: AtomicU64,
}

/// Somebody who has come.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Place {
    process: AtomicU64,
    /// One more than the round that he waits in.
    arrived: AtomicU64,
}

/// A number of parties that wait for each other, again and again.
///
/// The place of a process that dies while it waits becomes free within 25 ms: the others wait for somebody else in its
/// stead. Who gives up waiting breaks the barrier for all who wait, as does one who dies while it runs the action, and
/// [`abort`](Self::abort); [`reset`](Self::reset) mends it. These are the rules of Python's barrier, but for the dead.
///
/// # Examples
///
/// ```
/// use mp_sync::Barrier;
/// use std::{sync::atomic::AtomicU64, thread};
///
/// let words = [const { AtomicU64::new(0) }; Barrier::words(3)]; // in shared memory, normally
/// let barrier = Barrier::create(&words, 3)?;
/// let mut indices = thread::scope(|scope| {
///     [0; 3].map(|_| scope.spawn(|| barrier.wait())).map(|thread| thread.join().unwrap().unwrap())
/// });
/// indices.sort();
/// assert_eq!(indices, [0, 1, 2]);
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Barrier<'m> {
    head: &'m Head,
    places: &'m [Place],
}

/// Why a barrier let somebody go before all had come.
#[derive(Debug)]
#[non_exhaustive]
pub enum BarrierError {
    /// Somebody else gave up, aborted or reset it, or died while running the action.
    Broken,
    /// The deadline passed first. The barrier is broken.
    TimedOut,
    /// The operating system refused to wait.
    Os(Error),
}

/// What one who waits sees.
enum Seen {
    Over,
    /// All have come, and nobody has opened yet.
    Full,
    NotYet,
}

impl<'m> Barrier<'m> {
    /// The number of words for `parties` parties.
    pub const fn words(parties: usize) -> usize {
        place::words_of::<Head>() + parties * place::words_of::<Place>()
    }

    /// Makes a barrier for `parties` parties in `words`, before anybody else uses them.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there are too few words, or no parties.
    pub fn create(words: &'m [AtomicU64], parties: usize) -> Result<Self> {
        let (head, places) = Self::parts(words, parties)?;
        head.parties.store(parties as u64, Release);
        Ok(Self { head, places })
    }

    /// The barrier that somebody has made in `words`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) where there is none.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self> {
        let (head, _) = Self::parts(words, 1)?;
        let parties = head.parties.load(Acquire);
        let (head, places) = Self::parts(words, usize::try_from(parties).unwrap_or(usize::MAX))?;
        Ok(Self { head, places })
    }

    fn parts(words: &'m [AtomicU64], parties: usize) -> Result<(&'m Head, &'m [Place])> {
        const OBJECT: &str = "the memory of a barrier";
        if parties == 0 {
            return Err(Error::invalid_input("use", OBJECT, "it has no parties"));
        }
        let needed = parties.saturating_mul(place::words_of::<Place>());
        let (head, rest) = place::split(words, needed, OBJECT)?;
        Ok((head, sys::row(&rest[..needed])))
    }

    /// The number of parties.
    pub fn parties(&self) -> usize {
        self.places.len()
    }

    /// How many wait, a moment ago.
    pub fn waiting(&self) -> usize {
        self.here(self.head.round.load(Acquire)).count()
    }

    /// Whether the barrier is broken, until it is [reset](Self::reset).
    pub fn is_broken(&self) -> bool {
        self.is_broken_in(self.head.round.load(Acquire))
    }

    /// Waits until all parties have come: which of them this is, from 0 to one less than there are.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`]; [`BarrierError::Os`] where a seccomp filter denies `futex(2)`.
    pub fn wait(&self) -> Result<usize, BarrierError> {
        self.wait_until(Deadline::never(), || {})
    }

    /// [`wait`](Self::wait), breaking the barrier after `timeout`.
    ///
    /// # Errors
    ///
    /// [`BarrierError::TimedOut`]; as for [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BarrierError> {
        self.wait_until(Deadline::after(timeout), || {})
    }

    /// [`wait`](Self::wait), breaking the barrier at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<usize, BarrierError> {
        self.wait_until(Deadline::at(deadline), || {})
    }

    /// [`wait`](Self::wait) with a deadline, running `action` if this is the one that opens the barrier, before it does.
    ///
    /// A panic of the action breaks the barrier.
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    pub fn wait_until(
        &self,
        deadline: Deadline,
        action: impl FnOnce(),
    ) -> Result<usize, BarrierError> {
        let (round, index) = self.arrive(deadline)?;
        let mut action = Some(action);
        loop {
            let listener = self.head.bell.listen();
            match self.look(round)? {
                Seen::Over => return Ok(index),
                Seen::Full => {
                    if self.open(round, &mut action)? {
                        return Ok(index);
                    }
                }
                Seen::NotYet if deadline.is_past() => return self.give_up(round, index),
                Seen::NotYet => {
                    let slice = Deadline::after(SLICE);
                    listener.wait(deadline)?;
                    if slice.is_past() {
                        self.strike(round)?;
                    }
                }
            }
        }
    }

    /// Breaks the barrier: all who wait, and all who come later, get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// Where a seccomp filter denies `futex(2)`.
    pub fn abort(&self) -> Result<()> {
        let guard = self.lock()?;
        self.break_round(self.head.round.load(Relaxed));
        drop(guard);
        self.head.bell.ring_all();
        Ok(())
    }

    /// Makes the barrier as new: all who wait get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// As for [`abort`](Self::abort).
    pub fn reset(&self) -> Result<()> {
        let guard = self.lock()?;
        let round = self.head.round.load(Relaxed);
        if self.here(round).next().is_some() || self.is_broken_in(round) {
            self.break_round(round);
            self.begin(round.wrapping_add(1));
        }
        drop(guard);
        self.head.bell.ring_all();
        Ok(())
    }

    fn lock(&self) -> Result<LeafGuard<'m>> {
        // Each change is one store, so there is nothing to repair after a death.
        self.head.lock.lock()
    }

    fn is_broken_in(&self, round: u64) -> bool {
        self.head.broken.load(Acquire) & bit(round) != 0
    }

    /// Under the lock.
    fn break_round(&self, round: u64) {
        self.head.broken.fetch_or(bit(round), Release);
    }

    /// Under the lock: what ends the round before.
    fn begin(&self, round: u64) {
        self.head.runner.store(0, Relaxed);
        self.head.broken.fetch_and(!bit(round), Release);
        self.head.round.store(round, Release);
    }

    /// Those who have come in this round.
    fn here(&self, round: u64) -> impl Iterator<Item = &'m Place> {
        let arrived = round.wrapping_add(1);
        self.places.iter().filter(move |place| place.arrived.load(Acquire) == arrived)
    }

    /// Takes a place: the round, and which place.
    fn arrive(&self, deadline: Deadline) -> Result<(u64, usize), BarrierError> {
        let attempt = || {
            let _guard = wait::enter(&self.head.lock, deadline)?;
            let round = self.head.round.load(Relaxed);
            if self.is_broken_in(round) {
                return Ok(Some(Err(BarrierError::Broken)));
            }
            let arrived = round.wrapping_add(1);
            let free = |place: &Place| place.arrived.load(Relaxed) != arrived;
            let index = self.places.iter().position(free);
            Ok(index.map(|index| {
                let place = &self.places[index];
                place.process.store(ProcessId::current().to_bits(), Relaxed);
                place.arrived.store(arrived, Release);
                Ok((round, index))
            }))
        };
        // All places are taken while the action runs, or where more come than there are parties.
        let reap = || Ok(self.strike(self.head.round.load(Acquire))?);
        wait::wait_for(&self.head.bell, deadline, attempt, reap)?
    }

    fn look(&self, round: u64) -> Result<Seen, BarrierError> {
        // The order matters: a round that is over cannot break any more.
        if self.is_broken_in(round) {
            return Err(BarrierError::Broken);
        }
        if self.head.round.load(Acquire) != round {
            return Ok(Seen::Over);
        }
        let full = self.here(round).count() == self.places.len();
        let runner = self.head.runner.load(Acquire);
        Ok(if full && runner == 0 { Seen::Full } else { Seen::NotYet })
    }

    /// Ends the round, unless somebody has died or another one does it: whether this one did.
    fn open(&self, round: u64, action: &mut Option<impl FnOnce()>) -> Result<bool, BarrierError> {
        self.strike(round)?;
        {
            let _guard = self.lock()?;
            if !matches!(self.look(round)?, Seen::Full) {
                return Ok(false);
            }
            self.head.runner.store(ProcessId::current().to_bits(), Release);
        }
        let unwinding = Unwinding { barrier: self, round };
        if let Some(action) = action.take() {
            action();
        }
        std::mem::forget(unwinding);
        let guard = self.lock()?;
        // Somebody may have aborted it meanwhile.
        self.look(round)?;
        self.begin(round.wrapping_add(1));
        drop(guard);
        self.head.bell.ring_all();
        Ok(true)
    }

    fn give_up(&self, round: u64, index: usize) -> Result<usize, BarrierError> {
        let guard = self.lock()?;
        if let Seen::Over = self.look(round)? {
            return Ok(index);
        }
        self.break_round(round);
        drop(guard);
        self.head.bell.ring_all();
        Err(BarrierError::TimedOut)
    }

    /// Frees the places of the dead; a dead runner breaks the round: whether anything changed.
    #[cold]
    fn strike(&self, round: u64) -> Result<bool> {
        let owner = |place: &Place| ProcessId::from_bits(place.process.load(Relaxed));
        let is_dead = |process: &ProcessId| process.is_dead();
        let dead: Vec<_> = self.here(round).filter_map(owner).filter(is_dead).collect();
        let runner = ProcessId::from_bits(self.head.runner.load(Acquire)).filter(is_dead);
        if dead.is_empty() && runner.is_none() {
            return Ok(false);
        }
        let guard = self.lock()?;
        let now = ProcessId::from_bits(self.head.runner.load(Relaxed));
        if runner.is_some() && now == runner && self.head.round.load(Relaxed) == round {
            self.break_round(round);
        }
        let was_dead = |place: &&Place| owner(place).is_some_and(|owner| dead.contains(&owner));
        self.here(round).filter(was_dead).for_each(|place| place.arrived.store(0, Release));
        drop(guard);
        self.head.bell.ring_all();
        Ok(true)
    }
}

/// The action runs: a panic breaks the round.
struct Unwinding<'a, 'm> {
    barrier: &'a Barrier<'m>,
    round: u64,
}

impl Drop for Unwinding<'_, '_> {
    fn drop(&mut self) {
        let Ok(_guard) = self.barrier.lock() else { return };
        self.barrier.break_round(self.round);
        self.barrier.head.bell.ring_all();
    }
}

const fn bit(round: u64) -> u64 {
    1 << (round % 64)
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("the barrier is broken"),
            Self::TimedOut => f.write_str("the deadline passed, which has broken the barrier"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl error::Error for BarrierError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Os(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Error> for BarrierError {
    fn from(error: Error) -> Self {
        Self::Os(error)
    }
}

/// Nobody could even come.
impl From<TimeoutError> for BarrierError {
    fn from(error: TimeoutError) -> Self {
        match error {
            TimeoutError::Os(error) => Self::Os(error),
            _ => Self::TimedOut,
        }
    }
}
