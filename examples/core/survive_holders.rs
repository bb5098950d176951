//! Processes are killed while they hold a lock, a permit, a place at a barrier. The others go on.

use std::time::Instant;

use mp_core::{Barrier, Event, Lock, LockError, Process, Result, Semaphore};

type Held = (Lock, Semaphore, Barrier, Event);

/// Takes all three, and waits for the others, who will not come before it is killed.
fn hold((lock, seats, barrier, ready): Held) {
    let (_guard, _seat) = (lock.lock(), seats.acquire());
    ready.set();
    // Its end is not to come.
    let _ = barrier.wait();
}

fn main() -> Result<()> {
    let (lock, seats, barrier) = (Lock::new()?, Semaphore::new(1)?, Barrier::new(2)?);
    for round in 1..=3 {
        let ready = Event::new()?;
        let arguments = (lock.clone(), seats.clone(), barrier.clone(), ready.clone());
        let child = Process::spawn(hold, arguments)?;
        ready.wait()?;
        println!("{round}: a child has the lock and the only seat; it is killed");
        child.kill()?;
        println!("   {}", child.join().expect_err("killed"));

        let start = Instant::now();
        let died = matches!(lock.lock(), Err(LockError::OwnerDied(_)));
        println!("   {:>8.1?}: the lock; that its owner died: {died}", start.elapsed());
        drop(lock.lock().or_else(LockError::recover)?);
        drop(seats.acquire()?);
        println!("   {:>8.1?}: the seat", start.elapsed());
    }
    let other = Process::spawn(|barrier: Barrier| barrier.wait().is_ok(), barrier.clone())?;
    barrier.wait()?;
    println!("the dead do not count at the barrier, the living do: {}", other.join()?);
    Ok(())
}
