//! Ways to send a message to another process.

mod bytes;
mod kernel;
mod limits;
pub mod number;
mod queue;
mod ring;
mod shared;
mod socket;
mod tell;

use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    bytes::{StdPipeLink, StdStreamLink},
    kernel::{FifoLink, PipeLink, PosixQueueLink, SignalLink, SysvQueueLink, unique},
    limits::{FutexLink, LineLink},
    queue::{BorrowedLink, BytesLink, ConnectionLink, NumberLink},
    ring::{BatchLink, RingLink},
    shared::{File, MappedFile, Memory, SharedLink},
    socket::{
        DatagramLink, NamedDatagramLink, NamedSeqpacketLink, NamedStreamLink, SeqpacketLink,
        StreamLink, TcpLink, UdpLink,
    },
    tell::{EventFd, Futex, NamedSemaphore, PosixSemaphore, Spin, SysvSemaphore, Tell},
};

/// One direction, in messages of one length. It travels to the peer, and each process uses one end of it.
pub trait Link: Serialize + DeserializeOwned + 'static {
    /// What criterion calls it.
    const NAME: &'static str;

    /// The longest message that it carries, in bytes.
    const LONGEST: usize = usize::MAX;

    /// A link for messages of `len` bytes, eight at least.
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
