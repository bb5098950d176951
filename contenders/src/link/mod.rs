//! Ways to send a message to another process, of other crates and of the standard library.

mod datagram;
mod iceoryx;
mod ipc_channel;
mod mailbox;
mod stream;

pub use self::{
    datagram::{Datagram, DatagramLink},
    iceoryx::{IceoryxEventLink, IceoryxLink},
    ipc_channel::{IpcBytes, IpcCrewLink, IpcLink, IpcShared, Kind},
    mailbox::MailboxLink,
    stream::{Interprocess, Pair, StreamLink, Tcp},
};
