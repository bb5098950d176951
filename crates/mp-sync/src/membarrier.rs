//! A full barrier that costs nothing on the one side, and a system call on the other.
//!
//! Who gives something back stores, and then looks whether somebody sleeps; who goes to sleep says so, and then looks whether
//! it is still to wait. One of the two must see the other (Dekker), which takes a full barrier between the store and the load
//! on *both* sides. For the first that is the most expensive part of an unlock, and nobody sleeps nearly always. `membarrier(2)`
//! moves the cost: [`heavy`] makes every thread of every registered process that runs at that moment execute a full barrier,
//! so that [`light`] need not be more than an order to the compiler. To the memory model a pair of them is two `SeqCst` fences.
//!
//! Every process registers itself before `main` (4 us; with a second thread it would be 4 to 16 ms), and its forks are
//! registered with it. One that could not, because a seccomp filter denies the call, has a real fence for [`light`]. To those
//! who sleep there it says that they cannot know of everybody, and they look again after [`BLIND`].
//!
//! Source: `kernel/sched/membarrier.c`; the idea is that of Linux's `tools/memory-model` and of liburcu.

use std::{
    sync::atomic::{
        AtomicBool,
        Ordering::{Relaxed, SeqCst},
        compiler_fence, fence,
    },
    time::Duration,
};

use crate::sys;

/// Whether the threads of this process execute the barriers of others.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// The longest sleep of one who could not make the others execute a barrier.
const BLIND: Duration = Duration::from_millis(1);

/// Before `main`, and before constructors that never return to it.
pub(crate) fn register() {
    REGISTERED.store(sys::membarrier_register().is_ok(), Relaxed);
}

/// Orders the stores before it before the loads after it, in the eyes of whoever calls [`heavy`].
#[inline(always)]
pub(crate) fn light() {
    if REGISTERED.load(Relaxed) {
        compiler_fence(SeqCst);
    } else {
        fence(SeqCst);
    }
}

/// Orders everything before it before everything after it, and has all others do so where they are: how long to sleep after
/// it, at most `slice`.
pub(crate) fn heavy(slice: Duration) -> Duration {
    fence(SeqCst);
    if sys::membarrier_expedited().is_ok() { slice } else { slice.min(BLIND) }
}
