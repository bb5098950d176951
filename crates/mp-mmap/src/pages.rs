use std::{
    io,
    ops::{Bound, RangeBounds},
};

use nix::{errno::Errno, libc, sys::mman::MsFlags};

use crate::{Error, Memory, OutOfBounds, ReadMemory, Result, sys, sys::PageRange};

/// What the kernel may expect of pages: the advice of `madvise(2)` that never changes their contents.
///
/// # Examples
///
/// ```
/// use mp_mmap::{Advice, ReadMapping};
///
/// let program = ReadMapping::map(std::fs::File::open("/proc/self/exe")?)?;
/// program.advise(.., Advice::Random)?;
/// program.advise(..4096, Advice::WillNeed)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// No expectation.
    Normal,
    /// Accesses in random order: do not read ahead.
    Random,
    /// Accesses in order: read far ahead, drop soon.
    Sequential,
    /// They are needed soon: read them in now.
    WillNeed,
    /// They are not needed soon: the first to be reclaimed when memory is short. Linux 5.4.
    Cold,
    /// Reclaim them now: written back to the file or to swap. Linux 5.4.
    PageOut,
    /// Use transparent huge pages where possible.
    HugePage,
    /// Do not use transparent huge pages.
    NoHugePage,
    /// Leave them out of core dumps.
    DontDump,
    /// Put them into core dumps again.
    DoDump,
}

impl Advice {
    const fn as_raw(self) -> libc::c_int {
        match self {
            Self::Normal => libc::MADV_NORMAL,
            Self::Random => libc::MADV_RANDOM,
            Self::Sequential => libc::MADV_SEQUENTIAL,
            Self::WillNeed => libc::MADV_WILLNEED,
            Self::Cold => libc::MADV_COLD,
            Self::PageOut => libc::MADV_PAGEOUT,
            Self::HugePage => libc::MADV_HUGEPAGE,
            Self::NoHugePage => libc::MADV_NOHUGEPAGE,
            Self::DontDump => libc::MADV_DONTDUMP,
            Self::DoDump => libc::MADV_DODUMP,
        }
    }
}

/// What the kernel does with the pages that hold a range of bytes; each works on whole pages, the ends rounded outwards.
impl ReadMemory {
    /// `madvise(2)`—Tells what to expect of the pages of `range`.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `range` is not inside the memory, or the kernel or the file
    /// system does not know the advice.
    #[doc(alias = "madvise")]
    pub fn advise(&self, range: impl RangeBounds<usize>, advice: Advice) -> Result<()> {
        self.on_pages("advise on", range, |pages| sys::madvise(pages, advice.as_raw()))
    }

    /// `mlock(2)`—Reads the pages of `range` in and keeps them in memory until they are unlocked or unmapped.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) or [`PermissionDenied`](io::ErrorKind::PermissionDenied) at the
    /// limit `RLIMIT_MEMLOCK`, or where the file does not reach that far any more;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `range` is not inside the memory.
    #[doc(alias = "mlock")]
    pub fn lock(&self, range: impl RangeBounds<usize>) -> Result<()> {
        self.on_pages("lock", range, sys::mlock).map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory | io::ErrorKind::PermissionDenied => {
                error.with_hint("`ulimit -l` (RLIMIT_MEMLOCK) bounds the memory that may be locked")
            }
            _ => error,
        })
    }

    /// `munlock(2)`—Allows the pages of `range` to be swapped out again.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `range` is not inside the memory.
    #[doc(alias = "munlock")]
    pub fn unlock(&self, range: impl RangeBounds<usize>) -> Result<()> {
        self.on_pages("unlock", range, sys::munlock)
    }

    /// `MADV_POPULATE_READ`—Makes the pages of `range` present now, so that later reads do not wait for them.
    ///
    /// Before Linux 5.14, by reading a byte of each.
    ///
    /// # Errors
    ///
    /// Where a page cannot be had, such as beyond the end of a truncated file; [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// where `range` is not inside the memory.
    #[doc(alias = "MADV_POPULATE_READ")]
    pub fn populate(&self, range: impl RangeBounds<usize>) -> Result<()> {
        let (offset, len) = self.resolve("populate", &range)?;
        self.on_pages("populate", range, |pages| {
            match sys::madvise(pages, libc::MADV_POPULATE_READ) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    self.read_each_page(offset, len)
                }
                result => result,
            }
        })
    }

    fn read_each_page(&self, offset: usize, len: usize) -> io::Result<()> {
        let range = offset..offset + len;
        // The steps may end before the page of the last byte.
        let last = range.clone().next_back();
        range
            .step_by(sys::page_size())
            .chain(last)
            .try_for_each(|offset| self.copy_out_guarded(offset, &mut [0]).map_err(io::Error::from))
    }

    fn on_pages(
        &self,
        verb: &'static str,
        range: impl RangeBounds<usize>,
        operation: impl FnOnce(PageRange) -> io::Result<()>,
    ) -> Result<()> {
        let (offset, len) = self.resolve(verb, &range)?;
        let pages = self.at(offset, len).ok().and_then(|ptr| PageRange::around(ptr, len));
        match pages {
            Some(pages) if len > 0 => {
                operation(pages).map_err(|error| Error::new(verb, "mapped memory", error))
            }
            _ => Ok(()),
        }
    }

    /// The offset and length of `range`, which must be inside.
    fn resolve(
        &self,
        verb: &'static str,
        range: &impl RangeBounds<usize>,
    ) -> Result<(usize, usize)> {
        let start = match range.start_bound() {
            Bound::Included(&start) => Some(start),
            Bound::Excluded(&before) => before.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.checked_add(1),
            Bound::Excluded(&end) => Some(end),
            Bound::Unbounded => Some(self.len()),
        };
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= self.len() => {
                Ok((start, end - start))
            }
            _ => Err(Error::invalid_input(verb, "mapped memory", OutOfBounds)),
        }
    }
}

impl Memory {
    /// `msync(MS_SYNC)`—Writes the pages of `range` to their file and waits until they are on the disk.
    ///
    /// # Errors
    ///
    /// What the disk fails with; [`InvalidInput`](io::ErrorKind::InvalidInput) where `range` is not inside the memory.
    #[doc(alias = "msync")]
    pub fn flush(&self, range: impl RangeBounds<usize>) -> Result<()> {
        self.on_pages("flush", range, |pages| sys::msync(pages, MsFlags::MS_SYNC))
    }

    /// `msync(MS_ASYNC)`—Asks for the pages of `range` to be written to their file.
    ///
    /// On Linux they are anyway, in their time; the call only checks that they are mapped.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `range` is not inside the memory.
    #[doc(alias = "msync")]
    pub fn flush_async(&self, range: impl RangeBounds<usize>) -> Result<()> {
        self.on_pages("flush", range, |pages| sys::msync(pages, MsFlags::MS_ASYNC))
    }

    /// `MADV_POPULATE_WRITE`—Makes the pages of `range` present and writable now, contents unchanged.
    ///
    /// Before Linux 5.14, [present](ReadMemory::populate) only.
    ///
    /// # Errors
    ///
    /// Where a page cannot be had, such as beyond the end of a truncated file or on a full file system;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) where `range` is not inside the memory.
    #[doc(alias = "MADV_POPULATE_WRITE")]
    pub fn populate_write(&self, range: impl RangeBounds<usize> + Clone) -> Result<()> {
        let populated = self.on_pages("populate", range.clone(), |pages| {
            sys::madvise(pages, libc::MADV_POPULATE_WRITE)
        });
        match populated {
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                self.populate(range)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{MapOptions, Mapping, sys};

    #[test]
    fn reading_each_page_stands_in_for_populating() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(20_000).unwrap();
        let part = MapOptions::new().offset(5000).map(&file).unwrap();
        part.read_each_page(0, 15_000).unwrap();
        // Of the last page of 4096 bytes only the last byte is in the range.
        part.read_each_page(0, 16_384 - 5000 + 1).unwrap();
        file.set_len(16_384).unwrap();
        part.read_each_page(0, 16_384 - 5000).unwrap();
        if sys::page_size() == 4096 {
            part.read_each_page(0, 16_384 - 5000 + 1).unwrap_err();
        }
        Mapping::anonymous(10_000).unwrap().read_each_page(0, 0).unwrap();
    }
}
