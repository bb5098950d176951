use std::{
    fs::File,
    io::{self, PipeReader, PipeWriter},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::Arc,
};

use mp_os::{Error, Result};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::descriptors::behind_streams;

/// Where a standard stream of a process comes from or goes to: for [`Builder::stdin`](crate::Builder::stdin) and its
/// siblings.
///
/// Whatever owns a descriptor becomes one: a [`File`], one end of a pipe, a socket.
#[derive(Clone, Debug, Default)]
pub struct Stdio(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    Inherited,
    Null,
    Piped,
    Captured,
    Given(Arc<OwnedFd>),
}

impl Stdio {
    /// That of this process; for a process of the fork server, as it was when that was started. The default.
    pub fn inherit() -> Self {
        Self(Kind::Inherited)
    }

    /// `/dev/null`: nothing to read, and what is written is lost.
    pub fn null() -> Self {
        Self(Kind::Null)
    }

    /// A new pipe, whose other end the [`Child`](crate::Child) has.
    ///
    /// A pipe holds 64 KiB: a process that writes more waits until somebody reads. To read after its end, use
    /// [`captured`](Self::captured).
    pub fn piped() -> Self {
        Self(Kind::Piped)
    }

    /// Memory, from which the parent may read at any time, also after the process's end, and for which the process never
    /// waits. Only for output.
    pub fn captured() -> Self {
        Self(Kind::Captured)
    }

    /// The stream for a new process and, as the `number`th standard stream, what its parent keeps.
    pub(crate) fn open(&self, number: usize) -> io::Result<(Option<OwnedFd>, Stream)> {
        let theirs = match &self.0 {
            Kind::Inherited => return Ok((None, Stream::None)),
            Kind::Null => File::options().read(true).write(true).open("/dev/null")?.into(),
            Kind::Given(given) => given.try_clone()?,
            Kind::Captured => {
                let memory = memfd_create(c"mp-captured", MFdFlags::MFD_CLOEXEC)?;
                let ours = Captured(Arc::new(memory.try_clone()?.into()));
                return Ok((Some(behind_streams(memory)?), Stream::Captured(ours)));
            }
            Kind::Piped => {
                let (reader, writer) = io::pipe()?;
                let (reader, writer) = (behind_streams(reader)?, behind_streams(writer)?);
                return Ok(match number {
                    0 => (Some(reader), Stream::Writer(writer.into())),
                    _ => (Some(writer), Stream::Reader(reader.into())),
                });
            }
        };
        Ok((Some(behind_streams(theirs)?), Stream::None))
    }

    /// Whether this process has something to say about the stream.
    pub(crate) fn is_inherited(&self) -> bool {
        matches!(self.0, Kind::Inherited)
    }

    pub(crate) fn is_captured(&self) -> bool {
        matches!(self.0, Kind::Captured)
    }
}

impl<T: Into<OwnedFd>> From<T> for Stdio {
    fn from(stream: T) -> Self {
        Self(Kind::Given(Arc::new(stream.into())))
    }
}

/// What a parent keeps of a standard stream of its child.
#[derive(Debug, Default)]
pub(crate) enum Stream {
    #[default]
    None,
    Writer(PipeWriter),
    Reader(PipeReader),
    Captured(Captured),
}

/// What a process, and whoever inherits its stream, has written to a [captured](Stdio::captured) stream so far.
///
/// It outlives the process and its [`Child`](crate::Child).
///
/// # Examples
///
/// ```
/// use mp_process::{Builder, Stdio};
///
/// let child = Builder::new().stdout(Stdio::captured()).spawn(|name: String| println!("hello {name}"), "you".into())?;
/// let output = child.captured_stdout().expect("it is captured");
/// child.join()?;
/// assert_eq!(output.text()?, "hello you\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Captured(Arc<File>);

impl Captured {
    /// All bytes so far.
    ///
    /// # Errors
    ///
    /// Where this process has not the memory for them.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let failed = |error| Error::new("read", "captured output", error);
        let len = self.0.metadata().map_err(failed)?.len();
        let mut bytes = Vec::new();
        let len = usize::try_from(len).map_err(|error| failed(io::Error::other(error)))?;
        bytes.try_reserve_exact(len).map_err(|error| failed(error.into()))?;
        bytes.resize(len, 0);
        let mut read = 0;
        while read < len {
            match self.0.read_at(&mut bytes[read..], read as u64) {
                // Somebody has made it shorter meanwhile.
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    /// All bytes so far as text; what is not UTF-8 is replaced by `U+FFFD`.
    ///
    /// # Errors
    ///
    /// As for [`bytes`](Self::bytes).
    pub fn text(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }
}

/// The memory itself.
impl AsFd for Captured {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
