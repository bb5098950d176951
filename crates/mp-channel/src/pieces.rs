//! Records that come out in two pieces, so that what is large in them is copied once, to where it stays.
//!
//! The word before a record that lies outside the ring has room beside the record's kind: for the length of all parts of the
//! push but the last one.

use mp_os::{Deadline, Result};

use crate::{
    PopError, PopTimeoutError, Ring, TryPopError,
    inner::Inner,
    outside::{Place, check_written},
    pop::{Found, Taken},
    record::Record,
};

impl Ring {
    /// [`pop`](Self::pop) of one record in two pieces: what was pushed as its [last part](Self::push_parts) comes into `tail`,
    /// all before that into `head`.
    ///
    /// So a large part gets into a vector of its own with one copy. A record that is stored inside the ring comes whole, in
    /// `head`, and leaves `tail` empty: it is too short for a copy to count.
    ///
    /// # Errors
    ///
    /// As for [`pop`](Self::pop).
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_channel::Ring;
    ///
    /// let (ring, large) = (Ring::builder().create()?, vec![7; 1 << 20]);
    /// ring.push_parts(&[b"he", b"ad", &large]).unwrap();
    /// ring.push_parts(&[b"he", b"ad", b"small"]).unwrap();
    ///
    /// let (mut head, mut tail) = (Vec::new(), Vec::new());
    /// ring.pop_parts(&mut head, &mut tail).unwrap();
    /// assert!(head == b"head" && tail == large);
    /// ring.pop_parts(&mut head, &mut tail).unwrap();
    /// assert!(head == b"headsmall" && tail.is_empty());
    /// # Ok::<(), mp_channel::Error>(())
    /// ```
    pub fn pop_parts(&self, head: &mut Vec<u8>, tail: &mut Vec<u8>) -> Result<(), PopError> {
        // Waiting for ever ends with a record only.
        self.0.pop_parts(head, tail, Some(Deadline::never())).map(drop)
    }

    /// [`pop_parts`](Self::pop_parts) if there is a record now.
    ///
    /// # Errors
    ///
    /// As for [`try_pop`](Self::try_pop).
    pub fn try_pop_parts(&self, head: &mut Vec<u8>, tail: &mut Vec<u8>) -> Result<(), TryPopError> {
        if self.0.pop_parts(head, tail, None)? { Ok(()) } else { Err(TryPopError::Empty) }
    }

    /// [`pop_parts`](Self::pop_parts), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    pub fn pop_parts_until(
        &self,
        head: &mut Vec<u8>,
        tail: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<(), PopTimeoutError> {
        let popped = self.0.pop_parts(head, tail, Some(deadline))?;
        if popped { Ok(()) } else { Err(PopTimeoutError::TimedOut) }
    }
}

impl Inner {
    /// Takes one record out; false once `deadline` has passed, without one if there is no record now.
    #[inline(always)]
    fn pop_parts(
        &self,
        head: &mut Vec<u8>,
        tail: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<bool, PopError> {
        Ok(self.take_parts(head, tail, deadline)?.is_some()
            || self.pop_parts_later(head, tail, deadline)?)
    }

    /// There was no record.
    #[cold]
    fn pop_parts_later(
        &self,
        head: &mut Vec<u8>,
        tail: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<bool, PopError> {
        let attempt = || self.take_parts(head, tail, deadline);
        Ok(deadline.is_some() && self.wait_for_record(deadline, attempt)?.is_some())
    }

    /// One attempt, always inlined as [`take_one`](Self::pop) is.
    #[inline(always)]
    fn take_parts(
        &self,
        head: &mut Vec<u8>,
        tail: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<Option<()>, PopError> {
        tail.clear();
        let side = &self.header().head;
        loop {
            let Some(guard) = self.lock_filled(side, deadline)? else { return Ok(None) };
            let at = side.own_position();
            let used = self.used(side, at)?;
            if used.items() == 0 {
                drop(guard);
                return self.check_closed();
            }
            let found = Found { guard, head: at, used };
            if let Some(next) = self.copy_newest(&found, head) {
                self.commit_head(found, next, None);
                return Ok(Some(()));
            }
            let record = self.records().record(at.units(), used.units())?;
            self.records().prefetch(at.units(), used.units());
            let (taken, piece) = match record {
                Record::Inside(_) => (self.copy_record(at.units(), record, head, 0)?, &mut *head),
                Record::Outside => self.copy_pieces(at.units(), head, tail)?,
            };
            if self.settle(found, taken, at.advance(1, record.units()), piece)? {
                return Ok(Some(()));
            }
        }
    }

    /// Copies the contents of a record outside, unless one of the vectors has no room for its piece: also which one.
    #[cold]
    fn copy_pieces<'a>(
        &self,
        units: u32,
        head: &'a mut Vec<u8>,
        tail: &'a mut Vec<u8>,
    ) -> Result<(Taken, &'a mut Vec<u8>)> {
        let place = self.place(units)?;
        let head_len = self.head_len(units, place)?;
        let (first, rest) = place.split_at(head_len);
        let has_room = |piece: Place, bytes: &Vec<u8>| bytes.capacity() as u64 >= piece.len;
        if !has_room(first, head) || !has_room(rest, tail) {
            // Better an error than so much memory for nothing.
            check_written(&self.outside.file, place.len)?;
        }
        if !has_room(first, head) {
            return Ok((Taken::Grow(first.len as usize), head));
        }
        if !has_room(rest, tail) {
            return Ok((Taken::Grow(rest.len as usize), tail));
        }
        head.clear();
        tail.clear();
        self.outside.read(first, head)?;
        self.outside.read(rest, tail)?;
        Ok((Taken::Large(place), tail))
    }
}
