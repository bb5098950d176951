//! Ways to send a message to another process.

mod bytes;
mod limits;
mod number;
mod primitives;
mod queue;
mod ring;

use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    bytes::{PipeLink, SocketLink},
    limits::{FutexLink, LineLink},
    number::number,
    primitives::{
        ConnectionLink, DatagramLink, EventFdLink, FifoLink, MappedFileLink, PosixQueueLink,
        PosixSemaphoreLink, SeqpacketLink, SignalLink, StreamLink, SysvQueueLink,
        SysvSemaphoreLink, TcpLink, UnnamedLink,
    },
    queue::{BytesLink, NumberLink},
    ring::{BatchLink, RingLink},
};

/// One direction, in messages of one length. It travels to the peer, and each process uses one end of it.
pub trait Link: Serialize + DeserializeOwned + 'static {
    /// What criterion calls it.
    const NAME: &'static str;

    /// A link for messages of `len` bytes.
    fn open(len: usize) -> Self;

    /// Sends one message, waiting while there is no room.
    fn send(&mut self, message: &[u8]);

    /// Waits for one message and puts it in the place of the one in `message`, which has its length.
    fn recv(&mut self, message: &mut Vec<u8>);

    /// Sends `count` times the same message.
    fn send_all(&mut self, message: &[u8], count: u64) {
        for _ in 0..count {
            self.send(message);
        }
    }

    /// Receives `count` messages.
    fn recv_all(&mut self, message: &mut Vec<u8>, count: u64) {
        for _ in 0..count {
            self.recv(message);
        }
    }
}
