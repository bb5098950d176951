use std::{
    collections::HashMap,
    io, thread,
    time::{Duration, Instant},
};

use mp_core::{Error, GetError, Process, PutError, Queue};
use mp_testkit::isolated;
use serde::{Deserialize, Serialize, Serializer, ser};

use crate::{LONG, warm_up};

crate::methods::for_each_method! {
    + by fork:
    killed_producers_lose_nothing_that_they_put,
    killed_consumers_take_one_item_with_them_at_most,
}

#[test]
fn smoke() {
    isolated(|| {
        let queue = Queue::bounded(3).unwrap();
        for text in ["one", "two", "three"] {
            queue.put(text.to_owned()).unwrap();
        }
        assert_eq!((queue.len(), queue.is_full(), queue.is_empty()), (3, true, false));
        assert!(
            matches!(queue.try_put("four".into()), Err(PutError::Full(text)) if text == "four")
        );
        assert_eq!(queue.get().unwrap(), "one");
        queue.put("four".into()).unwrap();
        let rest: Vec<_> = (0..3).map(|_| queue.get().unwrap()).collect();
        assert_eq!(rest, ["two", "three", "four"]);
        assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    });
}

#[test]
fn a_capacity_of_zero_is_refused() {
    isolated(|| {
        let error = Queue::<u8>::bounded(0).unwrap_err();
        assert!(
            matches!(&error, Error::Os(error) if error.kind() == io::ErrorKind::InvalidInput),
            "{error}"
        );
    });
}

#[test]
fn deadlines_are_kept() {
    isolated(|| {
        let queue = Queue::bounded(1).unwrap();
        let timeout = Duration::from_millis(30);
        let start = Instant::now();
        assert!(matches!(queue.get_timeout(timeout), Err(GetError::Empty)));
        assert!(start.elapsed() >= timeout);
        queue.put(1).unwrap();
        let start = Instant::now();
        assert!(matches!(queue.put_deadline(2, start + timeout), Err(PutError::Full(2))));
        assert!(start.elapsed() >= timeout);
        assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
    });
}

#[test]
fn close_wakes_everybody_and_loses_nothing() {
    isolated(|| {
        let queue = Queue::bounded(1).unwrap();
        thread::scope(|scope| {
            queue.put(1).unwrap();
            let putter = scope.spawn(|| queue.put(2));
            queue.close();
            assert!(matches!(putter.join().unwrap(), Ok(()) | Err(PutError::Closed(2))));
        });
        assert!(queue.is_closed());
        assert!(matches!(queue.put(3), Err(PutError::Closed(3))));
        assert_eq!(queue.get().unwrap(), 1);
        thread::scope(|scope| {
            let getter = scope.spawn(|| queue.get());
            assert!(matches!(getter.join().unwrap(), Err(GetError::Closed)));
        });
    });
}

#[test]
fn a_large_item_goes_through() {
    isolated(|| {
        warm_up();
        let queue = Queue::bounded(2).unwrap();
        let fill = |queue: Queue<Vec<u8>>| {
            for len in [0, 1, 100, 70_000, 5 << 20, 40 << 20] {
                queue.put((0..len).map(|n| n as u8).collect()).unwrap();
            }
            queue.close();
        };
        let child = Process::spawn(fill, queue.clone()).unwrap();
        let mut lens = Vec::new();
        while let Ok(item) = queue.get() {
            assert!(item.iter().enumerate().all(|(n, &byte)| byte == n as u8));
            lens.push(item.len());
        }
        child.join().unwrap();
        assert_eq!(lens, [0, 1, 100, 70_000, 5 << 20, 40 << 20]);
    });
}

/// Refuses to be serialized after its first half.
#[derive(Debug, PartialEq, Deserialize)]
struct HalfWay(u32);

impl Serialize for HalfWay {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("half-way"))
    }
}

#[test]
fn a_serializer_that_fails_half_way_leaves_nothing() {
    isolated(|| {
        let queue = Queue::bounded(2).unwrap();
        let error = queue.put((7, HalfWay(1))).unwrap_err();
        assert!(matches!(&error, PutError::Encode((7, HalfWay(1)), _)), "{error}");
        assert!(queue.is_empty());
    });
}

#[test]
fn a_handle_is_no_item() {
    isolated(|| {
        let (queue, inner) = (Queue::bounded(2).unwrap(), Queue::<u8>::bounded(1).unwrap());
        let error = queue.put(inner).unwrap_err();
        assert!(matches!(error, PutError::Encode(..)));
        assert!(queue.is_empty());
    });
}

#[derive(Serialize, Deserialize)]
struct Item {
    producer: u32,
    number: u64,
    checksum: u64,
}

fn checksum(producer: u32, number: u64) -> u64 {
    (u64::from(producer) << 32 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Puts items until it is killed, and tells after each `put` that it returned.
fn produce((producer, items, returned): (u32, Queue<Item>, Queue<(u32, u64)>)) {
    for number in 0.. {
        let item = Item { producer, number, checksum: checksum(producer, number) };
        if items.put(item).is_err() || returned.put((producer, number)).is_err() {
            return;
        }
    }
}

fn killed_producers_lose_nothing_that_they_put() {
    let items = Queue::bounded(32).unwrap();
    let returned = Queue::bounded(1 << 16).unwrap();
    let mut seen: HashMap<u32, u64> = HashMap::new();
    for round in 0..40u32 {
        let pair = [2 * round, 2 * round + 1];
        let producers = pair.map(|producer| {
            Process::spawn(produce, (producer, items.clone(), returned.clone())).unwrap()
        });
        for _ in 0..50 + round {
            take(&items, &mut seen, LONG).unwrap();
        }
        producers.iter().for_each(|producer| producer.kill().unwrap());
        producers.into_iter().for_each(|producer| drop(producer.join().unwrap_err()));
        while take(&items, &mut seen, Duration::ZERO).is_some() {}
        while let Ok((producer, number)) = returned.try_get() {
            assert!(seen[&producer] > number, "an item whose put returned is lost");
        }
    }
    items.put(Item { producer: u32::MAX, number: 0, checksum: checksum(u32::MAX, 0) }).unwrap();
    take(&items, &mut seen, LONG).unwrap();
}

/// Takes an item and checks that it is whole and the next one of its producer.
fn take(items: &Queue<Item>, seen: &mut HashMap<u32, u64>, timeout: Duration) -> Option<()> {
    let Item { producer, number, checksum: found } = items.get_timeout(timeout).ok()?;
    assert_eq!(found, checksum(producer, number), "torn");
    let next = seen.entry(producer).or_default();
    assert_eq!(number, *next, "lost, doubled or out of order");
    *next += 1;
    Some(())
}

fn killed_consumers_take_one_item_with_them_at_most() {
    let (items, taken) = (Queue::bounded(64).unwrap(), Queue::bounded(1 << 16).unwrap());
    let consume = |(items, taken): (Queue<u64>, Queue<u64>)| {
        while let Ok(item) = items.get() {
            taken.put(item).unwrap();
        }
    };
    let mut put = 0;
    let kills = 40;
    for _ in 0..kills {
        let child = Process::spawn(consume, (items.clone(), taken.clone())).unwrap();
        for _ in 0..200 {
            items.put_timeout(put, LONG).unwrap();
            put += 1;
        }
        child.kill().unwrap();
        child.join().unwrap_err();
    }
    items.close();
    let mut all: Vec<u64> = std::iter::from_fn(|| items.get().ok()).collect();
    taken.close();
    all.extend(std::iter::from_fn(|| taken.get().ok()));
    all.sort_unstable();
    let count = all.len() as u64;
    all.dedup();
    assert_eq!(all.len() as u64, count, "an item came twice");
    assert!(put - count <= kills, "{} items are lost with {kills} kills", put - count);
}
