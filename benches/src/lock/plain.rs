use std::{
    hint,
    sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, SeqCst},
    },
};

use super::Lock;
use crate::{
    Words,
    sys::{futex_wait, futex_wake, thread_number},
};

/// What everybody writes who does not care about deaths: a futex word with the holder's number, taken by a compare-and-exchange
/// and given back by an exchange that says whether somebody sleeps. The kernel is told nothing.
#[derive(Debug)]
pub struct Plain(Words);

const HOLDER: u32 = 0x3fff_ffff;
const WAITERS: u32 = 0x8000_0000;

/// How often a waiter looks before it sleeps.
const LOOKS: u32 = 60;

impl Lock for Plain {
    const NAME: &'static str = "plain";

    fn create(_words: &Words) {}

    fn attach(words: &Words) -> Self {
        Self(words.clone())
    }

    #[inline]
    fn with<R>(&self, section: impl FnOnce() -> R) -> R {
        let word = self.0.u32(0);
        let own = thread_number();
        if word.compare_exchange(0, own, Acquire, Relaxed).is_err() {
            take_contended(word, own);
        }
        let result = section();
        if word.swap(0, SeqCst) & WAITERS != 0 {
            futex_wake(word, 1);
        }
        result
    }
}

#[cold]
fn take_contended(word: &AtomicU32, own: u32) {
    let mut slept = 0;
    let mut state = spin(word);
    loop {
        if state & HOLDER == 0 {
            match word.compare_exchange(state, own | state & WAITERS | slept, Acquire, Relaxed) {
                Ok(_) => return,
                Err(now) => state = now,
            }
        } else if state & WAITERS == 0
            && let Err(now) = word.compare_exchange(state, state | WAITERS, Relaxed, Relaxed)
        {
            state = now;
        } else {
            slept = WAITERS;
            futex_wait(word, state | WAITERS);
            state = word.load(Relaxed);
        }
    }
}

fn spin(word: &AtomicU32) -> u32 {
    for _ in 0..LOOKS {
        let state = word.load(Relaxed);
        if state & HOLDER == 0 || state & WAITERS != 0 {
            return state;
        }
        hint::spin_loop();
    }
    word.load(Relaxed)
}
