//! A peer that writes anything anywhere: errors or wrong records, but no panic, no wait beyond a deadline, no bad access.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mp_channel::{Batch, Ring};
use mp_testkit::{Random, fork_child, isolated};

/// A word of the kind that does harm, or a record's.
fn harm(random: &mut Random) -> u64 {
    match random.below(7) {
        0 => 1 << 56 | (random.number() >> 40),
        1 => 2 << 56 | (random.number() >> 40 & 0xfff),
        _ => random.harm(),
    }
}

/// All that a victim can do, none of which may panic or hang.
fn use_it(ring: &Ring, record: &mut Vec<u8>, batch: &mut Batch, random: &mut Random) {
    let soon = Duration::from_micros(100);
    match random.number() % 8 {
        0 => drop(ring.try_push(&[1; 20])),
        1 => drop(ring.push_timeout(&[2; 900], soon)),
        2 => drop(ring.push_timeout(&[3; 5000], soon)),
        3 => drop(ring.try_push_many([&[4; 10][..], &[5; 1000], &[6; 2000]])),
        4 => drop(ring.try_pop_many(5, batch)),
        5 if random.number().is_multiple_of(2) => drop(ring.try_pop_parts(record, &mut Vec::new())),
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
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
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
                let at = match random.number() % 4 {
                    0 => [144, 256, 400, 512, 152][random.number() as usize % 5],
                    _ => 4096 + random.number() as usize % 512 * 8,
                };
                mapping.atomic_u64(at).unwrap().store(harm(&mut random), Relaxed);
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
            let mut random = Random::new(88_172_645_463_325_252);
            loop {
                let at = random.number() as usize % (mapping.len() / 8) * 8;
                let word = harm(&mut random);
                mapping
                    .atomic_u64(if random.number().is_multiple_of(2) { at } else { at % 1024 })
                    .unwrap()
                    .store(word, Relaxed);
            }
        });
        let mut random = Random::new(1234);
        let (mut record, mut batch) = (Vec::new(), Batch::new());
        for _ in 0..1500 {
            use_it(&ring, &mut record, &mut batch, &mut random);
            assert!(record.capacity() < 1 << 26, "a length was believed");
        }
        scribbler.kill();
    });
}
