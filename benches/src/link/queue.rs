//! `mp_core::Queue` and `mp_core::Connection`.

use mp_core::{Connection, Queue, RecvOnly, SendOnly};
use serde::{Deserialize, Serialize};

use super::{Link, number};

const ITEMS: usize = 1024;

/// A queue of numbers.
#[derive(Debug, Serialize, Deserialize)]
pub struct NumberLink(Queue<u64>);

impl Link for NumberLink {
    const NAME: &'static str = "Queue-u64";
    const LONGEST: usize = 8;

    fn open(_len: usize) -> Self {
        Self(Queue::bounded(ITEMS).expect("a queue"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.put(number::read(message)).expect("an open queue");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        number::write(message, self.0.get().expect("an open queue"));
    }
}

/// A queue of byte vectors. Each item is a new vector on either side, which is part of the cost: two copies before it is in the
/// queue, of which one makes the item, and one out of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct BytesLink(Queue<Vec<u8>>);

impl Link for BytesLink {
    const NAME: &'static str = "Queue";

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

/// The same of byte vectors whose sender keeps them and whose receiver has memory for them: as with whatever else takes slices,
/// one copy goes into the queue, and one comes out of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct BorrowedLink(Queue<Vec<u8>>);

impl Link for BorrowedLink {
    const NAME: &'static str = "Queue-ref";

    fn open(_len: usize) -> Self {
        Self(Queue::bounded(ITEMS).expect("a queue"))
    }

    fn send(&mut self, message: &[u8]) {
        self.0.put_ref(message).expect("an open queue");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        self.0.get_into(message).expect("an open queue");
    }
}

/// `mp_core::one_way_pipe`. Each message is a new vector to the receiver, which is part of the cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConnectionLink(Connection<RecvOnly>, Connection<SendOnly>);

impl Link for ConnectionLink {
    const NAME: &'static str = "Connection";

    fn open(_len: usize) -> Self {
        let (reader, writer) = mp_core::one_way_pipe().expect("a connection");
        Self(reader, writer)
    }

    fn send(&mut self, message: &[u8]) {
        self.1.send_bytes(message).expect("a connection that is read");
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        *message = self.0.recv_bytes().expect("a connection that is written");
    }
}
