use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use mp_os::{CreatedFile, Deadline, Error, Result, TimeoutError};
use nix::{sys::stat::Mode, unistd::mkfifo};

use crate::{PipeReader, PipeWriter, rendezvous};

/// A named pipe: a file by which unrelated programs find the two ends of one pipe.
///
/// Opening an end waits for the other one, as long as the deadline allows. The creator's value unlinks the file when it
/// is dropped, unless it is [persisted](Self::persist); one that [opened](Self::open) it does not. Open ends live on.
///
/// # Examples
///
/// ```
/// use mp_pipe::{Fifo, TimeoutError};
/// use std::time::Duration;
///
/// let path = std::env::temp_dir().join(format!("mp-pipe-doc-{}", std::process::id()));
/// let fifo = Fifo::create_new(&path, 0o600)?;
///
/// let nobody = fifo.open_writer_timeout(Duration::from_millis(1));
/// assert!(matches!(nobody, Err(TimeoutError::TimedOut)), "no reader came");
///
/// let thread = std::thread::spawn(move || Fifo::open(path)?.open_writer()?.write(b"hello"));
/// let reader = fifo.open_reader_timeout(Duration::from_secs(10))?;
/// assert_eq!(reader.read(&mut [0; 64])?, 5);
/// thread.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    /// Unlinks it, if this value created it.
    created: Option<CreatedFile>,
}

impl Fifo {
    /// `mkfifo(3)`—Makes a FIFO, with exactly the permission bits of `mode` whatever the umask.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) where there is anything of that name,
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a mode above `0o777`, or another error of `mkfifo(3)`.
    #[doc(alias = "mkfifo")]
    pub fn create_new(path: impl AsRef<Path>, mode: u32) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let fail = |error| Error::new("create", object(&path), error);
        if mode > 0o777 {
            let reason = format!("mode {mode:#o} has other bits than permissions");
            return Err(Error::invalid_input("create", object(&path), reason));
        }
        mkfifo(&path, Mode::from_bits_truncate(mode)).map_err(|errno| fail(errno.into()))?;
        let prepare = || {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            CreatedFile::new(&path)
        };
        match prepare() {
            Ok(created) => Ok(Self { path, created: Some(created) }),
            Err(error) => {
                // Best effort: the error that matters is the one above.
                let _ = fs::remove_file(&path);
                Err(fail(error))
            }
        }
    }

    /// The FIFO that another program made.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) where there is none, [`InvalidInput`](io::ErrorKind::InvalidInput) where
    /// `path` is something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        match fs::metadata(&path) {
            Ok(file) if file.file_type().is_fifo() => Ok(Self { path, created: None }),
            Ok(_) => Err(Error::invalid_input("open", object(&path), "it is not a FIFO")),
            Err(error) => Err(Error::new("open", object(&path), error)),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the file there when this value is dropped.
    pub fn persist(&mut self) {
        if let Some(created) = self.created.take() {
            created.persist();
        }
    }

    mp_os::family! {
        /// `open(2)`—Opens an end to read from; waits until somebody has opened one to write to.
        ///
        /// With a deadline it is opened at once and waits afterwards, so that writers find it: one that comes, writes and
        /// leaves is a success too, and its bytes are there.
        ///
        /// # Errors
        ///
        /// [`NotFound`](io::ErrorKind::NotFound) or [`PermissionDenied`](io::ErrorKind::PermissionDenied) as for any
        /// file.
        pub fn open_reader, try_open_reader, open_reader_timeout, open_reader_deadline(
            self: &Self
        ) -> PipeReader = open_reader_until;

        /// `open(2)`—Opens an end to write to; waits until somebody has opened one to read from, or is about to.
        ///
        /// With a deadline, readers that open without blocking, as those of this crate do, are noticed at once by
        /// `inotify(7)`. A foreign one that blocks in `open(2)` causes no event, and neither is there any where this
        /// program may not read the file: so it also looks every 10 ms.
        ///
        /// # Errors
        ///
        /// [`NotFound`](io::ErrorKind::NotFound) or [`PermissionDenied`](io::ErrorKind::PermissionDenied) as for any
        /// file.
        pub fn open_writer, try_open_writer, open_writer_timeout, open_writer_deadline(
            self: &Self
        ) -> PipeWriter = open_writer_until;
    }

    /// `open(2)` with `O_RDWR`—Opens an end to read from that waits for no writer and sees no end between writers: for
    /// a server whose clients come and go.
    ///
    /// # Errors
    ///
    /// As for [`open_reader`](Self::open_reader); the file must be writable too.
    pub fn listen(&self) -> Result<PipeReader> {
        rendezvous::open_both(&self.path).map(PipeReader::from).map_err(|error| self.fail(error))
    }

    fn open_reader_until(&self, deadline: Deadline) -> Result<PipeReader, TimeoutError> {
        rendezvous::open_reader(&self.path, deadline)
            .map_err(|error| self.fail(error))?
            .map(PipeReader::from)
            .ok_or(TimeoutError::TimedOut)
    }

    fn open_writer_until(&self, deadline: Deadline) -> Result<PipeWriter, TimeoutError> {
        rendezvous::open_writer(&self.path, deadline)
            .map_err(|error| self.fail(error))?
            .map(PipeWriter::from)
            .ok_or(TimeoutError::TimedOut)
    }

    fn fail(&self, error: io::Error) -> Error {
        Error::new("open", object(&self.path), error)
    }
}

fn object(path: &Path) -> String {
    format!("FIFO `{}`", path.display())
}
