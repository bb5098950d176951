use std::time::{Duration, Instant};

use mp_sync::{BarrierError, Deadline};

use super::{Object, travels};
use crate::Result;

/// A number of parties, processes or threads, that wait for each other, again and again.
///
/// A handle: cloning it or sending it to another process gives another handle of the same barrier. The place of a process that
/// dies while it waits becomes free: the others wait for somebody else in its stead. Whoever gives up waiting breaks the
/// barrier for all, as in Python; [`reset`](Self::reset) mends it.
///
/// # Examples
///
/// ```
/// use mp_core::{Barrier, Process};
///
/// let barrier = Barrier::new(2)?;
/// let child = Process::spawn(|barrier: Barrier| barrier.wait().unwrap(), barrier.clone())?;
/// let (ours, theirs) = (barrier.wait()?, child.join()?);
/// assert_eq!(ours + theirs, 1, "one is party 0, the other one is party 1");
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Barrier(Object);

impl Barrier {
    const KIND: &[u8; 8] = b"mp barri";

    /// A barrier for so many parties.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for no parties or more than 4,194,304; an error with a hint where
    /// memory or descriptors are short.
    pub fn new(parties: usize) -> Result<Self> {
        Self::create(parties, 0)
    }

    /// A barrier at which [`wait`](Self::wait) gives up after `timeout`, rounded up to a microsecond.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn with_timeout(parties: usize, timeout: Duration) -> Result<Self> {
        let micros = timeout.as_nanos().div_ceil(1000).max(1);
        Self::create(parties, u64::try_from(micros).unwrap_or(0))
    }

    fn create(parties: usize, timeout: u64) -> Result<Self> {
        if parties > Self::MOST {
            let reason = format!("{parties} parties are more than {}", Self::MOST);
            return Err(mp_os::Error::invalid_input("create", "a barrier", reason).into());
        }
        let words = mp_sync::Barrier::words(parties);
        let object = Object::create(Self::KIND, words, timeout)?;
        mp_sync::Barrier::create(object.words(), parties)?;
        Ok(Self(object))
    }

    /// More parties than that there are no thread numbers for.
    const MOST: usize = 1 << 22;

    /// Waits until all parties have come: which of them this is, from 0 to one less than there are.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Broken`]; [`BarrierError::TimedOut`] where it was made with a timeout.
    pub fn wait(&self) -> Result<usize, BarrierError> {
        self.wait_with(|| {})
    }

    /// [`wait`](Self::wait), running `action` before anybody goes on if this is the party that opens the barrier.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Self::wait).
    #[doc(alias = "action")]
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<usize, BarrierError> {
        let deadline = match self.0.parameter() {
            0 => Deadline::never(),
            micros => Deadline::after(Duration::from_micros(micros)),
        };
        self.view()?.wait_until(deadline, action)
    }

    /// [`wait_with`](Self::wait_with), breaking the barrier after `timeout`. The action itself is not bounded by it.
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    pub fn wait_with_timeout(
        &self,
        timeout: Duration,
        action: impl FnOnce(),
    ) -> Result<usize, BarrierError> {
        self.view()?.wait_until(Deadline::after(timeout), action)
    }

    /// [`wait_with`](Self::wait_with), breaking the barrier at `deadline`. The action itself is not bounded by it.
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    pub fn wait_with_deadline(
        &self,
        deadline: Instant,
        action: impl FnOnce(),
    ) -> Result<usize, BarrierError> {
        self.view()?.wait_until(Deadline::at(deadline), action)
    }

    /// [`wait`](Self::wait), breaking the barrier after `timeout`.
    ///
    /// # Errors
    ///
    /// [`BarrierError::TimedOut`]; as for [`wait`](Self::wait).
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BarrierError> {
        self.view()?.wait_timeout(timeout)
    }

    /// [`wait`](Self::wait), breaking the barrier at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`wait_timeout`](Self::wait_timeout).
    pub fn wait_deadline(&self, deadline: Instant) -> Result<usize, BarrierError> {
        self.view()?.wait_deadline(deadline)
    }

    /// Breaks the barrier: all who wait, and all who come later, get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// Where a seccomp filter denies `futex(2)`.
    pub fn abort(&self) -> Result<()> {
        Ok(self.view()?.abort()?)
    }

    /// Makes the barrier as new: all who wait get [`BarrierError::Broken`].
    ///
    /// # Errors
    ///
    /// As for [`abort`](Self::abort).
    pub fn reset(&self) -> Result<()> {
        Ok(self.view()?.reset()?)
    }

    /// Whether the barrier is broken, until it is [reset](Self::reset).
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.view().is_ok_and(|barrier| barrier.is_broken())
    }

    /// The number of parties.
    pub fn parties(&self) -> usize {
        self.view().map_or(0, |barrier| barrier.parties())
    }

    /// How many wait, a moment ago.
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        self.view().map_or(0, |barrier| barrier.waiting())
    }

    fn view(&self) -> Result<mp_sync::Barrier<'_>, mp_os::Error> {
        mp_sync::Barrier::attach(self.0.words())
    }
}

travels!(Barrier);
