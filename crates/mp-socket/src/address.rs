use std::{fmt, path::Path};

use mp_os::{Error, Result};
use nix::sys::socket::{SockaddrLike, UnixAddr};

/// The name of a Unix socket: a path, a name in the abstract namespace, or none.
///
/// A path is a file with permissions, which outlives the socket; an abstract name is no file, belongs to the network
/// namespace, is open to everybody in it, and goes with the socket.
///
/// # Examples
///
/// ```
/// use mp_socket::Address;
///
/// assert_eq!(Address::path("/run/service.sock")?.to_string(), "/run/service.sock");
/// assert_eq!(Address::abstract_name("service")?.to_string(), "@service");
/// assert!(Address::path("/x".repeat(80)).is_err(), "107 bytes are the most");
/// # Ok::<(), mp_socket::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address(UnixAddr);

impl Address {
    /// The longest path or abstract name in bytes.
    pub const MAX_LEN: usize = 107;

    /// A path in the file system.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a path that is empty, longer than
    /// [`MAX_LEN`](Self::MAX_LEN) bytes, or holds a NUL.
    pub fn path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_encoded_bytes();
        let refuse = |reason: &str| {
            Error::invalid_input("use", format!("socket path `{}`", path.display()), reason)
        };
        match bytes {
            [] => Err(refuse("the path is empty")),
            _ if bytes.contains(&0) => Err(refuse("the path has a NUL")),
            _ => UnixAddr::new(path).map(Self).map_err(|_| {
                refuse("the path is longer than 107 bytes")
                    .with_hint("change to its directory, or open that and use /proc/self/fd/N/name")
            }),
        }
    }

    /// A name in the abstract namespace, without the NUL that marks it; any bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a name that is empty or longer than
    /// [`MAX_LEN`](Self::MAX_LEN) bytes.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> Result<Self> {
        let name = name.as_ref();
        let refuse = |reason: &str| {
            let object = format!("abstract socket name `{}`", name.escape_ascii());
            Error::invalid_input("use", object, reason)
        };
        if name.is_empty() {
            return Err(refuse("the name is empty"));
        }
        UnixAddr::new_abstract(name)
            .map(Self)
            .map_err(|_| refuse("the name is longer than 107 bytes"))
    }

    /// The path, if it is one.
    pub fn as_path(&self) -> Option<&Path> {
        self.0.path()
    }

    /// The abstract name, if it is one.
    pub fn as_abstract_name(&self) -> Option<&[u8]> {
        self.0.as_abstract()
    }

    /// Whether the socket has no name: one of a pair, or a client that was not bound.
    pub fn is_unnamed(&self) -> bool {
        self.0.is_unnamed()
    }

    pub(crate) fn unnamed() -> Self {
        Self(UnixAddr::new_unnamed())
    }

    pub(crate) fn from_raw(address: Option<UnixAddr>) -> Self {
        address.map_or_else(Self::unnamed, Self)
    }

    pub(crate) fn as_raw(&self) -> &dyn SockaddrLike {
        &self.0
    }
}

/// As `ss(8)` and `/proc/net/unix` show it: an abstract name after an `@`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_path(), self.as_abstract_name()) {
            (Some(path), _) => path.display().fmt(f),
            (_, Some(name)) => write!(f, "@{}", name.escape_ascii()),
            _ => f.write_str("(unnamed)"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}
