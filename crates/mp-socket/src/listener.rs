use std::{
    fmt, fs, io,
    marker::PhantomData,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::PermissionsExt,
    },
};

use mp_os::{
    CreatedFile, Deadline, Error, Result, TimeoutError,
    poll::{self, Interest},
};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    sys::socket::{Backlog, SockType, listen},
};

use crate::{Address, SeqpacketSocket, UnixStream, bind, message, sys, unix};

/// A socket at a name where clients connect, each giving an `S`; see [`UnixListener`] and [`SeqpacketListener`].
///
/// The file of a path is unlinked when the value that bound it is dropped, unless it is [persisted](Self::persist);
/// descriptors made of it do not keep it. The socket is in nonblocking mode, for all who share it: without that an
/// `accept` with a deadline could not be told from one that another process was faster at.
pub struct Listener<S> {
    socket: OwnedFd,
    file: Option<CreatedFile>,
    connection: PhantomData<fn() -> S>,
}

/// Accepts connections that carry bytes: [`std::os::unix::net::UnixListener`] with deadlines.
///
/// # Examples
///
/// ```
/// use mp_socket::{Address, UnixListener, UnixStream};
/// use std::time::Duration;
///
/// let path = std::env::temp_dir().join(format!("mp-socket-doc-{}", std::process::id()));
/// let listener = UnixListener::bind(&Address::path(&path)?)?;
/// let client = UnixStream::connect(&Address::path(&path)?)?;
/// let server = listener.accept_timeout(Duration::from_secs(1))?;
/// assert_eq!(server.peer_credentials()?.pid, std::process::id());
///
/// drop(listener);
/// assert!(!path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type UnixListener = Listener<UnixStream>;

/// Accepts connections that carry messages.
///
/// # Examples
///
/// ```
/// use mp_socket::{Address, SeqpacketListener, SeqpacketSocket};
///
/// let address = Address::abstract_name(format!("mp-socket-listener-{}", std::process::id()))?;
/// let listener = SeqpacketListener::bind(&address)?;
/// let client = SeqpacketSocket::connect(&address)?;
/// client.send(b"hello")?;
/// assert_eq!(listener.accept()?.recv(&mut [0; 64])?, Some(5));
/// # Ok::<(), mp_socket::Error>(())
/// ```
pub type SeqpacketListener = Listener<SeqpacketSocket>;

/// What a [`Listener`] accepts: [`UnixStream`] or [`SeqpacketSocket`].
pub trait Connection: From<OwnedFd> + sealed::Kind {}

impl Connection for UnixStream {}
impl Connection for SeqpacketSocket {}

mod sealed {
    use super::{SeqpacketSocket, SockType, UnixStream};

    #[expect(unnameable_types, reason = "nobody else implements it")]
    pub trait Kind {
        const KIND: SockType;
        const LISTENER: &'static str;
    }

    impl Kind for UnixStream {
        const KIND: SockType = SockType::Stream;
        const LISTENER: &'static str = "Unix stream listener";
    }

    impl Kind for SeqpacketSocket {
        const KIND: SockType = SockType::SeqPacket;
        const LISTENER: &'static str = "seqpacket listener";
    }
}

impl<S: Connection> Listener<S> {
    /// `bind(2)`, `listen(2)`—A listener at `address`; the permissions of a path are those that the umask allows.
    ///
    /// A path that a dead listener left is taken over. To find out whether it is dead, a connection is tried: a live one
    /// sees a client that leaves at once.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) where somebody listens there, or the path is something else than a
    /// socket; [`NotFound`](io::ErrorKind::NotFound) where the directory does not exist;
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
    #[doc(alias = "listen")]
    pub fn bind(address: &Address) -> Result<Self> {
        Self::bind_and(address, |_| Ok(()))
    }

    /// [`bind`](Self::bind) to a path with exactly the permission bits of `mode`: who may write may connect.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind); [`InvalidInput`](io::ErrorKind::InvalidInput) where `address` is no path or `mode`
    /// is above `0o777`.
    pub fn bind_with_mode(address: &Address, mode: u32) -> Result<Self> {
        let Some(path) = address.as_path().filter(|_| mode <= 0o777) else {
            let reason = format!("mode {mode:#o} cannot be set");
            let object = format!("{} to `{address}`", S::LISTENER);
            return Err(Error::invalid_input("bind", object, reason));
        };
        // Nobody can connect yet.
        Self::bind_and(address, |_| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
    }

    fn bind_and(
        address: &Address,
        prepare: impl FnOnce(&OwnedFd) -> io::Result<()>,
    ) -> Result<Self> {
        let (socket, file) = bind::bind(S::KIND, address, |socket| {
            prepare(socket)?;
            set_nonblocking(socket)?;
            Ok(listen(socket, Backlog::MAXCONN)?)
        })
        .map_err(|error| bind::error(error, address, S::LISTENER))?;
        Ok(Self { socket, file, connection: PhantomData })
    }

    /// The listener that `fd` is, inherited from a service manager for example; `fd` is closed otherwise.
    ///
    /// Sets the nonblocking mode. Its file is somebody else's, and stays.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for anything but a listening socket of this type.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        message::check_type(fd.as_fd(), &[libc::AF_UNIX], S::KIND as libc::c_int, S::LISTENER)?;
        let fail = |error| Error::new("adopt", S::LISTENER, error);
        if sys::socket_option(fd.as_fd(), libc::SO_ACCEPTCONN).map_err(fail)? == 0 {
            return Err(Error::invalid_input("adopt", S::LISTENER, "the socket does not listen"));
        }
        set_nonblocking(&fd).map_err(fail)?;
        Ok(Self { socket: fd, file: None, connection: PhantomData })
    }

    mp_os::family! {
        /// `accept4(2)`—The next connection, close-on-exec.
        ///
        /// # Errors
        ///
        /// `EMFILE` or `ENFILE` at the limit of descriptors; the client waits on.
        #[doc(alias = "accept4")]
        pub fn accept, try_accept, accept_timeout, accept_deadline(self: &Self) -> S = accept_until;
    }

    fn accept_until(&self, deadline: Deadline) -> Result<S, TimeoutError> {
        let (socket, _) = accept::<()>(self.as_fd(), deadline, S::LISTENER)?;
        Ok(S::from(socket))
    }

    /// `getsockname(2)`—The name where clients connect.
    ///
    /// # Errors
    ///
    /// What `getsockname(2)` fails with.
    pub fn local_address(&self) -> Result<Address> {
        unix::local_address(self.as_fd(), S::LISTENER)
    }

    /// Leaves the file there when this value is dropped.
    pub fn persist(&mut self) {
        if let Some(file) = self.file.take() {
            file.persist();
        }
    }
}

/// A connection and the peer's address, from a nonblocking listener.
pub(crate) fn accept<A: nix::sys::socket::SockaddrLike>(
    listener: BorrowedFd<'_>,
    deadline: Deadline,
    object: &'static str,
) -> Result<(OwnedFd, Option<A>), TimeoutError> {
    let accept = |_| match sys::accept(listener) {
        // The client has left again: on to the next one.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
            Err(io::ErrorKind::Interrupted.into())
        }
        result => result,
    };
    poll::until(listener, Interest::Readable, deadline, accept)
        .map_err(|cause| match cause.raw_os_error() {
            Some(libc::EMFILE) => {
                Error::new("accept from", object, cause).with_hint("raise RLIMIT_NOFILE")
            }
            _ => Error::new("accept from", object, cause),
        })?
        .ok_or(TimeoutError::TimedOut)
}

fn set_nonblocking(socket: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    fcntl(socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

impl<S> fmt::Debug for Listener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("socket", &self.socket)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl<S> AsFd for Listener<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<S> AsRawFd for Listener<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// In nonblocking mode. A file that the listener bound is unlinked.
impl<S> From<Listener<S>> for OwnedFd {
    fn from(listener: Listener<S>) -> Self {
        listener.socket
    }
}
