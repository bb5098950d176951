//! `ipc-channel`. Each process gets its end by a one-shot server, as that crate's documentation has it.

use std::fmt::{self, Debug, Formatter};

use ipc_channel::ipc::{
    self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender,
    IpcSharedMemory,
};
use mp_benches::Link;
use mp_channel::Ring;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What goes through a channel.
pub trait Kind: Debug + 'static {
    /// What criterion calls it.
    const NAME: &'static str;

    /// The end that sends.
    type Sender: Serialize + DeserializeOwned;

    /// The end that receives.
    type Receiver: Serialize + DeserializeOwned;

    /// A channel.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    fn channel() -> (Self::Sender, Self::Receiver);

    /// Sends a copy of `message`.
    ///
    /// # Panics
    ///
    /// Where nobody receives.
    fn send(sender: &Self::Sender, message: &[u8]);

    /// Receives a copy of a message.
    ///
    /// # Panics
    ///
    /// Where nobody sends.
    fn recv(receiver: &Self::Receiver, message: &mut Vec<u8>);
}

/// Bytes as they are: what the crate has for those who serialize by themselves.
#[derive(Debug)]
pub struct IpcBytes;

impl Kind for IpcBytes {
    const NAME: &'static str = "ipc-channel";
    type Sender = IpcBytesSender;
    type Receiver = IpcBytesReceiver;

    fn channel() -> (IpcBytesSender, IpcBytesReceiver) {
        ipc::bytes_channel().expect("a channel")
    }

    fn send(sender: &IpcBytesSender, message: &[u8]) {
        sender.send(message).expect("a channel that is received from");
    }

    fn recv(receiver: &IpcBytesReceiver, message: &mut Vec<u8>) {
        *message = receiver.recv().expect("a channel that is sent to");
    }
}

/// Shared memory, which the crate has for what is large. Copied in and out, like every other message here.
#[derive(Debug)]
pub struct IpcShared;

impl Kind for IpcShared {
    const NAME: &'static str = "ipc-channel-shm";
    type Sender = IpcSender<IpcSharedMemory>;
    type Receiver = IpcReceiver<IpcSharedMemory>;

    fn channel() -> (Self::Sender, Self::Receiver) {
        ipc::channel().expect("a channel")
    }

    fn send(sender: &Self::Sender, message: &[u8]) {
        sender.send(IpcSharedMemory::from_bytes(message)).expect("a channel that is received from");
    }

    fn recv(receiver: &Self::Receiver, message: &mut Vec<u8>) {
        message.copy_from_slice(&receiver.recv().expect("a channel that is sent to"));
    }
}

/// A channel. The process that did not open it makes its ends, once it knows which of them it keeps, and sends the other.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct IpcLink<K: Kind> {
    /// Where the one process connects to.
    name: String,
    /// Where the other one waits for that.
    #[serde(skip)]
    server: Option<IpcOneShotServer<End<K>>>,
    #[serde(skip)]
    end: Option<End<K>>,
}

#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
enum End<K: Kind> {
    Sends(K::Sender),
    Receives(K::Receiver),
}

impl<K: Kind> IpcLink<K> {
    /// The end of this process, which the other one has sent if that has made the channel.
    fn end(&mut self, sends: bool) -> &End<K> {
        self.end.get_or_insert_with(|| {
            if let Some(server) = self.server.take() {
                return server.accept().expect("the other process connects").1;
            }
            let (sender, receiver) = K::channel();
            let (sender, receiver) = (End::Sends(sender), End::Receives(receiver));
            let (ours, theirs) = if sends { (sender, receiver) } else { (receiver, sender) };
            let to_server = IpcSender::connect(self.name.clone()).expect("the other process waits");
            to_server.send(theirs).expect("the other process waits");
            ours
        })
    }
}

impl<K: Kind> Link for IpcLink<K> {
    const NAME: &'static str = K::NAME;

    fn open(_len: usize) -> Self {
        let (server, name) = IpcOneShotServer::new().expect("a socket");
        Self { name, server: Some(server), end: None }
    }

    fn send(&mut self, message: &[u8]) {
        let End::Sends(sender) = self.end(true) else { unreachable!("one process sends") };
        K::send(sender, message);
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let End::Receives(receiver) = self.end(false) else { unreachable!("the other receives") };
        K::recv(receiver, message);
    }
}

/// A channel of bytes that so many processes send to and one receives from. That one makes it.
#[derive(Serialize, Deserialize)]
pub struct IpcCrewLink<const SENDERS: usize> {
    /// For each sender, where the receiver waits for it.
    names: Ring,
    #[serde(skip)]
    end: Option<End<IpcBytes>>,
}

impl<const SENDERS: usize> IpcCrewLink<SENDERS> {
    /// The receiver, when each of the others has its sender.
    fn gather(names: &Ring) -> IpcBytesReceiver {
        let (sender, receiver) = IpcBytes::channel();
        for _ in 0..SENDERS {
            let (server, name) = IpcOneShotServer::<IpcSender<_>>::new().expect("a socket");
            names.push(name.as_bytes()).expect("an open ring");
            let (_, asked) = server.accept().expect("a sender connects");
            asked.send(sender.clone()).expect("a sender that waits");
        }
        receiver
    }

    /// A sender from the receiver.
    fn join(names: &Ring) -> IpcBytesSender {
        let mut name = Vec::new();
        names.pop(&mut name).expect("an open ring");
        let name = String::from_utf8(name).expect("what was a name");
        let (asked, sender) = ipc::channel().expect("a channel");
        let to_receiver = IpcSender::connect(name).expect("the receiver waits");
        to_receiver.send(asked).expect("the receiver waits");
        sender.recv().expect("the receiver answers")
    }
}

impl<const SENDERS: usize> Link for IpcCrewLink<SENDERS> {
    const NAME: &'static str = IpcBytes::NAME;

    fn open(_len: usize) -> Self {
        Self { names: Ring::builder().items(SENDERS).create().expect("a small ring"), end: None }
    }

    fn send(&mut self, message: &[u8]) {
        let end = self.end.get_or_insert_with(|| End::Sends(Self::join(&self.names)));
        let End::Sends(sender) = end else { unreachable!("one that sends") };
        IpcBytes::send(sender, message);
    }

    fn recv(&mut self, message: &mut Vec<u8>) {
        let end = self.end.get_or_insert_with(|| End::Receives(Self::gather(&self.names)));
        let End::Receives(receiver) = end else { unreachable!("one that receives") };
        IpcBytes::recv(receiver, message);
    }
}

impl<const SENDERS: usize> Debug for IpcCrewLink<SENDERS> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpcCrewLink").finish_non_exhaustive()
    }
}

impl<K: Kind> Debug for IpcLink<K> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpcLink").field("name", &self.name).finish_non_exhaustive()
    }
}
