//! `mp_channel::Ring`, which carries bytes.

use std::{hint::black_box, iter};

use mp_channel::{Batch, Ring};
use serde::{Deserialize, Serialize};

use super::Link;

/// Room for four messages at least, and for 64 KiB.
fn open(len: usize) -> Ring {
    let bytes = (4 * len).max(64 * len.min(4096)).max(64 << 10);
    Ring::builder().items(1024).bytes(bytes).create().expect("a ring")
}

/// One message at a time.
#[derive(Debug, Serialize, Deserialize)]
pub struct RingLink(Ring);

impl Link for RingLink {
    const NAME: &'static str = "ring";

    fn open(len: usize) -> Self {
        Self(open(len))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.push(message).expect("an open ring");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.pop(message).expect("an open ring");
    }
}

/// Many messages with one lock.
#[derive(Debug, Serialize, Deserialize)]
pub struct BatchLink {
    ring: Ring,
    #[serde(skip)]
    batch: Batch,
}

impl Link for BatchLink {
    const NAME: &'static str = "ring-batch";

    fn open(len: usize) -> Self {
        Self { ring: open(len), batch: Batch::default() }
    }

    fn send(&mut self, message: &[u8]) {
        self.ring.push(message).expect("an open ring");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.ring.pop(message).expect("an open ring");
    }

    fn send_all(&mut self, message: &[u8], count: u64) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.ring.push_many(iter::repeat_n(message, count)).expect("an open ring");
    }

    fn recv_all(&mut self, message: &mut Vec<u8>, count: u64) {
        let mut left = usize::try_from(count).unwrap_or(usize::MAX);
        while left > 0 {
            left -= self.ring.pop_many(left.min(1024), &mut self.batch).expect("an open ring");
            self.batch.iter().for_each(|record| {
                black_box(record);
            });
        }
        if let Some(last) = self.batch.iter().last() {
            message.copy_from_slice(last);
        }
    }
}
