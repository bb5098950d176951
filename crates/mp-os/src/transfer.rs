//! File descriptors inside serde messages.
//!
//! A descriptor is meaningful in one process only. So a handle that owns one serializes as an index: [`export`] puts a
//! duplicate into the table of the enclosing [`collect`] scope, whoever sends the bytes sends the table beside them
//! (`SCM_RIGHTS`), and [`import`] takes the descriptor out of the table of the enclosing [`provide`] scope. Outside a
//! scope both are errors, which serde reports as its own: a handle cannot be written to a file by mistake.
//!
//! [`Fd`] makes any std type that owns a descriptor travel this way.
//!
//! ```
//! use mp_os::transfer::{self, Fd};
//! use std::io::{Read, Write, PipeReader};
//!
//! let (reader, mut writer) = std::io::pipe()?;
//! let (bytes, fds) = transfer::collect(|| postcard::to_stdvec(&Fd::new(reader)));
//! let received: Fd<PipeReader> = transfer::provide(fds, || postcard::from_bytes(&bytes?))?;
//!
//! writer.write_all(b"through the copy")?;
//! drop(writer);
//! assert_eq!(std::io::read_to_string(received.into_inner())?, "through the copy");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    cell::{Cell, RefCell},
    error, fmt, io,
    ops::{Deref, DerefMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    thread::LocalKey,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

thread_local! {
    static OUTGOING: RefCell<Option<Vec<OwnedFd>>> = const { RefCell::new(None) };
    static INCOMING: RefCell<Option<Vec<Option<OwnedFd>>>> = const { RefCell::new(None) };
    /// Which of the two tables [`outside`] hides: a flag each, because moving the tables costs as much as a small task.
    static HIDDEN: Cell<u8> = const { Cell::new(0) };
    /// Of the last duplicate that could not be made.
    static FAILURE: Cell<Option<i32>> = const { Cell::new(None) };
}

const HIDES_OUTGOING: u8 = 1;
const HIDES_INCOMING: u8 = 2;

/// Puts back what was hidden when the scope began, also in a panic.
struct Hide(u8);

impl Hide {
    #[inline]
    fn change(change: impl FnOnce(u8) -> u8) -> Self {
        HIDDEN.with(|hidden| Self(hidden.replace(change(hidden.get()))))
    }

    #[inline]
    fn is(table: u8) -> bool {
        HIDDEN.with(|hidden| hidden.get() & table != 0)
    }
}

impl Drop for Hide {
    #[inline]
    fn drop(&mut self) {
        HIDDEN.with(|hidden| hidden.set(self.0));
    }
}

/// Puts back what a thread-local held when the scope began, also in a panic.
struct Restore<T: Default + 'static> {
    slot: &'static LocalKey<RefCell<T>>,
    previous: Option<T>,
}

impl<T: Default + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        if let Some(previous) = self.previous.take() {
            drop(replace(self.slot, previous));
        }
    }
}

/// Puts `new` into a thread-local and returns what was there; where it is gone, because the thread ends, that is nothing.
fn replace<T: Default>(slot: &'static LocalKey<RefCell<T>>, new: T) -> T {
    slot.try_with(|held| held.replace(new)).unwrap_or_default()
}

/// Runs `serialize` and returns its result with duplicates of the descriptors that were exported meanwhile, in order.
pub fn collect<R>(serialize: impl FnOnce() -> R) -> (R, Vec<OwnedFd>) {
    let _shown = Hide::change(|hidden| hidden & !HIDES_OUTGOING);
    let previous = replace(&OUTGOING, Some(Vec::new()));
    let _restore = Restore { slot: &OUTGOING, previous: Some(previous) };
    let result = serialize();
    (result, replace(&OUTGOING, None).unwrap_or_default())
}

/// Runs `deserialize`, in which handles take their descriptors out of `fds`; those that nobody took are closed.
pub fn provide<R>(fds: Vec<OwnedFd>, deserialize: impl FnOnce() -> R) -> R {
    let _shown = Hide::change(|hidden| hidden & !HIDES_INCOMING);
    let previous = replace(&INCOMING, Some(fds.into_iter().map(Some).collect()));
    let _restore = Restore { slot: &INCOMING, previous: Some(previous) };
    deserialize()
}

/// Runs `work` as if outside all scopes: user code that is called between deserializing and serializing.
#[inline]
pub fn outside<R>(work: impl FnOnce() -> R) -> R {
    let _hidden = Hide::change(|_| HIDES_OUTGOING | HIDES_INCOMING);
    work()
}

/// Adds a duplicate of `fd` to the enclosing [`collect`] scope; the index is what a handle serializes.
///
/// # Errors
///
/// [`TransferError::NoScope`] outside a scope, [`TransferError::Duplicate`] at the limit of descriptors.
pub fn export(fd: BorrowedFd<'_>) -> Result<u32, TransferError> {
    let push = |table: &RefCell<Option<Vec<OwnedFd>>>| {
        let mut table = table.borrow_mut();
        let table = table.as_mut().filter(|_| !Hide::is(HIDES_OUTGOING));
        let table = table.ok_or(TransferError::NoScope)?;
        table.push(fd.try_clone_to_owned().map_err(|error| {
            FAILURE.set(error.raw_os_error());
            TransferError::Duplicate(error)
        })?);
        u32::try_from(table.len() - 1).map_err(|_| TransferError::NoScope)
    };
    OUTGOING.try_with(push).unwrap_or(Err(TransferError::NoScope))
}

/// Why the last [`export`] of this thread failed that could not duplicate its descriptor, once: an encoder that has only the
/// text, which is all that serde passes on, can find the error again.
pub fn take_failure() -> Option<io::Error> {
    FAILURE.take().map(io::Error::from_raw_os_error)
}

/// The number of descriptors that the enclosing [`collect`] scope has so far; zero outside a scope.
#[inline]
pub fn collected() -> usize {
    if Hide::is(HIDES_OUTGOING) {
        return 0;
    }
    OUTGOING.try_with(|table| table.borrow().as_ref().map_or(0, Vec::len)).unwrap_or(0)
}

/// Takes the descriptor at `index` out of the enclosing [`provide`] scope.
///
/// # Errors
///
/// [`TransferError::NoScope`] outside a scope, [`TransferError::Missing`] where the message came without it or it was
/// taken before.
pub fn import(index: u32) -> Result<OwnedFd, TransferError> {
    let take = |table: &RefCell<Option<Vec<Option<OwnedFd>>>>| {
        let mut table = table.borrow_mut();
        let table = table.as_mut().filter(|_| !Hide::is(HIDES_INCOMING));
        let table = table.ok_or(TransferError::NoScope)?;
        table.get_mut(index as usize).and_then(Option::take).ok_or(TransferError::Missing(index))
    };
    INCOMING.try_with(take).unwrap_or(Err(TransferError::NoScope))
}

/// Why a descriptor could not travel.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransferError {
    /// The handle was serialized or deserialized outside a message that carries descriptors.
    NoScope,
    /// The descriptor could not be duplicated.
    Duplicate(io::Error),
    /// The message came without the descriptor of this index, or it was taken before.
    Missing(u32),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScope => f.write_str(
                "a handle travels only inside process arguments, results and connection messages, \
                 which carry its file descriptor",
            ),
            Self::Duplicate(error) => {
                write!(f, "failed to duplicate the file descriptor of a handle: {error}")
            }
            Self::Missing(index) => write!(f, "the message came without file descriptor {index}"),
        }
    }
}

impl error::Error for TransferError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Duplicate(error) => Some(error),
            Self::NoScope | Self::Missing(_) => None,
        }
    }
}

/// A std type that owns a descriptor (`File`, `TcpStream`, `UnixStream`, `PipeReader`, `OwnedFd`), made to travel.
///
/// The receiver gets a duplicate: both refer to the same open file, socket or pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd<T>(T);

impl<T> Fd<T> {
    /// Makes `inner` travel.
    pub const fn new(inner: T) -> Self {
        Self(inner)
    }

    /// What travelled.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Fd<T> {
    fn from(inner: T) -> Self {
        Self(inner)
    }
}

impl<T> Deref for Fd<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Fd<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsFd> Serialize for Fd<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        export(self.0.as_fd()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Fd<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let index = u32::deserialize(deserializer)?;
        import(index).map(T::from).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, panic};

    use super::*;

    #[test]
    fn outside_a_scope_is_an_error() {
        let file = Fd::new(File::open("/dev/null").unwrap());
        assert!(postcard::to_stdvec(&file).is_err());
        assert!(postcard::from_bytes::<Fd<File>>(&[0]).is_err());
        assert!(matches!(import(0), Err(TransferError::NoScope)));
    }

    #[test]
    fn a_descriptor_is_taken_once() {
        let (_, fds) = collect(|| export(File::open("/dev/null").unwrap().as_fd()).unwrap());
        provide(fds, || {
            import(0).unwrap();
            assert!(matches!(import(0), Err(TransferError::Missing(0))));
            assert!(matches!(import(7), Err(TransferError::Missing(7))));
        });
    }

    #[test]
    fn scopes_nest_and_survive_a_panic() {
        let null = File::open("/dev/null").unwrap();
        let (inner, outer) = collect(|| {
            export(null.as_fd()).unwrap();
            let panicked = panic::catch_unwind(|| collect(|| panic!("half-way")));
            assert!(panicked.is_err());
            let (index, fds) = collect(|| export(null.as_fd()).unwrap());
            assert_eq!((index, fds.len()), (0, 1));
            assert_eq!(collected(), 1);
            assert!(outside(|| matches!(export(null.as_fd()), Err(TransferError::NoScope))));
            export(null.as_fd()).unwrap()
        });
        assert_eq!((inner, outer.len()), (1, 2));
        assert!(matches!(export(null.as_fd()), Err(TransferError::NoScope)));
    }
}
