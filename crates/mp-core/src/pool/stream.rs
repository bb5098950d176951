use std::{
    collections::VecDeque,
    fmt,
    iter::FusedIterator,
    time::{Duration, Instant},
};

use mp_os::{Deadline, TimeoutError};
use serde::{Serialize, de::DeserializeOwned};

use super::feed::Feed;
use crate::{Error, TaskError};

/// The next outcome, none after the last one, or that the time for it has passed.
type Next<R> = Result<Option<Result<R, TaskError>>, TimeoutError>;

/// The outcomes of [`Pool::imap`](super::Pool::imap) and its siblings, one by one: an iterator that feeds the pool.
///
/// Lazy on both ends: arguments are taken from their iterator as the workers need them, a bounded number ahead of the
/// outcomes taken from here. A task that fails is one `Err` among the others. Once the pool takes no more of them, those
/// that it has taken have their outcomes first, and why is the last. Dropping it early cancels the tasks that have not
/// begun.
pub struct Outcomes<I, R: DeserializeOwned + Send + 'static> {
    pub(super) feed: Feed<I, R, VecDeque<Result<R, TaskError>>>,
    pub(super) taken: u64,
    /// Why the pool has not taken all tasks.
    pub(super) refusal: Option<Error>,
}

impl<A, I, R> Outcomes<I, R>
where
    A: Serialize,
    I: Iterator<Item = A>,
    R: DeserializeOwned + Send + 'static,
{
    /// The next outcome, `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`] when `timeout` has passed first; the tasks and the iterator go on.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_core::{Event, Pool};
    /// use std::time::Duration;
    ///
    /// let (pool, event) = (Pool::new(1)?, Event::new()?);
    /// let mut outcomes = pool.imap(|event: Event| event.wait().is_ok(), [event.clone()])?;
    /// assert!(outcomes.next_timeout(Duration::from_millis(20)).is_err());
    /// event.set();
    /// assert!(outcomes.next().unwrap()?);
    /// # Ok::<(), mp_core::Error>(())
    /// ```
    #[doc(alias = "timeout")]
    pub fn next_timeout(&mut self, timeout: Duration) -> Next<R> {
        self.next_until(Deadline::after(timeout))
    }

    /// [`next_timeout`](Self::next_timeout) until `deadline` at the latest.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn next_deadline(&mut self, deadline: Instant) -> Next<R> {
        self.next_until(Deadline::at(deadline))
    }

    /// [`next_timeout`](Self::next_timeout) without waiting.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_next(&mut self) -> Next<R> {
        self.next_timeout(Duration::ZERO)
    }

    fn next_until(&mut self, deadline: Deadline) -> Next<R> {
        loop {
            let taken = self.taken;
            if let Err(error) = self.feed.feed(taken) {
                self.refusal = Some(error);
            }
            if let Some(outcome) = self.feed.inbox.take() {
                self.taken += 1;
                return Ok(Some(outcome));
            }
            if self.feed.is_complete() {
                return Ok(self.refusal.take().map(|error| Err(error.into())));
            }
            match self.feed.wait(taken, deadline, |feed| feed.inbox.due() > taken) {
                Ok(true) => {}
                Ok(false) => return Err(TimeoutError::TimedOut),
                Err(error) => {
                    self.feed.end();
                    self.refusal = None;
                    return Ok(Some(Err(error.into())));
                }
            }
        }
    }
}

impl<A, I, R> Iterator for Outcomes<I, R>
where
    A: Serialize,
    I: Iterator<Item = A>,
    R: DeserializeOwned + Send + 'static,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(Deadline::never()).unwrap_or_default()
    }
}

impl<A, I, R> FusedIterator for Outcomes<I, R>
where
    A: Serialize,
    I: Iterator<Item = A>,
    R: DeserializeOwned + Send + 'static,
{
}

impl<I, R: DeserializeOwned + Send + 'static> fmt::Debug for Outcomes<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").field("taken", &self.taken).finish_non_exhaustive()
    }
}
