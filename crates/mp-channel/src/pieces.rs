//! Records that come out in two pieces, so that what is large in them is copied once, to where it stays.
//!
//! The word before a record that lies outside the ring has room beside the record's kind: for the length of all parts of the
//! push but the last one.

use mp_os::{Deadline, Result};

use crate::{
    PopError, PopTimeoutError, Ring, TryPopError,
    inner::Inner,
    outside::{Place, check_written, no_memory},
    pop::Taken,
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
    #[inline]
    pub fn pop_parts(&self, head: &mut Vec<u8>, tail: &mut Vec<u8>) -> Result<(), PopError> {
        while !self.0.pop_parts(head, tail, Some(Deadline::never()))? {}
        Ok(())
    }

    /// [`pop_parts`](Self::pop_parts) if there is a record now.
    ///
    /// # Errors
    ///
    /// As for [`try_pop`](Self::try_pop).
    #[inline]
    pub fn try_pop_parts(&self, head: &mut Vec<u8>, tail: &mut Vec<u8>) -> Result<(), TryPopError> {
        if self.0.pop_parts(head, tail, None)? { Ok(()) } else { Err(TryPopError::Empty) }
    }

    /// [`pop_parts`](Self::pop_parts), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`pop_timeout`](Self::pop_timeout).
    #[inline]
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
    #[inline]
    fn pop_parts(
        &self,
        head: &mut Vec<u8>,
        tail: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<bool, PopError> {
        let popped = self.wait_for_record(deadline, || {
            tail.clear();
            loop {
                let (taken, wanted) = self.take_parts(head, tail, deadline)?;
                if taken != Some(0) {
                    return Ok(taken);
                }
                head.clear();
                head.try_reserve(wanted).map_err(|_| no_memory(wanted as u64))?;
            }
        })?;
        Ok(popped.is_some())
    }

    /// One attempt: `Some(0)` where nothing was taken because `head` needs room, for as many bytes as the second number says.
    #[inline]
    fn take_parts(
        &self,
        head: &mut Vec<u8>,
        tail: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<(Option<u32>, usize), PopError> {
        let mut wanted = 0;
        let taken = self.take(deadline, tail, |tail, at, used| {
            if let Some(next) = self.copy_newest(at, used, head) {
                return Ok((Taken::Records, next));
            }
            let record = self.records().record(at.units, used.units)?;
            self.records().prefetch(at.units, used.units);
            let taken = match record {
                Record::Inside(_) => Piece::Head(self.copy_record(at.units, record, head, 0)?),
                Record::Outside => self.copy_pieces(at.units, head, tail)?,
            };
            Ok(match taken {
                Piece::Head(Taken::Grow(len)) => {
                    wanted = len;
                    (Taken::Records, at)
                }
                Piece::Head(taken) | Piece::Tail(taken) => (taken, at.advance(1, record.units())),
            })
        })?;
        Ok((taken, wanted))
    }

    /// Copies the contents of a record outside, unless one of the vectors has no room for its piece.
    #[cold]
    fn copy_pieces(&self, units: u32, head: &mut Vec<u8>, tail: &mut Vec<u8>) -> Result<Piece> {
        let place = self.place(units)?;
        let head_len = self.head_len(units, place)?;
        let (first, rest) = place.split_at(head_len);
        let has_room = |piece: Place, bytes: &Vec<u8>| bytes.capacity() as u64 >= piece.len;
        if !has_room(first, head) || !has_room(rest, tail) {
            // Better an error than so much memory for nothing.
            check_written(&self.outside.file, place.len)?;
        }
        if !has_room(first, head) {
            return Ok(Piece::Head(Taken::Grow(first.len as usize)));
        }
        if !has_room(rest, tail) {
            return Ok(Piece::Tail(Taken::Grow(rest.len as usize)));
        }
        head.clear();
        tail.clear();
        self.outside.read(first, head)?;
        self.outside.read(rest, tail)?;
        Ok(Piece::Tail(Taken::Large(place)))
    }
}

/// Which of the two vectors something is said of.
enum Piece {
    Head(Taken),
    Tail(Taken),
}
