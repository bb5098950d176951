//! A peer that writes anything anywhere: errors, wrong values and time-outs, but no panic, no access out of bounds, no
//! memory without end, and nobody who waits once the peer has stopped.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use mp_shm::Segment;
use mp_sync::{
    Barrier, BoundedSemaphore, Condvar, Doorbell, Event, LeafLock, LockError, Mutex, Once, Recover,
    ReentrantLock, RwLock, Semaphore,
};
use mp_testkit::{Random, fork_child, isolated};

use crate::sweep::LATER;

/// The words of the memory, of which an object takes the last ones.
const ALL: usize = 1024;
/// What stands in the others.
const UNTOUCHED: u64 = 0x5afe_5afe_5afe_5afe;
/// How long the victim goes on; the last operation may take longer.
const LONG_ENOUGH: Duration = Duration::from_millis(300);
const SOON: Duration = Duration::from_micros(200);

/// A word of the kind that does harm, that of a lock, or another one of the object.
fn harm(words: &[AtomicU64], random: &mut Random) -> u64 {
    let own = u64::from(std::process::id());
    match random.below(9) {
        0 => 0,
        1 => own | (random.below(4) << 30),
        2 => own << 32 | random.number() >> 32,
        3 => words[random.below(words.len() as u64) as usize].load(Relaxed),
        _ => random.harm(),
    }
}

/// Writes into `words` for ever, with pauses in which the victim sees them as they are.
fn scribble(words: &[AtomicU64]) -> ! {
    let mut random = Random::new(88_172_645_463_325_252);
    loop {
        for _ in 0..random.below(40) {
            let word = harm(words, &mut random);
            words[random.below(words.len() as u64) as usize].store(word, Relaxed);
        }
        if random.below(4) == 0 {
            words.iter().for_each(|word| word.store(0, Relaxed));
        }
        random.dawdle();
    }
}

/// The memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    4096 * statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
}

/// Has a process use what lies in `count` words while another one writes into them.
fn survives(name: &str, count: usize, use_it: impl Fn(&[AtomicU64], &mut Random)) {
    let segment = Segment::create("mp-sync-test", 8 * ALL).unwrap();
    let (others, words) =
        segment.mapping().atomics::<AtomicU64>(0, ALL).unwrap().split_at(ALL - count);
    others.iter().for_each(|word| word.store(UNTOUCHED, Relaxed));
    let journal = Segment::create("mp-sync-test", 8).unwrap();
    let operations = journal.mapping().atomic_u64(0).unwrap();

    let scribbler = fork_child(|| scribble(words));
    let victim = fork_child(|| {
        let mut random = Random::new(1234);
        let (start, before) = (Instant::now(), resident());
        while start.elapsed() < LONG_ENOUGH {
            use_it(words, &mut random);
            operations.fetch_add(1, Relaxed);
        }
        assert!(resident() < before + (16 << 20), "memory without end");
        0
    });
    let ended = victim.wait_timeout(LATER).unwrap_or_else(|_| panic!("{name}: stuck"));
    assert!(ended.success(), "{name}: {ended}");
    scribbler.kill();
    assert!(others.iter().all(|word| word.load(Relaxed) == UNTOUCHED), "{name}: out of bounds");
    println!("{name}: {} operations while a peer wrote anything", operations.load(Relaxed));
    assert!(operations.load(Relaxed) > 0);

    // What is as new works as new.
    words.iter().for_each(|word| word.store(0, Relaxed));
    let mut random = Random::new(4321);
    for _ in 0..20 {
        use_it(words, &mut random);
    }
}

/// Whatever the outcome is: it is used as one would, and given back.
fn end<G: Recover, E>(locked: Result<G, LockError<G, E>>, change: impl FnOnce(&mut G)) {
    if let Ok(mut guard) = locked.or_else(LockError::recover) {
        change(&mut guard);
    }
}

#[test]
fn leaf_lock_and_doorbell() {
    isolated(|| {
        survives("leaf lock and doorbell", 2, |words, random| {
            // Three words of 32 bits.
            let lock = LeafLock::from_atomics(halves(&words[0]));
            let bell = Doorbell::from_atomic(&halves(&words[1])[0]);
            match random.below(4) {
                0 => drop(lock.try_lock()),
                1 => drop(lock.lock_timeout(SOON).map(|guard| (drop(guard), bell.ring()))),
                2 => bell.ring_all(),
                _ => drop(bell.wait_for(mp_sync::Deadline::after(SOON), || None::<()>)),
            }
        })
    });
}

/// The halves of a word, as the objects of this crate have them.
fn halves(word: &AtomicU64) -> &[std::sync::atomic::AtomicU32; 2] {
    // SAFETY: as long and as aligned, and made of atomic integers as well.
    unsafe { &*std::ptr::from_ref(word).cast() }
}

#[test]
fn mutex() {
    isolated(|| {
        survives("mutex", Mutex::<[u64; 3]>::WORDS, |words, random| {
            let mutex = Mutex::<[u64; 3]>::attach(words).unwrap();
            match random.below(4) {
                0 => end(mutex.try_lock(), |guard| guard[0] ^= guard[1]),
                1 => mutex.clear_poison(),
                _ => end(mutex.lock_timeout(SOON), |guard| {
                    guard[1] = 7;
                    guard.commit();
                }),
            }
        })
    });
}

#[test]
fn rwlock() {
    isolated(|| {
        survives("read-write lock", RwLock::<u64>::words(3), |words, random| {
            let lock = RwLock::<u64>::attach(words).unwrap();
            match random.below(4) {
                0 => end(lock.try_read(), |_| {}),
                1 => end(lock.try_write(), |guard| **guard = 1),
                2 => end(lock.read_timeout(SOON), |_| {}),
                _ => end(lock.write_timeout(SOON), |guard| **guard = 2),
            }
        })
    });
}

#[test]
fn reentrant_lock() {
    isolated(|| {
        survives("reentrant lock", ReentrantLock::WORDS, |words, random| {
            let lock = ReentrantLock::attach(words).unwrap();
            match random.below(3) {
                0 => end(lock.try_lock(), |_| {}),
                1 => end(lock.lock_timeout(SOON), |guard| {
                    guard.depth();
                }),
                _ => end(lock.lock_timeout(SOON), |_| end(lock.lock_timeout(SOON), |_| {})),
            }
        })
    });
}

fn use_semaphore(semaphore: Semaphore<'_>, random: &mut Random) {
    match random.below(6) {
        0 => drop(semaphore.try_acquire()),
        1 => drop(semaphore.release()),
        2 => drop(semaphore.release_many(random.number())),
        3 => drop(semaphore.acquire_timeout(SOON).map(mp_sync::Permit::forget)),
        4 => drop(semaphore.available()),
        _ => drop(semaphore.acquire_timeout(SOON)),
    }
}

#[test]
fn semaphore() {
    isolated(|| {
        survives("semaphore", Semaphore::words(3), |words, random| {
            use_semaphore(Semaphore::attach(words).unwrap(), random);
        })
    });
}

#[test]
fn bounded_semaphore() {
    isolated(|| {
        survives("bounded semaphore", BoundedSemaphore::words(2), |words, random| {
            use_semaphore(*BoundedSemaphore::attach(words).unwrap(), random);
        })
    });
}

#[test]
fn condvar() {
    let count = Condvar::words(3) + Mutex::<u64>::WORDS;
    isolated(|| {
        survives("condition variable", count, |words, random| {
            let (first, rest) = words.split_at(Condvar::words(3));
            let (condvar, mutex) =
                (Condvar::attach(first).unwrap(), Mutex::<u64>::attach(rest).unwrap());
            match random.below(4) {
                0 => drop(condvar.notify_one()),
                1 => drop(condvar.notify_all()),
                _ => {
                    let Ok(guard) = mutex.lock_timeout(SOON).or_else(LockError::recover) else {
                        return;
                    };
                    drop(condvar.wait_timeout(guard, SOON));
                }
            }
        })
    });
}

#[test]
fn event() {
    isolated(|| {
        survives("event", Event::WORDS, |words, random| {
            let event = Event::attach(words).unwrap();
            match random.below(4) {
                0 => event.set(),
                1 => event.clear(),
                2 => drop(event.try_wait()),
                _ => drop(event.wait_timeout(SOON)),
            }
        })
    });
}

#[test]
fn barrier() {
    isolated(|| {
        survives("barrier", Barrier::words(3), |words, random| {
            // The number of parties is among what the peer writes.
            let Ok(barrier) = Barrier::attach(words) else {
                return words[1].store(2, Relaxed);
            };
            match random.below(6) {
                0 => drop(barrier.abort()),
                1 => drop(barrier.reset()),
                2 => drop((barrier.waiting(), barrier.is_broken(), barrier.parties())),
                _ => drop(barrier.wait_timeout(SOON)),
            }
        })
    });
}

#[test]
fn once() {
    isolated(|| {
        survives("once", Once::WORDS, |words, random| {
            let once = Once::attach(words).unwrap();
            match random.below(3) {
                0 => drop(once.try_call_once(|| {})),
                1 => drop(once.is_completed()),
                _ => drop(once.call_once_timeout(SOON, || {})),
            }
        })
    });
}
