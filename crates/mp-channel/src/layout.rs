//! What lies where in a ring's segment, and what of it may be believed.
//!
//! **Cache lines.** One that both sides use goes from core to core, which takes longer than all else that a push or a pop does.
//! These are:
//!
//! | line | goes to the other side |
//! |---|---|
//! | the records' own | in a conversation not at all ([`Newest`]); in a stream twice in each lap, asked for ahead by either side ([`Records::prepare`](crate::records::Records::prepare)) |
//! | the tail's [`Shown`] | when a consumer looks, which it does seldom while several records come at a time ([`Pace`](crate::pace::Pace)) |
//! | the head's [`Shown`] | when a producer has filled the ring as far as it knows: once a lap, or as seldom if the ring is full |
//!
//! [`Identity`] and both [`Bell`]s are read by everybody and written when somebody goes to sleep, is woken, or closes the
//! ring, so all cores have them. What else there is of a [`Side`] moves only between producers, or between consumers.

use std::{
    io,
    os::unix::fs::MetadataExt,
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
};

use mp_os::{Error, Result};
use mp_sync::{Doorbell, LeafLock};

use crate::{newest::Newest, position::Position};

/// The bytes of the ring begin here, on a page of their own.
pub(crate) const BYTES: usize = 4096;

/// "mpring" and the version of this layout.
const MAGIC: u64 = u64::from_ne_bytes(*b"mpring\0\x04");

/// The beginning of a ring's segment.
///
/// Each part has two cache lines of its own, because processors fetch them in pairs.
#[repr(C)]
pub(crate) struct Header {
    identity: Identity,
    /// Where producers work.
    pub(crate) tail: Side,
    /// Where consumers work.
    pub(crate) head: Side,
    /// Consumers sleep here.
    pub(crate) not_empty: Bell,
    /// Producers sleep here.
    pub(crate) not_full: Bell,
    /// Used where the ring has leases.
    pub(crate) leases: LeaseHeader,
}

/// Written once by the creator, by whoever closes the ring, and when a conversation begins or ends.
#[repr(C, align(128))]
struct Identity {
    magic: AtomicU64,
    items: AtomicU64,
    bytes: AtomicU64,
    pid_namespace: AtomicU64,
    closed: AtomicU32,
    /// A hint for producers: consumers find one record at a time.
    conversation: AtomicU32,
}

/// One end of the ring. What the other side never looks at, and all but `lock` is used under it only.
#[repr(C, align(128))]
pub(crate) struct Side {
    lock: LeafLock,
    /// The position once more. Whoever looks at what is [`Shown`] takes it away from the core that shows it, and a holder of
    /// the lock need not.
    own: AtomicU64,
    /// Tail only: a poller wants to be told of the next record.
    armed: AtomicU32,
    /// Tail only: there may be a [`Newest`] copy.
    copied: AtomicU32,
    /// Where the other side was when this one looked last, which saves looking.
    seen: AtomicU64,
    /// Tail only: the position behind the newest record that lies outside the ring.
    outside: AtomicU64,
    /// Half rounds of the position's number of items, of which the last bit is the first one of that number.
    rounds: AtomicU64,
    /// How often a holder of the lock was killed.
    deaths: AtomicU32,
    shown: Shown,
}

/// What the other side looks at while it waits: apart, so that the next one to lock finds the lock in its own cache.
#[repr(C, align(128))]
struct Shown {
    position: AtomicU64,
    /// The core on which this side worked last: a hint for those who wait for it.
    cpu: AtomicU32,
    /// Tail only.
    newest: Newest,
}

#[repr(C, align(128))]
pub(crate) struct Bell(AtomicU32);

/// What the holders of leases share besides their table.
#[repr(C, align(128))]
pub(crate) struct LeaseHeader {
    max_deliveries: AtomicU32,
    /// One more than the slot that a consumer filled last, or was about to; used under the head lock.
    claiming: AtomicU32,
    /// A record may have come back.
    returned: AtomicU32,
    /// Whoever waits until all is acknowledged sleeps here.
    done: AtomicU32,
}

const _: () = assert!(size_of::<Header>() <= BYTES);

/// The header's constants, checked once and kept in private memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The most records at a time, 1 to 2^31.
    pub(crate) items: u32,
    /// The length of the ring in bytes, a power of two.
    pub(crate) bytes: usize,
}

impl Shape {
    /// The length of the ring in [units](Position).
    #[inline]
    pub(crate) fn units(self) -> u32 {
        // At most 2^31 units, which `check` and the builder make sure of.
        (self.bytes / Position::UNIT) as u32
    }
}

impl Header {
    pub(crate) fn initialize(&self, shape: Shape) -> Result<()> {
        let Identity { magic, items, bytes, pid_namespace, .. } = &self.identity;
        items.store(shape.items.into(), Relaxed);
        bytes.store(shape.bytes as u64, Relaxed);
        pid_namespace.store(own_pid_namespace()?, Relaxed);
        magic.store(MAGIC, Relaxed);
        Ok(())
    }

    /// The shape of a ring that somebody else made in a segment of `len` bytes.
    pub(crate) fn check(&self, len: usize) -> Result<Shape> {
        let refuse = |reason: &'static str| {
            Err(Error::new("attach", "a ring", io::Error::new(io::ErrorKind::InvalidData, reason)))
        };
        let Identity { magic, items, bytes, pid_namespace, .. } = &self.identity;
        if magic.load(Relaxed) != MAGIC {
            return refuse("the segment holds no ring, or one of another version");
        }
        let items = u32::try_from(items.load(Relaxed)).unwrap_or(0);
        let bytes = usize::try_from(bytes.load(Relaxed)).unwrap_or(0);
        if !Position::valid_items(items) || !Position::valid_bytes(bytes) || len != BYTES + bytes {
            return refuse("its header is damaged");
        }
        if pid_namespace.load(Relaxed) != own_pid_namespace()? {
            return refuse("it belongs to another PID namespace, where thread numbers differ");
        }
        Ok(Shape { items, bytes })
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.identity.closed.load(Acquire) != 0
    }

    /// Whether [`Newest`] is worth its while.
    #[inline]
    pub(crate) fn is_conversation(&self) -> bool {
        self.identity.conversation.load(Relaxed) != 0
    }

    #[inline]
    pub(crate) fn set_conversation(&self, conversation: bool) {
        if self.is_conversation() != conversation {
            self.identity.conversation.store(conversation.into(), Relaxed);
        }
    }

    #[inline]
    pub(crate) fn closed(&self) -> &AtomicU32 {
        &self.identity.closed
    }
}

impl Side {
    #[inline]
    pub(crate) fn lock(&self) -> &LeafLock {
        &self.lock
    }

    #[inline]
    pub(crate) fn position(&self) -> Position {
        Position::from_bits(self.shown.position.load(Acquire))
    }

    /// The position for this side itself: under the lock the same, otherwise where it was at some time.
    #[inline]
    pub(crate) fn own_position(&self) -> Position {
        Position::from_bits(self.own.load(Relaxed))
    }

    /// Finds out how far a killed holder of the lock has come.
    pub(crate) fn recover(&self) {
        self.own.store(self.shown.position.load(Acquire), Relaxed);
    }

    /// Commits.
    #[inline]
    pub(crate) fn commit(&self, position: Position) {
        let rounds = self.rounds.load(Relaxed);
        if rounds & 1 != u64::from(position.items() >> 31) {
            // Killed before the commit, we leave one too many, which its last bit tells.
            self.rounds.store(rounds.wrapping_add(1), Relaxed);
        }
        self.shown.position.store(position.to_bits(), Release);
        self.own.store(position.to_bits(), Relaxed);
    }

    #[inline]
    pub(crate) fn seen(&self) -> Position {
        Position::from_bits(self.seen.load(Relaxed))
    }

    #[inline]
    pub(crate) fn set_seen(&self, other: Position) {
        self.seen.store(other.to_bits(), Relaxed);
    }

    #[inline]
    pub(crate) fn outside(&self) -> Position {
        Position::from_bits(self.outside.load(Relaxed))
    }

    /// Notes the end of a record that lies outside the ring.
    pub(crate) fn set_outside(&self, end: Position) {
        self.outside.store(end.to_bits(), Relaxed);
    }

    /// How many records have passed since the ring was made.
    pub(crate) fn total(&self) -> u64 {
        let items = self.position().items();
        let rounds = self.rounds.load(Relaxed);
        let rounds = rounds - (rounds & 1 ^ u64::from(items >> 31)).min(rounds);
        rounds >> 1 << 32 | u64::from(items)
    }

    pub(crate) fn deaths(&self) -> u32 {
        self.deaths.load(Relaxed)
    }

    pub(crate) fn note_death(&self) {
        self.deaths.store(self.deaths().wrapping_add(1), Relaxed);
    }

    #[inline]
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.load(Relaxed) != 0
    }

    pub(crate) fn set_armed(&self, armed: bool) {
        self.armed.store(armed.into(), Relaxed);
    }

    #[inline]
    pub(crate) fn newest(&self) -> &Newest {
        &self.shown.newest
    }

    /// Before a commit of one record, which is to end at `tail`: once more beside it.
    #[inline(never)]
    pub(crate) fn set_newest(&self, tail: Position, record: &[u8]) {
        // Marked before and cleared after, so that no copy is ever forgotten.
        self.copied.store(1, Relaxed);
        self.shown.newest.set(tail, record);
    }

    /// Before any other commit: that nothing is there.
    #[inline]
    pub(crate) fn forget_newest(&self) {
        if self.copied.load(Relaxed) != 0 {
            self.shown.newest.clear();
            self.copied.store(0, Release);
        }
    }

    #[inline]
    pub(crate) fn cpu(&self) -> u32 {
        self.shown.cpu.load(Relaxed)
    }

    /// Notes the core now and then: where a commit moves the side on from `position`.
    #[inline]
    pub(crate) fn note_cpu(&self, position: Position) {
        const SELDOM: u32 = 64;
        if position.items().is_multiple_of(SELDOM) {
            self.shown.cpu.store(mp_sync::current_cpu(), Relaxed);
        }
    }
}

impl Bell {
    #[inline]
    pub(crate) fn bell(&self) -> &Doorbell {
        Doorbell::from_atomic(&self.0)
    }
}

impl LeaseHeader {
    pub(crate) fn max_deliveries(&self) -> u32 {
        self.max_deliveries.load(Relaxed)
    }

    pub(crate) fn set_max_deliveries(&self, max: u32) {
        self.max_deliveries.store(max, Relaxed);
    }

    /// The slot that was to be filled last.
    pub(crate) fn claiming(&self) -> Option<usize> {
        Some(self.claiming.load(Relaxed).checked_sub(1)? as usize)
    }

    pub(crate) fn set_claiming(&self, slot: u32) {
        // Releasing, so that what was written before is seen with it.
        self.claiming.store(slot.wrapping_add(1), Release);
    }

    pub(crate) fn is_returned(&self) -> bool {
        self.returned.load(Relaxed) != 0
    }

    pub(crate) fn set_returned(&self, returned: bool) {
        self.returned.store(returned.into(), SeqCst);
    }

    pub(crate) fn done(&self) -> &Doorbell {
        Doorbell::from_atomic(&self.done)
    }
}

fn own_pid_namespace() -> Result<u64> {
    let path = "/proc/self/ns/pid";
    let file = std::fs::metadata(path)
        .map_err(|error| Error::new("identify", format!("the PID namespace `{path}`"), error))?;
    Ok(file.ino())
}

#[cfg(test)]
mod tests {
    use mp_shm::Segment;

    use super::*;
    use crate::sys::Memory;

    #[test]
    fn totals_go_beyond_the_positions() {
        let memory = Memory::new(Segment::create("header", BYTES).unwrap()).unwrap();
        let side = &memory.header().tail;
        let mut position = Position::default();
        let mut total = 0;
        for step in [1, u32::MAX / 2, 5, u32::MAX / 2, 3, 1 << 31, 1 << 30, 1 << 31, 7] {
            position = position.advance(step, 0);
            side.commit(position);
            total += u64::from(step);
            assert_eq!(side.total(), total);
        }
        // Somebody was killed right before its commit went into the next half round.
        let rounds = side.rounds.load(Relaxed);
        side.rounds.store(rounds + 1, Relaxed);
        assert_eq!(side.total(), total);
    }
}
