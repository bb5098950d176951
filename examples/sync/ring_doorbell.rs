//! Three processes sleep at one doorbell until the fourth has changed something, with a deadline for the last one.

use std::{
    error::Error,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
    time::Duration,
};

use mp_shm::Segment;
use mp_sync::{Deadline, Doorbell};

/// A number, and the bell that rings when it has changed.
fn parts(segment: &Segment) -> Option<(&Doorbell, &AtomicU64)> {
    let memory = segment.mapping();
    Some((Doorbell::from_atomic(memory.atomic_u32(0)?), memory.atomic_u64(128)?))
}

/// The number, as soon as it is at least `wanted`.
fn wait((segment, wanted): (Segment, u64)) -> Option<u64> {
    let (bell, number) = parts(&segment)?;
    let reached = || Some(number.load(Acquire)).filter(|number| *number >= wanted);
    bell.wait_for(Deadline::after(Duration::from_millis(300)), reached).ok()?
}

fn main() -> Result<(), Box<dyn Error>> {
    let segment = Segment::create("bell", 4096)?;
    let (bell, number) = parts(&segment).ok_or("the segment is too small")?;
    let waiters = [1, 2, 3].map(|wanted| {
        mp_process::spawn(wait, (segment.clone(), wanted)).map(|child| (wanted, child))
    });
    for value in [1, 2] {
        number.store(value, Release);
        // The condition first, then the bell. All of them, because each waits for another number.
        bell.ring_all();
    }
    for waiter in waiters {
        let (wanted, child) = waiter?;
        match child.join()? {
            Some(number) => println!("waited for {wanted}, saw {number}"),
            None => println!("waited for {wanted}, in vain"),
        }
    }
    Ok(())
}
