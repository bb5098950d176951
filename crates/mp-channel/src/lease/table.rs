//! The table of leases: who holds which record, how often it was delivered, and its contents.
//!
//! One word of a slot says all that matters, so that each step is one store or exchange of it: a kill leaves the step
//! before it or the step after it.
//!
//! | state | who moves it on |
//! |---|---|
//! | free | a consumer, under the head lock: fills the slot, then *held*, then commits the head |
//! | held | its holder: *free* or *acked* by an ack, *returned* or *dead* without one; another, once the holder is dead |
//! | returned | a consumer, under the head lock: *held*, delivered once more |
//! | dead | who takes dead letters: *held*, as often delivered as before |
//! | acked | its holder, or another once that is dead: *free*, after the memory of a large record is given back |
//!
//! A consumer that was killed between *held* and its commit leaves a record both in the ring and in a slot. It leaves the
//! head lock marked as well, and whoever takes that next frees the slot before anything else: see [`Leases::cancel`].
//! Nobody but a holder touches what it holds without that lock.

use std::{
    io,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Instant,
};

use mp_os::{Error, Result};
use mp_shm::Segment;

use crate::{
    LeaseParts,
    error::damaged,
    layout::{Header, LeaseHeader},
    lease::{
        holder::{Birth, Holder},
        word::{State, Word},
    },
    outside::{check_written, no_memory},
    sys,
};

/// A slot's word, the length of its record in bytes, the position of that in the ring, and the birth of the holder.
type Slot = [AtomicU64; 4];

/// Records up to this length leave their memory to the next one in their slot.
const KEPT_LEN: u64 = 64 << 10;

/// How long a handle goes without looking for dead holders, in nanoseconds.
const LOOK: u64 = 25_000_000;
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Leases {
    parts: LeaseParts,
    count: u32,
    max_deliveries: u32,
    slot_len: u64,
    start: Instant,
    /// When this handle looked for dead holders last, in nanoseconds since `start`, or `NEVER`.
    looked: AtomicU64,
}

/// A slot that this process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) slot: u32,
    pub(crate) word: Word,
}

impl Leases {
    pub(crate) fn create(count: u32, slot_len: u64) -> Result<LeaseParts> {
        let table = Segment::create("mp-ring-leases", count as usize * size_of::<Slot>())?;
        let records = Segment::create_sparse("mp-ring-leased", u64::from(count) * slot_len)?;
        Ok(LeaseParts { table, records })
    }

    /// The table of a ring, whoever made it.
    pub(crate) fn new(parts: LeaseParts, header: &Header) -> Result<Self> {
        let count = u32::try_from(parts.table.len() / size_of::<Slot>()).unwrap_or(0);
        let slot_len = parts.records.len().checked_div(count.into()).unwrap_or(0);
        let max_deliveries = header.leases.max_deliveries();
        if count == 0 || slot_len == 0 || !(1..=Word::MAX_DELIVERIES).contains(&max_deliveries) {
            let reason = io::Error::new(io::ErrorKind::InvalidData, "its leases are damaged");
            return Err(Error::new("attach", "a ring", reason));
        }
        let looked = AtomicU64::new(NEVER);
        Ok(Self { parts, count, max_deliveries, slot_len, start: Instant::now(), looked })
    }

    fn slots(&self) -> &[Slot] {
        let words = self.parts.table.memory().atomics::<AtomicU64>(0, self.count as usize * 4);
        words.unwrap_or(&[]).as_chunks().0
    }

    fn words(&self) -> impl Iterator<Item = (u32, &Slot, Word)> {
        let slots = (0..).zip(self.slots());
        slots.map(|(index, slot)| (index, slot, Word::from_bits(slot[0].load(Acquire))))
    }

    /// How many slots are in each state.
    pub(crate) fn counts(&self) -> [usize; State::COUNT] {
        let mut counts = [0; State::COUNT];
        self.words().for_each(|(_, _, word)| counts[word.state() as usize] += 1);
        counts
    }

    pub(crate) fn has(&self, state: State) -> bool {
        self.words().any(|(_, _, word)| word.state() == state)
    }

    /// Whether every slot holds a dead letter.
    pub(crate) fn is_dead(&self) -> bool {
        self.words().all(|(_, _, word)| word.state() == State::Dead)
    }

    /// Whether another process holds a record, which may come back.
    pub(crate) fn is_held_elsewhere(&self) -> bool {
        let own = std::process::id();
        self.words().any(|(_, _, word)| word.state() == State::Held && word.pid() != own)
    }

    /// Whether it is time to look for records to deliver again.
    pub(crate) fn should_look(&self, header: &LeaseHeader) -> bool {
        if header.is_returned() {
            return true;
        }
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Relaxed);
        let due = looked == NEVER || now.saturating_sub(looked) >= LOOK;
        due && self.looked.compare_exchange(looked, now, Relaxed, Relaxed).is_ok()
    }

    /// Fills a free slot with `bytes`, which are the record at the head `position`; under the head lock, before its commit.
    pub(crate) fn claim(
        &self,
        header: &LeaseHeader,
        position: u32,
        bytes: &[u8],
    ) -> Result<Option<Claim>> {
        let free = self.words().find(|(_, _, word)| word.state() == State::Free);
        let Some((index, slot, old)) = free else { return Ok(None) };
        let len = bytes.len() as u64;
        if len > self.slot_len {
            return Err(damaged("lease from"));
        }
        self.parts.records.write_at(self.offset(index), bytes)?;
        let holder = Holder::current();
        slot[1].store(len, Relaxed);
        slot[2].store(position.into(), Relaxed);
        slot[3].store(holder.birth.to_bits(), Relaxed);
        // Before the word: whoever finds us killed from here on looks at this slot.
        header.set_claiming(index);
        let word = old.held_by(holder.pid, 1);
        slot[0].store(word.to_bits(), Release);
        Ok(Some(Claim { slot: index, word }))
    }

    /// Frees the slot of a consumer that was killed before its commit, which the head `position` shows; under the head lock
    /// and before anything else.
    pub(crate) fn cancel(&self, header: &LeaseHeader, position: u32) {
        let Some(slot) = header.claiming().and_then(|index| self.slots().get(index)) else {
            return;
        };
        let word = Word::from_bits(slot[0].load(Acquire));
        if word.state() == State::Held && slot[2].load(Relaxed) == u64::from(position) {
            slot[0].store(word.moved_to(State::Free).to_bits(), Release);
        }
    }

    /// Takes over a record that came back, or whose holder is dead; under the head lock.
    pub(crate) fn take_over(&self, header: &LeaseHeader) -> Option<Claim> {
        // First, because one that comes back meanwhile is announced after it is there.
        header.set_returned(false);
        let (index, slot, word) =
            self.words().find(|(_, _, word)| word.state() == State::Returned)?;
        // There may be more.
        header.set_returned(true);
        self.take_slot(index, slot, word, word.deliveries() + 1)
    }

    /// Takes over a dead letter; under the head lock.
    pub(crate) fn take_dead(&self) -> Option<Claim> {
        let (index, slot, word) = self.words().find(|(_, _, word)| word.state() == State::Dead)?;
        self.take_slot(index, slot, word, word.deliveries())
    }

    fn take_slot(&self, index: u32, slot: &Slot, old: Word, deliveries: u32) -> Option<Claim> {
        let holder = Holder::current();
        slot[3].store(holder.birth.to_bits(), Relaxed);
        let word = old.held_by(holder.pid, deliveries);
        let claim = Claim { slot: index, word };
        slot[0].compare_exchange(old.to_bits(), word.to_bits(), AcqRel, Relaxed).ok()?;
        Some(claim)
    }

    /// Takes from dead holders what they hold; under the head lock, so that what was not committed is free already.
    pub(crate) fn bury(&self, header: &LeaseHeader) {
        let mut known = Holder::current();
        let mut is_dead = false;
        for (index, slot, word) in self.words() {
            if !matches!(word.state(), State::Held | State::Acked) {
                continue;
            }
            let birth = Birth::from_bits(slot[3].load(Relaxed));
            let holder = Holder { pid: word.pid(), birth };
            if holder != known {
                (known, is_dead) = (holder, holder.is_dead());
            }
            if is_dead && word.state() == State::Held {
                // Where it fails, a peer damages the table.
                let _ = self.step(slot, word, self.unacked(word));
                header.set_returned(true);
            } else if is_dead && self.give_back_memory(index, slot).is_ok() {
                let _ = self.step(slot, word, State::Free);
            }
        }
    }

    /// What becomes of a held record that nobody acknowledges.
    fn unacked(&self, word: Word) -> State {
        if word.deliveries() >= self.max_deliveries { State::Dead } else { State::Returned }
    }

    fn step(&self, slot: &Slot, from: Word, to: State) -> bool {
        let to = from.moved_to(to).to_bits();
        slot[0].compare_exchange(from.to_bits(), to, AcqRel, Relaxed).is_ok()
    }

    /// The holder has done with the record; false where it does not hold it any more.
    pub(crate) fn ack(&self, claim: Claim) -> Result<bool> {
        let Some(slot) = self.slots().get(claim.slot as usize) else { return Ok(false) };
        if slot[1].load(Relaxed) <= KEPT_LEN {
            return Ok(self.step(slot, claim.word, State::Free));
        }
        let acked = self.step(slot, claim.word, State::Acked);
        if acked {
            self.give_back_memory(claim.slot, slot)?;
            self.step(slot, claim.word.moved_to(State::Acked), State::Free);
        }
        Ok(acked)
    }

    /// The holder gives the record back; whether it is to be delivered again.
    pub(crate) fn give_back(&self, claim: Claim, header: &LeaseHeader) -> bool {
        let Some(slot) = self.slots().get(claim.slot as usize) else { return false };
        let to = self.unacked(claim.word);
        let again = self.step(slot, claim.word, to) && to == State::Returned;
        if again {
            header.set_returned(true);
        }
        again
    }

    /// Puts the record of a claim in the place of what `bytes` held.
    pub(crate) fn read(&self, claim: Claim, bytes: &mut Vec<u8>) -> Result<()> {
        let slot = self.slots().get(claim.slot as usize).ok_or_else(|| damaged("lease from"))?;
        let len = slot[1].load(Relaxed);
        if len > self.slot_len {
            return Err(damaged("lease from"));
        }
        check_written(&self.parts.records, len)?;
        bytes.clear();
        // At most the length of a slot, which a record had to fit into a process for.
        let len = len as usize;
        bytes.try_reserve(len).map_err(|_| no_memory(len as u64))?;
        sys::read_at(&self.parts.records, self.offset(claim.slot), len, bytes)
            .map_err(|error| Error::new("read", "a leased record", error))
    }

    fn offset(&self, slot: u32) -> u64 {
        u64::from(slot) * self.slot_len
    }

    fn give_back_memory(&self, index: u32, slot: &Slot) -> Result<()> {
        let len = slot[1].load(Relaxed).min(self.slot_len);
        let start = self.offset(index);
        if len == 0 { Ok(()) } else { self.parts.records.punch_hole(start..start + len) }
    }
}
