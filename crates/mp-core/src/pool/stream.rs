use std::{collections::VecDeque, fmt, iter::FusedIterator};

use serde::{Serialize, de::DeserializeOwned};

use super::feed::Feed;
use crate::{Error, TaskError};

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

impl<A, I, R> Iterator for Outcomes<I, R>
where
    A: Serialize,
    I: Iterator<Item = A>,
    R: DeserializeOwned + Send + 'static,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let taken = self.taken;
            if let Err(error) = self.feed.feed(taken) {
                self.refusal = Some(error);
            }
            if let Some(outcome) = self.feed.inbox.take() {
                self.taken += 1;
                return Some(outcome);
            }
            if self.feed.is_complete() {
                return self.refusal.take().map(|error| Err(error.into()));
            }
            if let Err(error) = self.feed.wait(taken, |feed| feed.inbox.due() > taken) {
                self.feed.end();
                return Some(Err(error.into()));
            }
        }
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
