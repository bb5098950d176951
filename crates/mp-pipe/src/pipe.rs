use std::os::fd::OwnedFd;

use mp_os::{Error, Result};
use nix::{fcntl::OFlag, unistd::pipe2};

use crate::{PacketReader, PacketWriter, PipeReader, PipeWriter};

/// How many bytes a pipe takes in one piece: 4096 on Linux.
pub const PIPE_BUF: usize = nix::libc::PIPE_BUF;

/// `pipe2(2)`—A pipe of bytes, close-on-exec: [`std::io::pipe`] with deadlines.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` at a limit of descriptors.
#[doc(alias = "pipe2")]
pub fn pipe() -> Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = create(OFlag::empty())?;
    Ok((reader.into(), writer.into()))
}

/// `pipe2(2)` with `O_DIRECT`—A pipe of packets of at most [`PIPE_BUF`] bytes, close-on-exec.
///
/// Packets have any number of senders and receivers, and keep their boundaries.
///
/// # Errors
///
/// `EMFILE` or `ENFILE` at a limit of descriptors.
///
/// # Examples
///
/// ```
/// use mp_pipe::PIPE_BUF;
///
/// let (reader, writer) = mp_pipe::packets()?;
/// writer.send(b"two")?;
/// writer.send(b"packets")?;
/// drop(writer);
///
/// let mut buffer = [0; PIPE_BUF];
/// assert_eq!(reader.recv(&mut buffer)?, Some(3));
/// assert_eq!(reader.recv(&mut buffer)?, Some(7));
/// assert_eq!(reader.recv(&mut buffer)?, None);
/// # Ok::<(), mp_pipe::Error>(())
/// ```
#[doc(alias = "O_DIRECT")]
pub fn packets() -> Result<(PacketReader, PacketWriter)> {
    let (reader, writer) = create(OFlag::O_DIRECT)?;
    Ok((reader.into(), writer.into()))
}

fn create(flags: OFlag) -> Result<(OwnedFd, OwnedFd)> {
    pipe2(flags | OFlag::O_CLOEXEC).map_err(|errno| Error::new("create", "pipe", errno.into()))
}
