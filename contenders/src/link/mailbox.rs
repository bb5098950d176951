//! `shared_memory` has segments and leaves the rest to its user: the simplest thing to make of one, a place for one message.

use std::{
    hint,
    sync::atomic::Ordering::{Acquire, Release},
};

use mp_benches::Link;
use serde::{Deserialize, Serialize};

use crate::{sys::Segment, unique};

/// A mailbox for one message. Both sides look all the time, for a message or for the room of one.
#[derive(Debug, Serialize, Deserialize)]
pub struct MailboxLink {
    name: String,
    len: usize,
    /// How many messages this side has sent or received.
    count: u64,
    #[serde(skip)]
    segment: Option<Segment>,
}

/// The number of messages that have been put in.
const PUT: usize = 0;
/// The number of messages that have been taken out.
const TAKEN: usize = 1;

impl MailboxLink {
    fn segment(&mut self) -> &Segment {
        self.segment.get_or_insert_with(|| Segment::open(&self.name))
    }
}

impl Link for MailboxLink {
    const NAME: &'static str = "shared_memory";

    fn open(len: usize) -> Self {
        let name = format!("/{}", unique());
        let segment = Some(Segment::create(&name, len));
        Self { name, len, count: 0, segment }
    }

    fn send(&mut self, message: &[u8]) {
        let sent = self.count;
        let segment = self.segment();
        while segment.word(TAKEN).load(Acquire) != sent {
            hint::spin_loop();
        }
        segment.write(message);
        segment.word(PUT).store(sent + 1, Release);
        self.count += 1;
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let received = self.count;
        let segment = self.segment();
        while segment.word(PUT).load(Acquire) == received {
            hint::spin_loop();
        }
        segment.read(message);
        segment.word(TAKEN).store(received + 1, Release);
        self.count += 1;
    }
}
