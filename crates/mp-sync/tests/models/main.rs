//! The lock, the doorbell and the way the ring uses both, in all the orders in which threads can run and see each other's
//! stores: checked by [loom], which stands in for the atomics, the futex and the kernel's work for a dead holder.
//!
//! What is checked is the library's own source, compiled here beside those stand-ins. Deaths at every single *instruction*
//! are the sweeps' business (`tests/it/sweep.rs`); here a holder dies between any two of its accesses to shared memory, while
//! others run.

#[path = "../../src/doorbell.rs"]
#[expect(unreachable_pub, reason = "it is public in the library")]
mod doorbell;
#[path = "../../src/lock.rs"]
#[expect(dead_code, unreachable_pub, reason = "it is public in the library")]
mod lock;
#[path = "../../src/words.rs"]
mod words;

mod atomic;
mod bell;
mod leaf;
mod newest;
mod ring;
mod robust;
mod sys;

use doorbell::Doorbell;
use lock::LeafLock;

/// Spinning is a matter of speed: here nobody does.
mod spin {
    pub(crate) struct Looks;

    pub(crate) fn briefly() -> Looks {
        Looks
    }

    impl Looks {
        #[expect(clippy::unused_self, reason = "the signature of the library")]
        pub(crate) fn again(&mut self) -> bool {
            false
        }
    }
}

/// What the memory model sees of a barrier that one side pays for.
mod membarrier {
    use std::time::Duration;

    use crate::atomic::{Ordering::SeqCst, fence};

    pub(crate) fn light() {
        fence(SeqCst);
    }

    pub(crate) fn heavy(slice: Duration) -> Duration {
        fence(SeqCst);
        slice
    }
}

mod process {
    /// For the fallback after a sleep of 100 ms, which here nobody sleeps.
    pub(crate) fn thread_lives(_: u32) -> bool {
        true
    }
}

/// Runs `model` in every order of its threads in which at most `preemptions` times one loses the processor to another
/// that it does not wait for.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// `object`, whose words loom knows from here on: it makes each at the first look, which is to come before any thread.
fn made<T: std::fmt::Debug>(object: T) -> T {
    let _ = format!("{object:?}");
    object
}
