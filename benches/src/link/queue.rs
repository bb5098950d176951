//! `mp_core::Queue`, which carries typed items.

use mp_core::Queue;
use serde::{Deserialize, Serialize};

use super::{Link, number};

const ITEMS: usize = 1024;

/// A queue of numbers.
#[derive(Debug, Serialize, Deserialize)]
pub struct NumberLink(Queue<u64>);

impl Link for NumberLink {
    const NAME: &'static str = "queue";

    fn open(_len: usize) -> Self {
        Self(Queue::bounded(ITEMS).expect("a queue"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.put(number(message)).expect("an open queue");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let number = self.0.get().expect("an open queue");
        message.copy_from_slice(&number.to_ne_bytes());
    }
}

/// A queue of byte vectors. Each item is a new vector, which is part of the cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct BytesLink(Queue<Vec<u8>>);

impl Link for BytesLink {
    const NAME: &'static str = "queue";

    fn open(_len: usize) -> Self {
        Self(Queue::bounded(ITEMS).expect("a queue"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.put(message.to_vec()).expect("an open queue");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        *message = self.0.get().expect("an open queue");
    }
}
