//! A peer that writes anything anywhere: errors or wrong records, but no panic, no wait beyond a deadline, no bad access.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mp_channel::{Batch, Ring};
use mp_testkit::{fork_child, isolated};

use crate::random::Random;

impl Random {
    /// A word of the kind that does harm: small, huge, a power of two, a record's, or anything.
    fn word(&mut self) -> u64 {
        let random = self.next();
        match random % 7 {
            0 => random >> 56,
            1 => u64::MAX - (random >> 58),
            2 => 1 << (random >> 58),
            3 => 1 << 56 | (random >> 40),
            4 => 2 << 56 | (random >> 40 & 0xfff),
            5 => random >> 32,
            _ => random,
        }
    }
}

/// All that a victim can do, none of which may panic or hang.
fn use_it(ring: &Ring, record: &mut Vec<u8>, batch: &mut Batch, random: &mut Random) {
    let soon = Duration::from_micros(100);
    match random.next() % 8 {
        0 => drop(ring.try_push(&[1; 20])),
        1 => drop(ring.push_timeout(&[2; 900], soon)),
        2 => drop(ring.push_timeout(&[3; 5000], soon)),
        3 => drop(ring.try_push_many([&[4; 10][..], &[5; 1000], &[6; 2000]])),
        4 => drop(ring.try_pop_many(5, batch)),
        5 if random.next().is_multiple_of(2) => drop(ring.try_pop_parts(record, &mut Vec::new())),
        5 => drop(ring.pop_timeout(record, soon)),
        6 => drop((ring.len(), ring.is_full(), ring.is_closed())),
        _ => drop(ring.try_pop(record)),
    }
    assert!(batch.iter().map(<[u8]>::len).sum::<usize>() <= 1 << 20);
}

/// Damages one word after the other, positions, records and all, between the victim's operations.
#[test]
fn damaged_words() {
    isolated(|| {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut record, mut batch) = (Vec::new(), Batch::new());
        for round in 0..300 {
            let ring = Ring::builder().items(16).bytes(4096).create().unwrap();
            let mapping = ring.parts().segment.mapping();
            for number in 0..3 {
                ring.push(&vec![number; 200 * usize::from(number)]).unwrap();
                ring.push(&[number; 2000]).unwrap();
            }
            for _ in 0..20 {
                // The header's locks are left alone: a lock that a live process seems to hold is waited for.
                let at = match random.next() % 4 {
                    0 => [136, 256, 392, 512, 144][random.next() as usize % 5],
                    _ => 4096 + random.next() as usize % 512 * 8,
                };
                mapping.atomic_u64(at).unwrap().store(random.word(), Relaxed);
                use_it(&ring, &mut record, &mut batch, &mut random);
                assert!(record.capacity() < 1 << 26, "round {round}: a length was believed");
            }
        }
    });
}

/// A process that writes all over the segment, locks included, while the victim works.
#[test]
fn a_peer_that_scribbles() {
    isolated(|| {
        let ring = Ring::builder().items(16).bytes(4096).create().unwrap();
        let scribbler = fork_child(|| {
            let mapping = ring.parts().segment.mapping();
            let mut random = Random(88_172_645_463_325_252);
            loop {
                let at = random.next() as usize % (mapping.len() / 8) * 8;
                let word = random.word();
                mapping
                    .atomic_u64(if random.next().is_multiple_of(2) { at } else { at % 1024 })
                    .unwrap()
                    .store(word, Relaxed);
            }
        });
        let mut random = Random(1234);
        let (mut record, mut batch) = (Vec::new(), Batch::new());
        for _ in 0..1500 {
            use_it(&ring, &mut record, &mut batch, &mut random);
            assert!(record.capacity() < 1 << 26, "a length was believed");
        }
        scribbler.kill();
    });
}
