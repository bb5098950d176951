//! The framed results of tasks that run one after the other.

use mp_process::{TaskBytes, encode};

use super::{
    frame::{Item, Kind},
    wire::Failure,
};
use crate::{Error, Result};

#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) bytes: Vec<u8>,
    /// The end of the last one, where that is not with the others; before it has returned, that of its argument.
    pub(super) tail: Vec<u8>,
    /// That of the task that runs.
    item: Option<Item>,
}

impl Results {
    /// A task begins: its argument, and where its result is to be appended.
    #[inline]
    pub(super) fn begin<'a>(&'a mut self, argument: &'a [u8]) -> TaskBytes<'a> {
        self.item = Some(Item::begin(&mut self.bytes));
        TaskBytes { argument, result: &mut self.bytes, tail: &mut self.tail }
    }

    /// The running task has returned: where its outcome begins, `None` where no task runs.
    #[inline]
    pub(super) fn end(&mut self) -> Result<Option<usize>> {
        let Some(item) = self.item else { return Ok(None) };
        match item.end(&mut self.bytes, self.tail.len(), Kind::Value) {
            Ok(()) => {
                self.item = None;
                Ok(Some(item.start))
            }
            // A result too long to be an item is a failure of its task, like one that cannot be encoded.
            Err(reason) => self.fail(Failure::Result(reason)).map(Some),
        }
    }

    /// The running task has failed: where its outcome begins.
    ///
    /// # Errors
    ///
    /// Where none runs, or the failure itself cannot be encoded.
    #[cold]
    pub(super) fn fail(&mut self, failure: Failure) -> Result<usize> {
        let item = self.item.take().ok_or_else(|| Error::protocol("no task is there to fail"))?;
        item.clear(&mut self.bytes);
        self.tail = Vec::new();
        encode(&failure, &mut self.bytes)?;
        item.end(&mut self.bytes, 0, Kind::Failure).map_err(Error::protocol)?;
        Ok(item.start)
    }
}
