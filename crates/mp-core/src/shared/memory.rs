use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
    sync::Arc,
};

use mp_shm::{
    Memory,
    posix::{self, CreateOptions, SharedMemory as Named},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Result;

/// A block of shared memory with a name, which unrelated programs open: Python's `SharedMemory`, which is the same object.
///
/// A handle: clones share one mapping. Sent to another process, it is opened there by its name. The name goes when the last
/// handle of its creator goes, unless it was [kept](Self::create_persistent); who has the memory open keeps it.
///
/// Whoever may open it may also truncate it, and what touches memory that is cut off is killed by `SIGBUS`. Among programs that
/// are not to be trusted, use an [`Array`](crate::Array), which nobody can truncate, or the guarded copies of mp-mmap.
///
/// # Examples
///
/// ```
/// use mp_core::SharedMemory;
///
/// let ours = SharedMemory::create(4096)?;
/// ours.memory().copy_in(0, b"hello")?;
/// // In another program, which was told the name:
/// let theirs = SharedMemory::open(ours.name())?;
/// assert_eq!(theirs.memory().read::<[u8; 5]>(0)?, *b"hello");
/// # Ok::<(), mp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedMemory(Arc<Named>);

impl SharedMemory {
    /// `len` zeroes, under a name that nobody has.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a length of zero; [`StorageFull`](io::ErrorKind::StorageFull)
    /// where `/dev/shm` is full.
    pub fn create(len: usize) -> Result<Self> {
        Self::create_with(len, |_| Ok(()))
    }

    /// [`create`](Self::create), with `initialize` called before anybody else can open it.
    pub(super) fn create_with(
        len: usize,
        initialize: impl Fn(&Memory) -> mp_os::Result<()>,
    ) -> Result<Self> {
        loop {
            let random = RandomState::new().build_hasher().finish();
            match Self::create_named_with(&format!("mp_{random:016x}"), len, &initialize) {
                Err(error) if error.io_kind() == Some(io::ErrorKind::AlreadyExists) => {}
                result => return result,
            }
        }
    }

    /// `len` zeroes, under this name, with or without its slash.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name; as
    /// for [`create`](Self::create).
    pub fn create_named(name: impl AsRef<str>, len: usize) -> Result<Self> {
        Self::create_named_with(name.as_ref(), len, |_| Ok(()))
    }

    /// [`create_named`](Self::create_named), with `initialize` called before anybody else can open it.
    pub(super) fn create_named_with(
        name: &str,
        len: usize,
        initialize: impl FnOnce(&Memory) -> mp_os::Result<()>,
    ) -> Result<Self> {
        let named = CreateOptions::new().create_new_with(with_slash(name), len, initialize)?;
        Ok(Self(Arc::new(named)))
    }

    /// [`create_named`](Self::create_named), for memory that stays until somebody [unlinks](Self::unlink) it.
    ///
    /// # Errors
    ///
    /// As for [`create_named`](Self::create_named).
    pub fn create_persistent(name: impl AsRef<str>, len: usize) -> Result<Self> {
        let mut named = Named::create_new(with_slash(name.as_ref()), len)?;
        named.persist();
        Ok(Self(Arc::new(named)))
    }

    /// The memory that somebody has created under this name, as large as it is.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied),
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a bad name.
    pub fn open(name: impl AsRef<str>) -> Result<Self> {
        Ok(Self(Arc::new(Named::open(with_slash(name.as_ref()))?)))
    }

    /// The name, without its slash.
    pub fn name(&self) -> &str {
        let name: &str = self.0.name().as_ref();
        name.trim_start_matches('/')
    }

    /// The length in bytes.
    #[doc(alias = "size")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Always `false`: there is at least one byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes.
    #[doc(alias = "buf")]
    pub fn memory(&self) -> &Memory {
        self.0.memory()
    }

    /// Takes the name away; who has the memory open keeps it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) where somebody has done it before.
    pub fn unlink(&self) -> Result<()> {
        Ok(posix::unlink(self.0.name())?)
    }
}

/// Python's names have none.
fn with_slash(name: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("/{name}") }
}

/// By its name: whoever receives it must be able to open that.
impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::open(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
