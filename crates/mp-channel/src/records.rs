//! The bytes of a ring: records one after the other, around the end, of which a peer may have written any.
//!
//! The memory is behind a trait. So this, where lengths are read that nobody vouches for, runs over a plain buffer as well,
//! where every access is checked: by the tests below, and by Miri where there is one (`cargo miri test -p mp-channel records`).

use mp_os::Result;
use mp_shm::Mapping;

use crate::{error::damaged, layout::BYTES, position::Position, record::Record, sys};

/// How far ahead of a record cache lines are asked for, in bytes: what passes while one comes from another core.
const AHEAD: usize = 512;

/// Memory that others may write at any time, of which only copies are looked at.
pub(crate) trait Region {
    /// Copies `bytes` to `offset`.
    fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<()>;

    /// Copies the bytes from `offset` into `bytes`.
    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<()>;

    /// Appends `len` bytes from `offset` to `bytes`.
    fn append_to(&self, bytes: &mut Vec<u8>, offset: usize, len: usize) -> Result<()>;

    /// Where the byte at `offset` is, for hints to the cache.
    fn address(&self, offset: usize) -> *const u8;
}

/// The records of a ring of `len` bytes, a power of two, in the memory from [`BYTES`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a, R> {
    region: &'a R,
    len: usize,
}

impl<'a, R: Region> Records<'a, R> {
    #[inline]
    pub(crate) fn new(region: &'a R, len: usize) -> Self {
        Self { region, len }
    }

    /// Where the byte of the ring at `units`, and `bytes` after it, is from the ring's beginning.
    #[inline]
    fn at(&self, units: u32, bytes: usize) -> usize {
        (units as usize * Position::UNIT).wrapping_add(bytes) & (self.len - 1)
    }

    /// Writes a record that is stored inside, and says that it is one.
    #[inline]
    pub(crate) fn write(&self, units: u32, record: Record, parts: &[&[u8]]) -> Result<()> {
        self.set_word(units, 0, record.to_bits())?;
        let mut skip = Record::WORD;
        for part in parts {
            self.copy_in(units, skip, part)?;
            skip += part.len();
        }
        Ok(())
    }

    /// Copies into the ring, `skip` bytes after `units`, around its end.
    #[inline]
    fn copy_in(&self, units: u32, skip: usize, bytes: &[u8]) -> Result<()> {
        let at = self.at(units, skip);
        let (first, rest) = bytes.split_at(bytes.len().min(self.len - at));
        self.region.copy_in(BYTES + at, first)?;
        if !rest.is_empty() {
            self.region.copy_in(BYTES, rest)?;
        }
        Ok(())
    }

    /// Appends the `len` bytes of the record at `units` to `bytes`, which has the capacity.
    #[inline]
    pub(crate) fn append_to(&self, bytes: &mut Vec<u8>, units: u32, len: usize) -> Result<()> {
        let at = self.at(units, Record::WORD);
        let first = len.min(self.len - at);
        self.region.append_to(bytes, BYTES + at, first)?;
        if first < len {
            self.region.append_to(bytes, BYTES, len - first)?;
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn set_word(&self, units: u32, word: usize, value: u64) -> Result<()> {
        self.region.copy_in(BYTES + self.at(units, word * Record::WORD), &value.to_ne_bytes())
    }

    #[inline]
    pub(crate) fn word(&self, units: u32, word: usize) -> Result<u64> {
        let mut bytes = [0; Record::WORD];
        self.region.copy_out(BYTES + self.at(units, word * Record::WORD), &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// The record at `units`, of which `used` units are in the ring.
    #[inline]
    pub(crate) fn record(&self, units: u32, used: u32) -> Result<Record> {
        let record = Record::from_bits(self.word(units, 0)?);
        record.filter(|record| record.units() <= used).ok_or_else(|| damaged("read"))
    }

    /// Asks for a cache line that a producer at `units` will come to, unless consumers may be reading there.
    ///
    /// Consumers have had it. Without this each store to such a line waits for it, one after the other.
    #[inline]
    pub(crate) fn prepare(&self, units: u32, free: u32) {
        if free as usize * Position::UNIT > 2 * AHEAD {
            sys::will_write(self.ahead(units));
        }
    }

    /// Asks for a cache line that a consumer at `units` will come to, unless producers may be writing there.
    #[inline]
    pub(crate) fn prefetch(&self, units: u32, used: u32) {
        if used as usize * Position::UNIT > 2 * AHEAD {
            sys::will_read(self.ahead(units));
        }
    }

    #[inline]
    fn ahead(&self, units: u32) -> *const u8 {
        self.region.address(BYTES + self.at(units, AHEAD))
    }
}

impl Region for Mapping {
    #[inline]
    fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        Ok((**self).copy_in(offset, bytes)?)
    }

    #[inline]
    fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<()> {
        Ok((**self).copy_out(offset, bytes)?)
    }

    #[inline]
    fn append_to(&self, bytes: &mut Vec<u8>, offset: usize, len: usize) -> Result<()> {
        Ok(self.copy_out_vec(offset, len, bytes)?)
    }

    #[inline]
    fn address(&self, offset: usize) -> *const u8 {
        self.as_ptr().wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const LEN: usize = 128;
    const UNITS: u32 = (LEN / Position::UNIT) as u32;

    /// A buffer, in which an access out of bounds is a panic.
    struct Buffer(Vec<Cell<u8>>);

    impl Buffer {
        fn new() -> Self {
            Self(vec![Cell::new(0xee); BYTES + LEN])
        }

        fn records(&self) -> Records<'_, Self> {
            Records::new(self, LEN)
        }

        /// Whether nothing was written before the ring.
        fn is_whole(&self) -> bool {
            self.0[..BYTES].iter().all(|byte| byte.get() == 0xee)
        }
    }

    impl Region for Buffer {
        fn copy_in(&self, offset: usize, bytes: &[u8]) -> Result<()> {
            let to = &self.0[offset..offset + bytes.len()];
            to.iter().zip(bytes).for_each(|(cell, &byte)| cell.set(byte));
            Ok(())
        }

        fn copy_out(&self, offset: usize, bytes: &mut [u8]) -> Result<()> {
            let from = &self.0[offset..offset + bytes.len()];
            bytes.iter_mut().zip(from).for_each(|(byte, cell)| *byte = cell.get());
            Ok(())
        }

        fn append_to(&self, bytes: &mut Vec<u8>, offset: usize, len: usize) -> Result<()> {
            bytes.extend(self.0[offset..offset + len].iter().map(Cell::get));
            Ok(())
        }

        fn address(&self, offset: usize) -> *const u8 {
            self.0.as_ptr().cast::<u8>().wrapping_add(offset)
        }
    }

    #[test]
    fn a_record_comes_back_wherever_it_begins() {
        for len in 0..LEN - Record::WORD {
            for units in (0..UNITS).chain([u32::MAX - 1, u32::MAX]) {
                let buffer = Buffer::new();
                let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
                let (first, rest) = bytes.split_at(len / 3);
                let record = Record::Inside(len as u64);
                buffer.records().write(units, record, &[first, rest]).unwrap();

                assert_eq!(buffer.records().record(units, UNITS).unwrap(), record);
                let mut copy = Vec::new();
                buffer.records().append_to(&mut copy, units, len).unwrap();
                assert_eq!(copy, bytes);
                assert!(buffer.is_whole());
            }
        }
    }

    /// Whatever a peer writes, a record is no longer than what is in the ring, and is read within it.
    #[test]
    fn no_word_leads_out_of_the_ring() {
        let lens = (0..=64).map(|bit| 1_u64.checked_shl(bit).unwrap_or(0));
        let lens = lens.flat_map(|len| [len.wrapping_sub(1), len, len.wrapping_add(7)]);
        for word in lens.flat_map(|len| (0..4_u64).map(move |kind| kind << 56 ^ len)) {
            for (units, used) in [(0, 1), (5, UNITS), (UNITS - 1, 3), (u32::MAX, UNITS)] {
                let buffer = Buffer::new();
                buffer.records().set_word(units, 0, word).unwrap();
                let Ok(record) = buffer.records().record(units, used) else { continue };
                assert!(record.units() <= used, "{word:x}");
                if let Record::Inside(len) = record {
                    buffer.records().append_to(&mut Vec::new(), units, len as usize).unwrap();
                }
                buffer.records().prefetch(units, used);
            }
        }
    }
}
