use std::{
    error, fmt, fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    process,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use mp_os::{Deadline, PidFd};
use nix::{libc, sys::stat::fstat};

use crate::{Error, Memory, OutOfBounds, Part, ReadMemory, sys};

/// What programs agree on that share some memory: a name, a version, and the types in it.
///
/// The first [`HEADER`](Self::HEADER) bytes of the memory tell who initializes it, whether that is complete, and by which
/// layout. So nobody uses memory that is half-initialized, was left so by a killed process, or means something else.
/// The memory must have begun as zeroes, as all new shared memory does.
///
/// | offset | |
/// |---|---|
/// | 0 | `u32`: 0, the process that is initializing, or `u32::MAX` when it is done |
/// | 8 | `u64`: the hash of the layout |
/// | 16 | `u64`: the length of the contents |
/// | 24, 32 | `u64`s: PID namespace of that process, and inode of its pidfd, both 0 where not known |
///
/// # Examples
///
/// ```
/// use mp_shm::{Layout, Segment};
/// use std::time::Duration;
///
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Limits { low: u32, high: u32 }
/// const LIMITS: Layout = Layout::new("limits", 1).of::<Limits>();
///
/// let segment = Segment::create("limits", 4096)?;
/// LIMITS.initialize(segment.memory(), |contents| Ok(contents.write(0, Limits { low: 1, high: 9 })?))?;
///
/// // In another process:
/// let contents = LIMITS.attach_timeout(segment.memory(), Duration::from_secs(1))?;
/// assert_eq!(contents.read::<Limits>(0)?.high, 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    hash: u64,
}

const STATE: usize = 0;
const HASH: usize = 8;
const LEN: usize = 16;
const NAMESPACE: usize = 24;
const INODE: usize = 32;

/// Nobody has begun.
const NOBODY: u32 = 0;
/// The contents are complete. Anything else is the process that is initializing them.
const COMPLETE: u32 = u32::MAX;

/// Wake-ups are hints: a waiter looks at the initializing process that often.
const SLICE: Duration = Duration::from_millis(50);

impl Layout {
    /// The length in bytes of the header; the contents follow.
    pub const HEADER: usize = 64;

    /// The layout that `name` and `version` stand for.
    #[must_use]
    pub const fn new(name: &str, version: u32) -> Self {
        let empty = Self { hash: 0xcbf2_9ce4_8422_2325 };
        empty.mix(name.as_bytes()).mix(&version.to_le_bytes())
    }

    /// The same, with the size and alignment of `T`: a field added without a new version is a mismatch nevertheless.
    #[must_use]
    pub const fn of<T>(self) -> Self {
        self.mix(&(size_of::<T>() as u64).to_le_bytes())
            .mix(&(align_of::<T>() as u64).to_le_bytes())
    }

    /// The number that stands for it in the memory.
    pub const fn hash(self) -> u64 {
        self.hash
    }

    /// FNV-1a, which can be computed by the compiler.
    const fn mix(mut self, bytes: &[u8]) -> Self {
        let mut index = 0;
        while index < bytes.len() {
            self.hash = (self.hash ^ bytes[index] as u64).wrapping_mul(0x0100_0000_01b3);
            index += 1;
        }
        self
    }

    /// Initializes the contents, and then lets the others have them.
    ///
    /// What a killed process has left half-done is done anew. Where `contents` fails or panics, it is as if nobody had
    /// begun, except for what it wrote.
    ///
    /// # Errors
    ///
    /// [`Initializing`](LayoutError::Initializing) or [`Initialized`](LayoutError::Initialized) by somebody else;
    /// [`TooSmall`](LayoutError::TooSmall); what `contents` fails with.
    pub fn initialize(
        self,
        memory: &Memory,
        contents: impl FnOnce(&Memory) -> crate::Result<()>,
    ) -> Result<Part<'_>, LayoutError> {
        let state = memory.atomic_u32(STATE).ok_or(LayoutError::TooSmall)?;
        let body = body(memory)?;
        let found = state.load(Ordering::Acquire);
        match found {
            NOBODY => {}
            COMPLETE => return Err(LayoutError::Initialized),
            process if is_dead(memory, process) => {}
            _ => return Err(LayoutError::Initializing),
        }
        if state
            .compare_exchange(found, process::id(), Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            return Err(LayoutError::Initializing);
        }
        let mut claim = Claim { state, end: NOBODY };
        let (namespace, inode) = identity();
        memory.write(NAMESPACE, namespace)?;
        memory.write(INODE, inode)?;
        contents(&body).map_err(LayoutError::Os)?;
        memory.write(HASH, self.hash)?;
        memory.write(LEN, body.len() as u64)?;
        claim.end = COMPLETE;
        drop(claim);
        Ok(body)
    }

    /// The contents, if they are initialized.
    ///
    /// # Errors
    ///
    /// Any [`LayoutError`] but [`TimedOut`](LayoutError::TimedOut) and [`Initialized`](LayoutError::Initialized).
    pub fn try_attach(self, memory: &Memory) -> Result<Part<'_>, LayoutError> {
        self.check(memory)?;
        body(memory)
    }

    /// The contents, once they are initialized: waits for whoever does it, and for somebody to begin.
    ///
    /// There is no form without a deadline: nobody may ever begin.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LayoutError::TimedOut); [`Abandoned`](LayoutError::Abandoned) as soon as the initializing process is
    /// dead; and as [`try_attach`](Self::try_attach).
    pub fn attach_deadline(
        self,
        memory: &Memory,
        deadline: Instant,
    ) -> Result<Part<'_>, LayoutError> {
        self.wait(memory, Deadline::at(deadline))?;
        body(memory)
    }

    /// [`attach_deadline`](Self::attach_deadline), that long from now.
    ///
    /// # Errors
    ///
    /// As [`attach_deadline`](Self::attach_deadline).
    pub fn attach_timeout(
        self,
        memory: &Memory,
        timeout: Duration,
    ) -> Result<Part<'_>, LayoutError> {
        self.wait(memory, Deadline::after(timeout))?;
        body(memory)
    }

    /// [`try_attach`](Self::try_attach) to memory that may only be read.
    ///
    /// # Errors
    ///
    /// As [`try_attach`](Self::try_attach).
    pub fn try_attach_read_only(
        self,
        memory: &ReadMemory,
    ) -> Result<Part<'_, ReadMemory>, LayoutError> {
        let len = self.check(memory)?;
        Ok(memory.part(Self::HEADER, len)?)
    }

    fn wait(self, memory: &ReadMemory, deadline: Deadline) -> Result<(), LayoutError> {
        loop {
            let seen = memory.load::<AtomicU32>(STATE).ok_or(LayoutError::TooSmall)?;
            match self.check(memory) {
                Err(LayoutError::Uninitialized | LayoutError::Initializing) => {}
                result => return result.map(drop),
            }
            if deadline.is_past() {
                return Err(LayoutError::TimedOut);
            }
            if let Some(timeout) = deadline.or_after(SLICE).to_relative() {
                sys::futex_wait(memory.as_ptr().cast(), seen, timeout);
            }
        }
    }

    /// The length of the contents, once they are complete and of this layout.
    fn check(self, memory: &ReadMemory) -> Result<usize, LayoutError> {
        match memory.load::<AtomicU32>(STATE).ok_or(LayoutError::TooSmall)? {
            NOBODY => return Err(LayoutError::Uninitialized),
            COMPLETE => {}
            process if is_dead(memory, process) => return Err(LayoutError::Abandoned),
            _ => return Err(LayoutError::Initializing),
        }
        let found: u64 = memory.read(HASH)?;
        if found != self.hash {
            return Err(LayoutError::Mismatch { expected: self.hash, found });
        }
        let len = memory.len().checked_sub(Self::HEADER).ok_or(LayoutError::TooSmall)?;
        match memory.read::<u64>(LEN)? {
            // Memory that has grown meanwhile holds more than was initialized.
            initialized if initialized <= len as u64 => Ok(len),
            _ => Err(LayoutError::TooSmall),
        }
    }
}

fn body(memory: &Memory) -> Result<Part<'_>, LayoutError> {
    let len = memory.len().checked_sub(Layout::HEADER).ok_or(LayoutError::TooSmall)?;
    Ok(memory.part(Layout::HEADER, len)?)
}

/// The right to initialize; given up when dropped, also in a panic.
struct Claim<'m> {
    state: &'m AtomicU32,
    end: u32,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.state.store(self.end, Ordering::Release);
        sys::futex_wake_all(self.state);
    }
}

/// The namespace in which our process number means us, and the inode of our pidfd, which nobody else ever has where the
/// kernel numbers them.
fn identity() -> (u64, u64) {
    let inode = PidFd::open(process::id()).ok().and_then(|process| inode(&process));
    (pid_namespace(), inode.unwrap_or(0))
}

fn pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

fn inode(process: &PidFd) -> Option<u64> {
    fstat(process.as_fd()).ok().map(|stat| stat.st_ino)
}

/// Whether the process that began is certainly dead.
fn is_dead(memory: &ReadMemory, pid: u32) -> bool {
    let known = |offset| memory.load::<AtomicU64>(offset).filter(|&number| number != 0);
    // Another namespace has other numbers: only the deadline helps there.
    if known(NAMESPACE).is_some_and(|namespace| namespace != pid_namespace()) {
        return false;
    }
    match PidFd::open(pid) {
        Ok(process) => {
            // A process that got the number later; older kernels give all pidfds one inode.
            let another = known(INODE).is_some_and(|began| inode(&process) != Some(began));
            another || process.has_exited().unwrap_or(false)
        }
        Err(error) => error.raw_os_error() == Some(libc::ESRCH),
    }
}

/// Why memory could not be initialized or attached to.
#[derive(Debug)]
#[non_exhaustive]
pub enum LayoutError {
    /// Nobody has begun to initialize it.
    Uninitialized,
    /// A process that is alive is initializing it.
    Initializing,
    /// The process that was initializing it is dead: it can be [initialized](Layout::initialize) anew.
    Abandoned,
    /// It is initialized already.
    Initialized,
    /// It is initialized by another layout, or is something else altogether.
    Mismatch {
        /// The hash of the layout that was asked for.
        expected: u64,
        /// The hash in the memory.
        found: u64,
    },
    /// It is smaller than its header, or than what was initialized.
    TooSmall,
    /// The deadline passed first.
    TimedOut,
    /// The operating system refused it, or the initialization failed.
    Os(Error),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uninitialized => "nobody has initialized the shared memory",
            Self::Initializing => "a process is initializing the shared memory",
            Self::Abandoned => "the process that was initializing the shared memory is dead",
            Self::Initialized => "the shared memory is initialized already",
            Self::Mismatch { expected, found } => {
                return write!(
                    f,
                    "the shared memory has layout {found:#018x} and not {expected:#018x}"
                );
            }
            Self::TooSmall => "the shared memory is smaller than its layout",
            Self::TimedOut => "the deadline passed before the shared memory was initialized",
            Self::Os(error) => return error.fmt(f),
        })
    }
}

impl error::Error for LayoutError {}

impl From<OutOfBounds> for LayoutError {
    fn from(_: OutOfBounds) -> Self {
        Self::TooSmall
    }
}

impl From<LayoutError> for io::Error {
    fn from(error: LayoutError) -> Self {
        let kind = match &error {
            LayoutError::Os(error) => error.kind(),
            LayoutError::TimedOut => io::ErrorKind::TimedOut,
            LayoutError::Initializing | LayoutError::Uninitialized => io::ErrorKind::WouldBlock,
            LayoutError::Initialized => io::ErrorKind::AlreadyExists,
            LayoutError::Abandoned => io::ErrorKind::BrokenPipe,
            LayoutError::Mismatch { .. } | LayoutError::TooSmall => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
