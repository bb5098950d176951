use std::{
    any::Any,
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use mp_channel::Ring;
use mp_process::Child;
use serde::{Deserialize, Serialize};

use crate::{Link, link::number};

/// Some producers and consumers of one link, a process each, wherever the kernel places them.
#[derive(Debug)]
pub struct Crew {
    members: Vec<(u64, Ring, Child<()>)>,
    finished: Ring,
    /// Who made a queue of the kernel removes it at its end.
    _link: Rc<dyn Any>,
}

/// What a member does, and by which link.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
struct Part<L: Link> {
    produces: bool,
    link: Rc<RefCell<L>>,
    /// How many messages to send or receive in each round.
    counts: Ring,
    /// The member says here that it is done.
    finished: Ring,
}

impl Crew {
    /// Starts so many of each, who have an end each of one link for messages of eight bytes.
    ///
    /// # Panics
    ///
    /// Where the operating system refuses.
    pub fn start<L: Link>(producers: usize, consumers: usize) -> Self {
        let ring = |items| Ring::builder().items(items).create().expect("a ring");
        let link = Rc::new(RefCell::new(L::open(8)));
        let finished = ring(producers + consumers);
        let start = |member| {
            let (counts, produces) = (ring(1), member < producers);
            let part = Part {
                produces,
                link: Rc::clone(&link),
                counts: counts.clone(),
                finished: finished.clone(),
            };
            let partners = if produces { consumers } else { producers };
            (partners as u64, counts, mp_process::spawn(work::<L>, part).expect("a process"))
        };
        let members = (0..producers + consumers).map(start).collect();
        Self { members, finished, _link: link }
    }

    /// Sends at least `count` messages of eight bytes, as many as make the same for each: how long that takes for `count`.
    ///
    /// # Panics
    ///
    /// Where a member has died.
    pub fn round(&self, count: u64) -> Duration {
        // Of each producer for each consumer.
        let pairs: u64 = self.members.iter().map(|(partners, ..)| partners).sum::<u64>() / 2;
        let share = count.div_ceil(pairs);
        let start = Instant::now();
        for (partners, counts, _) in &self.members {
            let count = share * partners;
            counts.push(&count.to_ne_bytes()).expect("a member that waits for the next round");
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
        for (_, counts, child) in self.members.drain(..) {
            counts.close();
            if let Err(error) = child.join() {
                eprintln!("a process of this bench: {error}");
            }
        }
    }
}

fn work<L: Link>(Part { produces, link, counts, finished }: Part<L>) {
    let link = &mut *link.borrow_mut();
    let (mut bytes, mut message) = (Vec::new(), vec![0; 8]);
    while counts.pop(&mut bytes).is_ok() {
        let count = u64::from_ne_bytes(bytes.as_slice().try_into().expect("eight bytes"));
        for item in 0..count {
            if produces {
                number::write(&mut message, item);
                link.send(&message);
            } else {
                link.recv(&mut message);
            }
        }
        finished.push(&[]).expect("an open ring");
    }
}
