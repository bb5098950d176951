use std::time::{Duration, Instant};

use mp_channel::Ring;
use mp_process::Child;
use serde::{Deserialize, Serialize};

/// Some producers and as many consumers of one ring, a process each, wherever the kernel places them.
#[derive(Debug)]
pub struct Crew {
    members: Vec<(Ring, Child<()>)>,
    finished: Ring,
}

/// What a member does, and with which rings.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    produces: bool,
    ring: Ring,
    /// How many messages to send or receive in each round.
    counts: Ring,
    /// The member says here that it is done.
    finished: Ring,
}

impl Crew {
    /// Starts so many pairs.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    pub fn start(pairs: usize) -> Self {
        let ring = |items| Ring::builder().items(items).create().expect("a ring");
        let (shared, finished) = (ring(1024), ring(2 * pairs));
        let start = |member| {
            let counts = ring(1);
            let part = Part {
                produces: member < pairs,
                ring: shared.clone(),
                counts: counts.clone(),
                finished: finished.clone(),
            };
            (counts, mp_process::spawn(work, part).expect("a process"))
        };
        Self { members: (0..2 * pairs).map(start).collect(), finished }
    }

    /// Sends at least `count` messages of eight bytes, as many as make the same for each: how long that takes for `count`.
    ///
    /// # Panics
    ///
    /// Where a member has died.
    pub fn round(&self, count: u64) -> Duration {
        let pairs = self.members.len() as u64 / 2;
        let share = count.div_ceil(pairs);
        let start = Instant::now();
        for (counts, _) in &self.members {
            counts.push(&share.to_ne_bytes()).expect("a member that waits for the next round");
        }
        let mut done = Vec::new();
        for _ in &self.members {
            self.finished.pop_timeout(&mut done, Duration::from_secs(60)).expect("a living member");
        }
        start.elapsed().mul_f64(count as f64 / (share * pairs) as f64)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for (counts, child) in self.members.drain(..) {
            counts.close();
            if let Err(error) = child.join() {
                eprintln!("a process of this bench: {error}");
            }
        }
    }
}

fn work(Part { produces, ring, counts, finished }: Part) {
    let mut bytes = Vec::new();
    while counts.pop(&mut bytes).is_ok() {
        let count = u64::from_ne_bytes(bytes.as_slice().try_into().expect("eight bytes"));
        for number in 0..count {
            if produces {
                ring.push(&number.to_ne_bytes()).expect("an open ring");
            } else {
                ring.pop(&mut bytes).expect("an open ring");
            }
        }
        finished.push(&[]).expect("an open ring");
    }
}
