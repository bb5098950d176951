//! What the machine can do at best: numbers in a cache line, one at a time, each other than the one before.

use std::{
    hint,
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
};

use serde::{Deserialize, Serialize};

use super::{Link, number};
use crate::{Words, sys};

/// The receiver looks all the time: what moving a cache line costs.
#[derive(Debug, Serialize, Deserialize)]
pub struct LineLink {
    words: Words,
    seen: u64,
}

impl Link for LineLink {
    const NAME: &'static str = "cache-line";
    const LONGEST: usize = 8;

    fn open(_len: usize) -> Self {
        Self { words: Words::create(), seen: 0 }
    }

    fn send(&mut self, message: &[u8]) {
        self.words.u64(0).store(number::read(message), Release);
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let word = self.words.u64(0);
        let mut now = word.load(Acquire);
        while now == self.seen {
            hint::spin_loop();
            now = word.load(Acquire);
        }
        self.seen = now;
        number::write(message, now);
    }
}

/// The receiver sleeps, and the sender wakes it: what the kernel's cheapest wake-up costs.
#[derive(Debug, Serialize, Deserialize)]
pub struct FutexLink {
    words: Words,
    seen: u32,
}

impl Link for FutexLink {
    const NAME: &'static str = "futex";
    const LONGEST: usize = 8;

    fn open(_len: usize) -> Self {
        Self { words: Words::create(), seen: 0 }
    }

    fn send(&mut self, message: &[u8]) {
        self.words.u64(0).store(number::read(message), Relaxed);
        self.words.u32(0).fetch_add(1, Release);
        sys::futex_wake(self.words.u32(0), 1);
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let word = self.words.u32(0);
        while word.load(Acquire) == self.seen {
            sys::futex_wait(word, self.seen);
        }
        self.seen = self.seen.wrapping_add(1);
        number::write(message, self.words.u64(0).load(Relaxed));
    }
}
