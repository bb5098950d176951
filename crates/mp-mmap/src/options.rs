use std::{
    fs, io,
    num::NonZeroUsize,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use memmap2::{MmapOptions, MmapRaw};
use nix::{
    errno::Errno,
    libc,
    sys::{
        mman::MapFlags,
        stat::{FileStat, SFlag, fstat},
    },
};

use crate::{Error, Mapping, ReadMapping, Result, mapping::Origin, sys::AnonymousPages};

/// Which part of a file to map and how.
///
/// # Examples
///
/// ```
/// use mp_mmap::MapOptions;
///
/// # let path = std::env::temp_dir().join(format!("mp-mmap-options-{}", std::process::id()));
/// std::fs::write(&path, "A page begins every few thousand bytes, a mapping anywhere.")?;
/// let file = std::fs::File::open(&path)?;
/// # std::fs::remove_file(&path)?;
/// let middle = MapOptions::new().offset(7).len(6).populate(true).map_read_only(&file)?;
/// assert_eq!(middle.read::<[u8; 6]>(0)?, *b"begins");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MapOptions {
    offset: u64,
    len: Option<usize>,
    populate: bool,
    no_reserve: bool,
    huge: Option<HugePage>,
}

/// The size of the huge pages of anonymous memory.
///
/// # Examples
///
/// ```
/// use mp_mmap::{HugePage, MapOptions, Mapping};
///
/// let memory = match MapOptions::new().len(4 << 20).huge_pages(HugePage::Mib2).map_anonymous() {
///     Ok(memory) => memory,
///     Err(error) => {
///         // Says how the administrator sets them aside.
///         eprintln!("{error}");
///         Mapping::anonymous(4 << 20)?
///     }
/// };
/// assert_eq!(memory.len(), 4 << 20);
/// # Ok::<(), mp_mmap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HugePage {
    /// 2 MiB.
    Mib2,
    /// 1 GiB.
    Gib1,
}

impl HugePage {
    /// The size in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Mib2 => 2 << 20,
            Self::Gib1 => 1 << 30,
        }
    }

    fn flags(self) -> MapFlags {
        MapFlags::MAP_HUGETLB
            | match self {
                Self::Mib2 => MapFlags::MAP_HUGE_2MB,
                Self::Gib1 => MapFlags::MAP_HUGE_1GB,
            }
    }
}

impl MapOptions {
    /// The whole file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins `offset` bytes into the file, at a page or not.
    pub fn offset(&mut self, offset: u64) -> &mut Self {
        self.offset = offset;
        self
    }

    /// Ends after `len` bytes; without it, at the end of the file.
    pub fn len(&mut self, len: usize) -> &mut Self {
        self.len = Some(len);
        self
    }

    /// `MAP_POPULATE`—Reads all pages in at once. A page that cannot be read is not reported.
    #[doc(alias = "MAP_POPULATE")]
    pub fn populate(&mut self, populate: bool) -> &mut Self {
        self.populate = populate;
        self
    }

    /// `MAP_NORESERVE`—Reserves no swap space. A private page that cannot be had when it is written is a `SIGSEGV`.
    #[doc(alias = "MAP_NORESERVE")]
    pub fn no_reserve(&mut self, no_reserve: bool) -> &mut Self {
        self.no_reserve = no_reserve;
        self
    }

    /// `MAP_HUGETLB`—[Anonymous](Self::map_anonymous) memory of huge pages that the administrator has set aside.
    ///
    /// For huge pages where they happen to be free, see [`Advice::HugePage`](crate::Advice::HugePage). A file on
    /// hugetlbfs has huge pages anyway.
    #[doc(alias = "MAP_HUGETLB")]
    pub fn huge_pages(&mut self, size: HugePage) -> &mut Self {
        self.huge = Some(size);
        self
    }

    /// `mmap(MAP_SHARED)`—Maps the file readable and writable; what one writes all see, and the file gets it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where the file does not reach that far;
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) where it is not open for reading and writing, or is sealed;
    /// any other error of `mmap(2)`.
    #[doc(alias = "mmap")]
    pub fn map(&self, file: impl AsFd) -> Result<Mapping> {
        let (map, origin) = self.map_file(file.as_fd(), MmapOptions::map_raw)?;
        Ok(Mapping::of_file(map, origin))
    }

    /// `mmap(MAP_SHARED, PROT_READ)`—Maps the file for reading; it shows what others write.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map); the file needs to be open for reading only.
    #[doc(alias = "mmap")]
    pub fn map_read_only(&self, file: impl AsFd) -> Result<ReadMapping> {
        let (map, origin) = self.map_file(file.as_fd(), MmapOptions::map_raw_read_only)?;
        Ok(ReadMapping::of_file(map, origin))
    }

    /// `mmap(MAP_PRIVATE)`—Maps the file, copying a page when it is first written: nobody else sees that.
    ///
    /// Pages not yet written may or may not show what others write to the file.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map); the file needs to be open for reading only.
    #[doc(alias = "MAP_PRIVATE")]
    pub fn map_private(&self, file: impl AsFd) -> Result<Mapping> {
        let (map, origin) = self.map_file(file.as_fd(), crate::mapping::map_copy)?;
        Ok(Mapping::of_file(map, origin))
    }

    /// `mmap(MAP_ANONYMOUS | MAP_SHARED)`—Maps zeroes that this process shares with the children it forks.
    ///
    /// The [`len`](Self::len) is needed; with [`huge_pages`](Self::huge_pages) it is rounded up to whole ones. Other
    /// processes cannot come to it: use a memfd for those.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where the length is missing or zero;
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) where there is not that much, or there are not enough huge pages.
    #[doc(alias = "MAP_ANONYMOUS")]
    pub fn map_anonymous(&self) -> Result<Mapping> {
        let object = "anonymous memory";
        let len = self.len.and_then(|len| match self.huge {
            Some(huge) => len.checked_next_multiple_of(huge.bytes()),
            None => Some(len),
        });
        let Some(len) = len.and_then(NonZeroUsize::new) else {
            return Err(Error::invalid_input("map", object, "the length is missing or zero"));
        };
        let mut flags = self.huge.map_or(MapFlags::empty(), HugePage::flags);
        flags.set(MapFlags::MAP_POPULATE, self.populate);
        flags.set(MapFlags::MAP_NORESERVE, self.no_reserve);
        match AnonymousPages::map(len, flags) {
            Ok(pages) => Ok(Mapping::of_anonymous(pages, len.get())),
            Err(error) => {
                let error = Error::new("map", object, error);
                Err(match (self.huge, error.raw_os_error()) {
                    (Some(_), Some(libc::ENOMEM | libc::EINVAL)) => error.with_hint(
                        "huge pages are set aside by `sysctl vm.nr_hugepages`; without them, map ordinary pages and \
                         advise `HugePage`",
                    ),
                    _ => error,
                })
            }
        }
    }

    fn map_file(
        &self,
        file: BorrowedFd<'_>,
        map: impl FnOnce(&MmapOptions, i32) -> io::Result<MmapRaw>,
    ) -> Result<(MmapRaw, Origin)> {
        let fail = |error| Error::new("map", describe(file), error);
        let stat = fstat(file).map_err(|errno| fail(errno.into()))?;
        let len = self.len_in(&stat).map_err(fail)?;
        let mut options = MmapOptions::new();
        options.offset(self.offset).len(len);
        if self.populate {
            options.populate();
        }
        if self.no_reserve {
            options.no_reserve_swap();
        }
        let map = map(&options, file.as_raw_fd()).map_err(fail)?;
        Ok((map, Origin::of(&stat, self.offset)))
    }

    /// The length to map; pages beyond the end of a file could be mapped, but not used.
    fn len_in(&self, stat: &FileStat) -> io::Result<usize> {
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidInput, reason);
        if self.huge.is_some() {
            return Err(invalid("huge pages are for anonymous memory".to_owned()));
        }
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFREG {
            return self
                .len
                .ok_or_else(|| invalid("it is not a file, so the length is needed".to_owned()));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let beyond = || invalid(format!("the range reaches beyond the {size} bytes of the file"));
        let rest = size.checked_sub(self.offset).ok_or_else(beyond)?;
        match self.len {
            Some(len) if len as u64 > rest => Err(beyond()),
            Some(len) => Ok(len),
            None => usize::try_from(rest).map_err(|_| Errno::EOVERFLOW.into()),
        }
    }
}

/// How errors call the file of `fd`.
pub(crate) fn describe(fd: BorrowedFd<'_>) -> String {
    match fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())) {
        Ok(path) => format!("`{}`", path.display()),
        Err(_) => "a file".to_owned(),
    }
}
