//! A process dies between two stores that belong together. The next one is told, and repairs what it finds.

use std::{
    error::Error,
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use mp_process::ProcessError;
use mp_shm::Segment;
use mp_sync::LeafLock;

/// Two accounts, of which the sum must not change, and the lock before them.
fn parts(segment: &Segment) -> Option<(&LeafLock, [&AtomicU64; 2])> {
    let memory = segment.mapping();
    let lock = LeafLock::from_atomics(memory.atomics(0, 2)?.try_into().ok()?);
    Some((lock, [memory.atomic_u64(64)?, memory.atomic_u64(72)?]))
}

/// Moves an amount from one account to the other, and dies before the second store if the amount is 13.
fn transfer((segment, amount): (Segment, u64)) {
    let Some((lock, [from, to])) = parts(&segment) else { return };
    let Ok(_guard) = lock.lock() else { return };
    from.store(from.load(Relaxed) - amount, Relaxed);
    if amount == 13 {
        process::abort();
    }
    to.store(to.load(Relaxed) + amount, Relaxed);
}

fn main() -> Result<(), Box<dyn Error>> {
    let segment = Segment::create("accounts", 4096)?;
    let (lock, [from, to]) = parts(&segment).ok_or("the segment is too small")?;
    from.store(100, Relaxed);

    for amount in [10, 20, 13] {
        let outcome: Result<(), ProcessError> =
            mp_process::spawn(transfer, (segment.clone(), amount))?.join();
        println!(
            "transfer of {amount}: {}",
            outcome.err().map_or("done".into(), |e| e.to_string())
        );
    }

    let guard = lock.lock()?;
    if guard.owner_died() {
        let missing = 100 - from.load(Relaxed) - to.load(Relaxed);
        println!("the last holder died inside, {missing} are on their way: put back");
        from.store(from.load(Relaxed) + missing, Relaxed);
    }
    println!("{} and {}", from.load(Relaxed), to.load(Relaxed));
    assert_eq!(from.load(Relaxed) + to.load(Relaxed), 100);
    Ok(())
}
