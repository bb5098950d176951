use std::{
    io,
    ops::{Deref, DerefMut},
    os::fd::AsFd,
};

use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender,
};
use mp_os::transfer;
use mp_socket::{Address, Received, SeqpacketListener, SeqpacketSocket};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// More than the message has in which `ipc-channel` sends an end.
const MESSAGE_LEN: usize = 256;

/// An end of a channel of the crate [`ipc_channel`], made to travel in process arguments, results and connection messages.
///
/// For programs that speak `ipc-channel` already; a [`Queue`](crate::Queue) or a [`Connection`](crate::Connection) does more.
/// `ipc-channel`'s ends travel in its own messages only, and its way to a new process is a name in the file system that the
/// process connects to, and a parent that waits until it does. This one waits for nobody.
///
/// A sender that travels is a copy, and the channel ends when all copies are gone. A receiver is moved: what is left of it
/// here is of no use, even where sending it fails later. When one side of the channel dies, the other has `ipc-channel`'s
/// error (`Disconnected` after the last message, or that of `EPIPE`) at once, waiting or not.
///
/// What it cannot change in `ipc-channel`: a send has no deadline, and waits while about 278 messages are in the channel. **A
/// message of more than about 200 KB is sent in parts, and waits for ever if the receiver dies among them**, because the sender
/// holds both ends of the socket that they go through: send an [`IpcSharedMemory`](ipc_channel::ipc::IpcSharedMemory) instead.
/// A receive is ended by a signal that has a handler. A process that is killed just while an end travels leaves an empty
/// folder among the temporary ones.
///
/// # Examples
///
/// ```
/// use mp_core::{Ipc, Process, ipc_channel::ipc::{self, IpcReceiver, IpcSender}};
///
/// fn double((numbers, doubled): (Ipc<IpcReceiver<u32>>, Ipc<IpcSender<u32>>)) {
///     while let Ok(number) = numbers.recv() {
///         doubled.send(2 * number).unwrap();
///     }
/// }
///
/// let (to_child, numbers) = ipc::channel::<u32>().unwrap();
/// let (doubled, from_child) = ipc::channel::<u32>().unwrap();
/// let child = Process::spawn(double, (numbers.into(), doubled.into()))?;
/// to_child.send(21).unwrap();
/// assert_eq!(from_child.recv().unwrap(), 42);
/// child.kill()?;
/// assert!(from_child.recv().is_err(), "and no hang");
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ipc<E>(E);

impl<E> Ipc<E> {
    /// The end.
    pub fn into_inner(self) -> E {
        self.0
    }
}

impl<E: IpcEnd> From<E> for Ipc<E> {
    fn from(end: E) -> Self {
        Self(end)
    }
}

impl<E> Deref for Ipc<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

impl<E> DerefMut for Ipc<E> {
    fn deref_mut(&mut self) -> &mut E {
        &mut self.0
    }
}

/// An end of a channel of [`ipc_channel`]: a sender or receiver of values or of bytes.
pub trait IpcEnd: sealed::End {}

impl<T> IpcEnd for IpcSender<T> {}
impl<T> IpcEnd for IpcReceiver<T> {}
impl IpcEnd for IpcBytesSender {}
impl IpcEnd for IpcBytesReceiver {}

mod sealed {
    use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcSender};
    use serde::{Serialize, de::DeserializeOwned};

    #[expect(unnameable_types, reason = "others do not fit into one message with one descriptor")]
    pub trait End: Serialize + DeserializeOwned {}

    impl<T> End for IpcSender<T> {}
    impl<T> End for IpcReceiver<T> {}
    impl End for IpcBytesSender {}
    impl End for IpcBytesReceiver {}
}

/// Inside arguments, results and messages only, which carry its descriptor.
///
/// Only `ipc-channel` can take the descriptor out of an end and make an end of one, and it does so in its messages. So the end is
/// sent through a socket of ours to which it has been told to connect, and the socket travels, with the message in it.
impl<E: IpcEnd> Serialize for Ipc<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (sender, carrier) = carrier::<&E>().map_err(ser::Error::custom)?;
        // Before the end is sent, which uses it up: outside a transfer this is an error.
        let index = transfer::export(carrier.as_fd()).map_err(ser::Error::custom)?;
        sender.send(&self.0).map_err(ser::Error::custom)?;
        index.serialize(serializer)
    }
}

impl<'de, E: IpcEnd> Deserialize<'de> for Ipc<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = u32::deserialize(deserializer)?;
        let carrier = transfer::import(index).map_err(de::Error::custom)?;
        unload(&SeqpacketSocket::from(carrier)).map(Self).map_err(de::Error::custom)
    }
}

/// A sender of `ipc-channel`, and the socket in which what it sends arrives.
fn carrier<T: Serialize>() -> io::Result<(IpcSender<T>, SeqpacketSocket)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("end");
    let listener = SeqpacketListener::bind(&Address::path(&path)?)?;
    let path = path.into_os_string().into_string().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "the temporary folder's path is not UTF-8")
    })?;
    let sender = IpcSender::connect(path)?;
    Ok((sender, listener.try_accept()?))
}

/// The end in the message that `carrier` has in it.
fn unload<E: IpcEnd>(carrier: &SeqpacketSocket) -> io::Result<E> {
    let mut message = [0; MESSAGE_LEN];
    let Some(Received { len, fds, .. }) = carrier.try_recv_with_fds(&mut message)? else {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "no end of a channel came"));
    };
    let [end] = fds.as_slice() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not one end of a channel"));
    };
    let (server, path) = IpcOneShotServer::<E>::new()?;
    let relay = SeqpacketSocket::connect(&Address::path(path)?)?;
    relay.try_send_with_fds(&message[..len], &[end.as_fd()])?;
    let (_, end) = server.accept().map_err(io::Error::other)?;
    Ok(end)
}
