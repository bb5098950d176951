//! Code of users that runs on our threads: what panics there goes no further.

use std::{
    any::Any,
    mem,
    panic::{self, AssertUnwindSafe},
};

/// Runs `work`. A panic in it, of which the panic hook has told, is the error; nothing that a thread of ours is needed for
/// ends with it.
pub(crate) fn contained<R>(work: impl FnOnce() -> R) -> Result<R, Payload> {
    // What is called here is told of its end once, and never looked at again where it has panicked.
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Payload(Some(payload)))
}

/// What a panic was called with. Its destructor may panic too, which does no harm.
pub(crate) struct Payload(Option<Box<dyn Any + Send>>);

impl Payload {
    pub(crate) fn get(&self) -> &(dyn Any + Send) {
        self.0.as_deref().unwrap_or(&())
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let payload = self.0.take();
        if let Err(another) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            // That one's destructor might go on so for ever.
            mem::forget(another);
        }
    }
}
