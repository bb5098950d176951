//! Operations in any order, through several handles, against a queue that is known to be right.
//!
//! Each schedule follows from its seed, which a failure names: `MP_SEED=... cargo test -p mp-channel model`. What lies between
//! the instructions of one operation is what the sweeps are for; this is for records of all lengths at all places of the ring.

use std::{collections::VecDeque, env};

use mp_channel::{Batch, Ring, TryPopError, TryPushError};
use mp_testkit::{Random, isolated};

use crate::accounting::record;

const STEPS: u64 = if cfg!(debug_assertions) { 4_000 } else { 40_000 };
const ITEMS: usize = 24;
/// So many steps mostly append, then as many mostly take.
const TIDE: u64 = 40;

/// The ring, by two handles of its own mappings each, and what should be in it.
struct Model {
    handles: [Ring; 2],
    expected: VecDeque<Vec<u8>>,
    next: u64,
    steps: u64,
    /// How often there was no room though there was a place, because of the bytes.
    short: u64,
    popped: Vec<u8>,
    batch: Batch,
}

impl Model {
    fn new() -> Self {
        let ring = Ring::builder().items(ITEMS).bytes(4096).create().unwrap();
        let other = Ring::attach(ring.parts().clone()).unwrap();
        Self {
            handles: [ring, other],
            expected: VecDeque::new(),
            next: 0,
            steps: 0,
            short: 0,
            popped: Vec::new(),
            batch: Batch::new(),
        }
    }

    /// Mostly short, many just as long as fills the ring, some outside and some that wrap the window around.
    fn make(&mut self, random: &mut Random) -> Vec<u8> {
        let len = match random.below(400) {
            0..200 => random.below(40),
            200..300 => random.below(300),
            300..385 => 900 + random.below(200),
            385..399 => random.below(70_000),
            _ => (5 << 20) + random.below(9),
        };
        self.next += 1;
        record(0, self.next, len as usize)
    }

    fn step(&mut self, random: &mut Random) {
        let handle = self.handles[random.below(2) as usize].clone();
        self.steps += 1;
        let least = if (self.steps / TIDE).is_multiple_of(2) { 0 } else { 2 };
        match least + random.below(6) {
            0..3 => {
                let record = self.make(random);
                let result = match random.below(3) {
                    0 => handle.try_push(&record),
                    at => {
                        let (head, tail) = record.split_at(record.len() / at as usize);
                        handle.try_push_parts(&[head, &[], tail])
                    }
                };
                match result {
                    Ok(()) => self.expected.push_back(record),
                    Err(TryPushError::Full) => self.no_room(),
                    Err(error) => panic!("{error}"),
                }
            }
            3 => {
                let records: Vec<_> = (0..random.below(6)).map(|_| self.make(random)).collect();
                let pushed = handle.try_push_many(records.iter().map(Vec::as_slice));
                let pushed = match pushed {
                    Ok(pushed) => pushed,
                    Err(error) => {
                        assert!(matches!(error.error, TryPushError::Full), "{error}");
                        error.pushed
                    }
                };
                self.expected.extend(records.iter().take(pushed).cloned());
                if pushed < records.len() {
                    self.no_room();
                }
            }
            4..7 => match self.pop(&handle, random.below(2) == 0) {
                Ok(()) => assert_eq!(Some(&self.popped), self.expected.pop_front().as_ref()),
                Err(error) => {
                    assert!(matches!(error, TryPopError::Empty) && self.expected.is_empty());
                }
            },
            _ => {
                let max = random.below(7) as usize;
                let popped = handle.try_pop_many(max, &mut self.batch).unwrap_or(0);
                assert!(popped <= max && (popped > 0) == (max > 0 && !self.expected.is_empty()));
                let expected: Vec<_> = self.expected.drain(..popped).collect();
                assert!(popped == 0 || self.batch.iter().eq(expected.iter().map(Vec::as_slice)));
            }
        }
        assert_eq!(handle.len(), self.expected.len());
        assert_eq!(handle.stats().pushed - handle.stats().popped, handle.len() as u64);
    }

    /// Takes a record, whole or in pieces.
    fn pop(&mut self, handle: &Ring, is_whole: bool) -> Result<(), TryPopError> {
        if is_whole {
            return handle.try_pop(&mut self.popped);
        }
        let mut tail = Vec::new();
        handle.try_pop_parts(&mut self.popped, &mut tail)?;
        self.popped.extend(tail);
        Ok(())
    }

    /// A refusal needs a reason: all places taken, or bytes, of which the shortest record takes few.
    fn no_room(&mut self) {
        assert!(!self.expected.is_empty(), "an empty ring takes anything");
        self.short += u64::from(self.expected.len() < ITEMS);
    }
}

#[test]
fn any_order_of_operations() {
    isolated(|| {
        let seed = env::var("MP_SEED").map_or(0x2545_f491_4f6c_dd1d, |text| text.parse().unwrap());
        println!("MP_SEED={seed}");
        let (mut random, mut model) = (Random::new(seed), Model::new());
        (0..STEPS).for_each(|_| model.step(&mut random));
        println!("{} records, {} times too few bytes", model.next, model.short);
        assert!(model.short > STEPS / 100, "the ring was hardly ever full by its bytes");
    });
}
