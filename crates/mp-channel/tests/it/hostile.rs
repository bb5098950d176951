//! A peer that writes anything anywhere: errors or wrong records, but no panic, no wait beyond a deadline, no bad access.

use std::{
    fs, process,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use mp_channel::{Batch, Lease, Ring};
use mp_testkit::{Random, fork_child, isolated, wait_for_kill};

/// Longer than anything here takes.
const LATER: Duration = Duration::from_secs(30);
/// How long victims go on.
const LONG_ENOUGH: Duration = Duration::from_millis(600);

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

/// A word of a lease: in any state, of a process that lives, or does not, or never did.
fn lease_word(random: &mut Random) -> u64 {
    let pid = match random.below(3) {
        0 => u64::from(process::id()),
        1 => 1,
        _ => random.below(1 << 22),
    };
    random.below(8) | pid << 3 | random.below(5) << 25
}

/// Writes over the table of leases, and sometimes over the ring's header, until it is killed.
fn scribble_over_leases(ring: &Ring) -> ! {
    let parts = ring.parts();
    let table = &parts.leases.as_ref().unwrap().table;
    let mut random = Random::new(7_046_029_254_386_353_131);
    loop {
        let (segment, len) = match random.below(8) {
            0 => (&parts.segment, 1152),
            _ => (table, table.len()),
        };
        let at = random.below(len as u64 / 8) as usize * 8;
        let word = if random.below(2) == 0 { lease_word(&mut random) } else { harm(&mut random) };
        segment.mapping().atomic_u64(at).unwrap().store(word, Relaxed);
        (0..random.below(30)).for_each(|_| random.dawdle());
    }
}

/// All that a consumer can do.
fn lease_it(ring: &Ring, record: &mut Vec<u8>, held: &mut Vec<Lease>, random: &mut Random) {
    let soon = Duration::from_micros(200);
    match random.below(9) {
        0 => drop(ring.push_timeout(&[1; 40], soon)),
        1 => drop(ring.push_timeout(&vec![2; 9000], soon)),
        2 => held.extend(ring.try_lease(record)),
        3 | 4 => held.extend(ring.lease_timeout(record, soon)),
        5 => drop(held.pop()),
        6 => drop(held.pop().map(Lease::ack)),
        7 => drop(ring.dead_letter(record).map(|letter| letter.map(Lease::ack))),
        _ => drop((ring.leased(), ring.wait_acked_timeout(soon), ring.len())),
    }
    assert!(record.capacity() < 1 << 26, "a length was believed");
    held.truncate(20);
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    4096 * statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
}

/// Consumers take records on lease, acknowledge them, give them back and die, while a process writes over the table.
#[test]
fn a_peer_that_scribbles_over_leases() {
    isolated(|| {
        let ring = Ring::builder().items(16).bytes(4096).leases(6, 3).create().unwrap();
        let scribbler = fork_child(|| scribble_over_leases(&ring));
        let use_it = |seed, long: Duration| {
            let (mut random, start, before) = (Random::new(seed), Instant::now(), resident());
            let (mut record, mut held) = (Vec::new(), Vec::new());
            while start.elapsed() < long {
                lease_it(&ring, &mut record, &mut held, &mut random);
            }
            assert!(resident() < before + (64 << 20), "memory without end");
            held
        };
        let victims = [1, 2].map(|seed| {
            fork_child(|| {
                drop(use_it(seed, LONG_ENOUGH));
                0
            })
        });
        let mut random = Random::new(3);
        for seed in 10..30 {
            let dies = fork_child(|| {
                let _held = use_it(seed, LONG_ENOUGH / 100);
                wait_for_kill()
            });
            (0..random.below(200)).for_each(|_| random.dawdle());
            dies.kill();
        }
        for victim in victims {
            let ended = victim.wait_timeout(LATER).unwrap_or_else(|_| panic!("stuck"));
            assert!(ended.success(), "{ended}");
        }
        scribbler.kill();
    });
}
