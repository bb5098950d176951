//! Records on lease: taken out for a time, and delivered again where nobody says that they are done.

pub(crate) mod holder;
pub(crate) mod table;
pub(crate) mod word;

use std::{
    fmt, io, process,
    time::{Duration, Instant},
};

use mp_os::{Deadline, Error, Result, TimeoutError};
use mp_shm::{Segment, SparseSegment};

use self::{
    table::{Claim, Leases},
    word::State,
};
use crate::{
    PopError, PopTimeoutError, Ring, TryPopError,
    inner::{Inner, wait},
    layout::Header,
    pop::{Found, Taken},
};

/// What a ring with [leases](crate::RingBuilder::leases) is made of besides the rest.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaseParts {
    /// Who holds what.
    pub table: Segment,
    /// The records that are held.
    pub records: SparseSegment,
}

/// A record that this process has taken out of a [`Ring`] and answers for, until it [acknowledges](Self::ack) it.
///
/// Dropped without that, or when the process ends, however it does, the record is delivered again, to whoever leases
/// next; as often as the [builder](crate::RingBuilder::leases) was told, and then it is a
/// [dead letter](Ring::dead_letter). A copy of this in a forked child does nothing: the parent holds the record.
///
/// # Examples
///
/// ```
/// use mp_channel::Ring;
///
/// let ring = Ring::builder().leases(16, 3).create()?;
/// ring.push(b"task").unwrap();
/// let mut record = Vec::new();
/// drop(ring.lease(&mut record).unwrap()); // or the process is killed
/// let lease = ring.lease(&mut record).unwrap();
/// assert_eq!((&record[..], lease.deliveries()), (&b"task"[..], 2));
/// assert!(lease.ack()?);
/// assert_eq!(ring.leased().held, 0);
/// # Ok::<(), mp_channel::Error>(())
/// ```
#[must_use = "a lease that is dropped gives the record back"]
pub struct Lease {
    ring: Ring,
    claim: Claim,
    pid: u32,
}

/// How many records of a ring are on lease; see [`Ring::leased`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leased {
    /// Held by a process that lives, or is not yet known to be dead.
    pub held: usize,
    /// Given back, and not yet delivered again.
    pub returned: usize,
    /// Dead letters: delivered as often as allowed, and never acknowledged.
    pub dead: usize,
}

impl Lease {
    /// How often the record was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.claim.word.deliveries()
    }

    /// The record is done with: it is not delivered again. False in a forked child, which holds nothing.
    ///
    /// It happens at one moment: a process that is killed before it has not acknowledged, one that is killed after it has.
    ///
    /// # Errors
    ///
    /// Where the memory of a large record cannot be given back. The record is done with all the same.
    pub fn ack(mut self) -> Result<bool> {
        let acked = self.leases().map_or(Ok(false), |leases| leases.ack(self.claim));
        self.pid = NOBODY;
        self.ring.0.tell_of_ack();
        acked
    }

    /// The table, where this process is the holder.
    fn leases(&self) -> Option<&Leases> {
        self.ring.0.leases.as_ref().filter(|_| self.pid == process::id())
    }
}

/// No process has this number.
const NOBODY: u32 = 0;

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(leases) = self.leases() {
            self.ring.0.give_back(leases, self.claim);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("deliveries", &self.deliveries()).finish_non_exhaustive()
    }
}

/// Only for rings that were built with [leases](crate::RingBuilder::leases); others say
/// [`Unsupported`](std::io::ErrorKind::Unsupported).
impl Ring {
    /// Takes the oldest record out on lease, as soon as there is one and a slot for it: one that came back first.
    ///
    /// What a dead process held comes back when somebody leases or waits, 25 ms later at most. While every slot is taken
    /// this waits like an empty ring does. A closed ring gives what is left, and what may still come back from others.
    ///
    /// # Errors
    ///
    /// As for [`pop`](Self::pop); [`PopError::Os`] with [`StorageFull`](io::ErrorKind::StorageFull) where every slot
    /// holds a dead letter.
    pub fn lease(&self, record: &mut Vec<u8>) -> Result<Lease, PopError> {
        loop {
            if let Some(claim) = self.0.lease(record, Some(Deadline::never()))? {
                return Ok(self.held(claim));
            }
        }
    }

    /// [`lease`](Self::lease) if there is a record and a slot now.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`], else as for [`lease`](Self::lease).
    pub fn try_lease(&self, record: &mut Vec<u8>) -> Result<Lease, TryPopError> {
        let claim = self.0.lease(record, None)?;
        claim.map(|claim| self.held(claim)).ok_or(TryPopError::Empty)
    }

    /// [`lease`](Self::lease), giving up after `timeout`.
    ///
    /// # Errors
    ///
    /// [`PopTimeoutError::TimedOut`], else as for [`lease`](Self::lease).
    pub fn lease_timeout(
        &self,
        record: &mut Vec<u8>,
        timeout: Duration,
    ) -> Result<Lease, PopTimeoutError> {
        self.lease_until(record, Deadline::after(timeout))
    }

    /// [`lease`](Self::lease), giving up at `deadline`.
    ///
    /// # Errors
    ///
    /// As for [`lease_timeout`](Self::lease_timeout).
    pub fn lease_deadline(
        &self,
        record: &mut Vec<u8>,
        deadline: Instant,
    ) -> Result<Lease, PopTimeoutError> {
        self.lease_until(record, Deadline::at(deadline))
    }

    /// [`lease`](Self::lease), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// As for [`lease_timeout`](Self::lease_timeout).
    pub fn lease_until(
        &self,
        record: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<Lease, PopTimeoutError> {
        let claim = self.0.lease(record, Some(deadline))?;
        claim.map(|claim| self.held(claim)).ok_or(PopTimeoutError::TimedOut)
    }

    /// A dead letter, if there is one, on lease: acknowledged it is gone, otherwise it stays one.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory), and [`InvalidData`](io::ErrorKind::InvalidData) where a peer has
    /// damaged the ring.
    pub fn dead_letter(&self, record: &mut Vec<u8>) -> Result<Option<Lease>> {
        let inner = &self.0;
        let leases = inner.leases()?;
        let claim = inner.locked_head(leases, |_| leases.take_dead())?;
        let claim = claim.flatten().map(|claim| inner.read_claim(leases, claim, record));
        Ok(claim.transpose()?.map(|claim| self.held(claim)))
    }

    /// How many records are on lease, at about the same time.
    pub fn leased(&self) -> Leased {
        let counts = self.0.leases.as_ref().map(Leases::counts).unwrap_or_default();
        let count = |state| counts[state as usize];
        Leased {
            held: count(State::Held),
            returned: count(State::Returned),
            dead: count(State::Dead),
        }
    }

    mp_os::family! {
        /// Waits until no record is in the ring or on lease: each was acknowledged, or is a dead letter.
        ///
        /// A record whose holder has died is waited for only as long as it will be delivered again.
        ///
        /// # Errors
        ///
        /// [`Unsupported`](io::ErrorKind::Unsupported) without leases; what `futex(2)` fails with.
        pub fn wait_acked, try_wait_acked, wait_acked_timeout, wait_acked_deadline(self: &Self) -> () = wait_acked_until;
    }

    /// [`wait_acked`](Self::wait_acked), giving up when `deadline` has passed.
    ///
    /// # Errors
    ///
    /// [`TimeoutError::TimedOut`], else as for [`wait_acked`](Self::wait_acked).
    pub fn wait_acked_until(&self, deadline: Deadline) -> Result<(), TimeoutError> {
        let inner = &self.0;
        let leases = inner.leases()?;
        let done = || match inner.is_acked(leases) {
            Ok(false) => None,
            result => Some(result),
        };
        match inner.header().leases.done().wait_for(deadline, done)? {
            Some(result) => Ok(result.map(drop)?),
            None => Err(TimeoutError::TimedOut),
        }
    }

    fn held(&self, claim: Claim) -> Lease {
        Lease { ring: self.clone(), claim, pid: process::id() }
    }
}

impl Inner {
    fn leases(&self) -> Result<&Leases> {
        self.leases.as_ref().ok_or_else(|| {
            let reason = io::Error::new(io::ErrorKind::Unsupported, "it was built without leases");
            Error::new("lease from", "a ring", reason)
        })
    }

    fn lease(
        &self,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<Option<Claim>, PopError> {
        let leases = self.leases()?;
        let bell = self.header().not_empty.bell();
        let attempt = || self.lease_now(leases, bytes, deadline);
        // Without a slot a record in the ring is none for us.
        let appears = || leases.has(State::Free) && self.record_appears();
        wait(bell, deadline, &self.pace.patience, attempt, appears)
    }

    /// One attempt.
    fn lease_now(
        &self,
        leases: &Leases,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<Option<Claim>, PopError> {
        if leases.should_look(&self.header().leases) {
            let claim = self.locked_head(leases, |header| leases.take_over(&header.leases))?;
            if let Some(claim) = claim.flatten() {
                return Ok(Some(self.read_claim(leases, claim, bytes)?));
            }
        }
        if !leases.has(State::Free) {
            return if leases.is_dead() { Err(all_dead().into()) } else { Ok(None) };
        }
        match self.lease_next(leases, bytes, deadline) {
            Err(PopError::Closed) if leases.has(State::Returned) || leases.is_held_elsewhere() => {
                Ok(None)
            }
            result => result,
        }
    }

    /// Takes the next record out of the ring.
    fn lease_next(
        &self,
        leases: &Leases,
        bytes: &mut Vec<u8>,
        deadline: Option<Deadline>,
    ) -> Result<Option<Claim>, PopError> {
        let side = &self.header().head;
        loop {
            let Some(guard) = self.lock_filled(side, deadline)? else { return Ok(None) };
            let head = side.own_position();
            let used = self.used(side, head)?;
            if used.items() == 0 {
                drop(guard);
                return self.check_closed();
            }
            let found = Found { guard, head, used };
            let record = self.records().record(head.units(), used.units())?;
            let taken = self.copy_record(head.units(), record, bytes, 0)?;
            let mut claim = None;
            if !matches!(taken, Taken::Grow(_)) {
                claim = leases.claim(&self.header().leases, head.items(), bytes)?;
                if claim.is_none() {
                    // Another was faster to the last slot: nothing is taken.
                    self.commit_head(found, head, None);
                    return Ok(None);
                }
            }
            if self.settle(found, taken, head.advance(1, record.units()), bytes)? {
                return Ok(claim);
            }
        }
    }

    /// Does `work` under the head lock; `None` where a stopped consumer keeps us from it.
    fn locked_head<T>(
        &self,
        leases: &Leases,
        work: impl FnOnce(&Header) -> T,
    ) -> Result<Option<T>> {
        let header = self.header();
        let Some(guard) = self.lock(&header.head, None)? else { return Ok(None) };
        leases.bury(&header.leases);
        let result = work(header);
        drop(guard);
        // Some may be dead letters now, which nobody waits for.
        header.leases.done().ring_all();
        Ok(Some(result))
    }

    fn read_claim(&self, leases: &Leases, claim: Claim, bytes: &mut Vec<u8>) -> Result<Claim> {
        let read = leases.read(claim, bytes);
        if read.is_err() {
            self.give_back(leases, claim);
        }
        read.map(|()| claim)
    }

    fn give_back(&self, leases: &Leases, claim: Claim) {
        let Header { tail, not_empty, leases: header, .. } = self.header();
        // Pollers are told as of a push: before it is there, under the tail lock. Should that fail, which is not known to
        // happen, the record comes back all the same.
        let guard = self.lock(tail, None);
        let _ = if tail.is_armed() { self.wake_pollers() } else { Ok(()) };
        leases.give_back(claim, header);
        drop(guard);
        not_empty.bell().ring();
        header.done().ring_all();
    }

    /// A slot is free, and a record less is waited for.
    fn tell_of_ack(&self) {
        let Header { not_empty, leases, .. } = self.header();
        leases.done().ring_all();
        // A consumer may wait for a slot; at the end all do, for the last record that could come back.
        if self.header().is_closed() {
            not_empty.bell().ring_all()
        } else {
            not_empty.bell().ring()
        }
    }

    fn is_acked(&self, leases: &Leases) -> Result<bool> {
        if leases.should_look(&self.header().leases) {
            self.locked_head(leases, |_| ())?;
        }
        // In this order: records move from the ring to a slot, and are in both for a moment.
        Ok(self.len() == 0 && !leases.has(State::Held) && !leases.has(State::Returned))
    }
}

#[cold]
fn all_dead() -> Error {
    let reason = "every slot for leases holds a dead letter: take them out";
    Error::new("lease from", "a ring", io::Error::new(io::ErrorKind::StorageFull, reason))
}
