//! The futex: `Documentation/locking/futex*.rst` and `kernel/futex/waitwake.c`.

use std::{io, sync::Arc};

use loom::sync::{Condvar, Mutex, atomic::Ordering::SeqCst};
use mp_os::Deadline;

use crate::{
    atomic::{AtomicU32, Word},
    robust,
};

/// What sleepers sleep in.
#[derive(Default)]
struct Queue {
    /// Address of the word and number of the sleeper, the longest first.
    sleepers: Vec<(usize, u64)>,
    next: u64,
}

loom::lazy_static! {
    static ref QUEUE: Mutex<Queue> = Mutex::new(Queue::default());
    static ref WOKEN: Condvar = Condvar::new();
}

fn address(word: &Word) -> usize {
    Arc::as_ptr(word).addr()
}

/// Sleeps for as long as nobody wakes it: the library's time limits are for wake-ups that were lost, and one that is lost
/// here is an error, which loom finds as a deadlock.
#[expect(clippy::unnecessary_wraps, reason = "the signature of the library")]
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _: Deadline) -> io::Result<()> {
    if !robust::step() {
        return Ok(());
    }
    let word = word.word();
    let mut queue = QUEUE.lock().expect("no panic in this file");
    // The look and the going to sleep are one, to those who wake.
    if word.load(SeqCst) != expected {
        return Ok(());
    }
    let sleeper = (address(word), queue.next);
    queue.next += 1;
    queue.sleepers.push(sleeper);
    while queue.sleepers.contains(&sleeper) {
        queue = WOKEN.wait(queue).expect("no panic in this file");
    }
    Ok(())
}

pub(crate) fn futex_wake(word: &AtomicU32, count: i32) {
    if robust::step() {
        wake(word.word(), count);
    }
}

pub(crate) fn wake(word: &Word, mut count: i32) {
    let mut queue = QUEUE.lock().expect("no panic in this file");
    queue.sleepers.retain(|&(at, _)| {
        let stays = at != address(word) || count == 0;
        count -= i32::from(!stays);
        stays
    });
    drop(queue);
    WOKEN.notify_all();
}
