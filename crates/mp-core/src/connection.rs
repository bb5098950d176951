#[cfg(feature = "ipc-channel")]
mod ipc;
mod wait;

pub use mp_process::{
    Connection, Duplex, Receives, RecvError, RecvOnly, SendError, SendOnly, Sends,
};

#[cfg(feature = "ipc-channel")]
pub use self::ipc::{Ipc, IpcEnd};
pub use self::wait::{try_wait, wait, wait_deadline, wait_timeout};
use crate::Result;

/// The two ends of a connection between processes, both of which send and receive.
///
/// # Errors
///
/// Where descriptors or memory are short.
///
/// # Examples
///
/// ```
/// use mp_core::{Connection, Process};
///
/// fn add(peer: Connection) {
///     while let Ok((a, b)) = peer.recv::<(u32, u32)>() {
///         peer.send(&(a + b)).unwrap();
///     }
/// }
///
/// let (ours, theirs) = mp_core::pipe()?;
/// let child = Process::spawn(add, theirs)?;
/// ours.send(&(40_u32, 2_u32))?;
/// assert_eq!(ours.recv::<u32>()?, 42);
/// drop(ours);
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
#[doc(alias = "Pipe")]
pub fn pipe() -> Result<(Connection, Connection)> {
    Ok(Connection::pair()?)
}

/// The two ends of a connection between processes, the first of which only receives and the second only sends.
///
/// # Errors
///
/// As for [`pipe`].
///
/// # Examples
///
/// ```
/// use mp_core::{Connection, Process, SendOnly};
///
/// let (receiver, sender) = mp_core::one_way_pipe()?;
/// let child = Process::spawn(|out: Connection<SendOnly>| out.send("made it").unwrap(), sender)?;
/// assert_eq!(receiver.recv::<String>()?, "made it");
/// child.join()?;
/// # Ok::<(), mp_core::Error>(())
/// ```
#[doc(alias = "Pipe")]
pub fn one_way_pipe() -> Result<(Connection<RecvOnly>, Connection<SendOnly>)> {
    Ok(Connection::one_way()?)
}
