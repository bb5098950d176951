//! Bytes as a hostile peer may write them, for the fuzzer and for the replay of what it found.

use std::sync::atomic::Ordering::Relaxed;

use mp_channel::{Batch, Ring, RingParts, Segment};

/// More than any record of these rings has: a length that a peer made up was believed.
const BELIEVED: usize = 1 << 26;

/// Both sides' locks are left alone: a lock that a live process seems to hold is waited for.
const LOCKS: [usize; 2] = [128, 384];

/// The input of a target, taken from its front; zeroes behind its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let (taken, rest) = self.0.split_at(self.0.len().min(N));
        bytes[..taken.len()].copy_from_slice(taken);
        self.0 = rest;
        bytes
    }
}

/// What the operations use again and again.
#[derive(Default)]
struct Buffers {
    record: Vec<u8>,
    batch: Batch,
}

/// Runs a program: words to damage, and operations in between, none of which may panic, hang or take much memory.
pub(crate) fn ring(data: &[u8]) {
    let ring = Ring::builder().items(8).bytes(4096).leases(4, 2).create().expect("a small ring");
    let mut buffers = Buffers::default();
    let mut input = Input(data);
    while !input.0.is_empty() {
        let [operation] = input.take();
        match operation % 16 {
            0 | 1 => damage(&ring, &mut input),
            operation => operate(&ring, operation, &mut input, &mut buffers),
        }
        let Buffers { record, batch } = &buffers;
        assert!(record.capacity() < BELIEVED, "a length was believed");
        assert!(batch.iter().map(<[u8]>::len).sum::<usize>() < BELIEVED, "a batch's was");
    }
}

/// Overwrites eight bytes of the header, of the records, or of the table of leases.
fn damage(ring: &Ring, input: &mut Input<'_>) {
    let (at, value) = (u16::from_le_bytes(input.take()), u64::from_le_bytes(input.take()));
    let parts = ring.parts();
    let leases = parts.leases.as_ref().expect("it has leases");
    let (segment, at) = match at >> 13 {
        0 => (&leases.table, usize::from(at)),
        1 | 2 => (&parts.segment, usize::from(at) % 1152),
        _ => (&parts.segment, usize::from(at)),
    };
    let at = at % segment.len() / 8 * 8;
    let is_lock = segment.len() == parts.segment.len() && LOCKS.contains(&at);
    if !is_lock {
        segment.mapping().atomic_u64(at).expect("it is inside").store(value, Relaxed);
    }
}

fn operate(ring: &Ring, operation: u8, input: &mut Input<'_>, buffers: &mut Buffers) {
    let Buffers { record, batch } = buffers;
    match operation {
        2 | 3 => {
            let len = usize::from(u16::from_le_bytes(input.take())) % 6000;
            drop(ring.try_push(&vec![operation; len]));
        }
        4 => drop(ring.try_push_many([&[4; 10][..], &[5; 1000], &[6; 2000], &[]])),
        5 => drop(ring.try_pop(record)),
        6 => drop(ring.try_pop_parts(record, &mut Vec::new())),
        7 => drop(ring.try_pop_many(input.take::<1>()[0].into(), batch)),
        8 | 9 => {
            if let Ok(lease) = ring.try_lease(record) {
                drop(lease.ack());
            }
        }
        10 => drop(ring.try_lease(record)),
        11 => drop(ring.dead_letter(record)),
        12 => drop(ring.arm()),
        13 => drop(ring.try_wait_acked()),
        14 => ring.close(),
        _ => drop((ring.len(), ring.is_full(), ring.stats(), ring.leased())),
    }
}

/// Takes a segment that begins with `data` for a ring, and uses it where that succeeds.
pub(crate) fn attach(data: &[u8]) {
    let good = Ring::builder().bytes(4096).create().expect("a small ring");
    let segment = Segment::create("fuzz", 8192).expect("two pages");
    let len = data.len().min(segment.len());
    segment.mapping().copy_in(0, &data[..len]).expect("it is inside");
    for lock in LOCKS {
        segment.mapping().atomic_u64(lock).expect("it is inside").store(0, Relaxed);
    }
    // The namespace is no secret, and nobody would find it by chance.
    let namespace =
        |segment: &Segment| segment.mapping().atomic_u64(24).expect("it is inside").load(Relaxed);
    let own = namespace(&good.parts().segment);
    segment.mapping().atomic_u64(24).expect("it is inside").store(own, Relaxed);
    let parts = RingParts { segment, ..good.parts().clone() };
    if let Ok(ring) = Ring::attach(parts) {
        let mut buffers = Buffers::default();
        for operation in [15, 5, 2, 6, 4, 7, 12, 14, 5] {
            operate(&ring, operation, &mut Input(&[200, 1]), &mut buffers);
            assert!(buffers.record.capacity() < BELIEVED, "a length was believed");
        }
    }
}
