//! Batches, polling, counting, and the least of a queue; and what Python's tests ask of queues.

use std::{
    iter,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use mp_core::{GetError, Process, PutError, Queue, SimpleQueue};
use mp_os::{
    Deadline,
    poll::{self, Interest, Source, select},
};
use mp_testkit::isolated;

use crate::LONG;

crate::methods::for_each_method! {
    + by fork:
    batches_wait_for_room,
    waiting_over_queues_and_processes,
    consumers_killed_in_get_into_take_one_item_with_them_at_most,
    the_least_of_a_queue,
    items_of_parent_and_child_come_in_order,
    a_child_passes_a_queue_on,
}

#[test]
fn batches() {
    isolated(|| {
        let queue = Queue::bounded(100).unwrap();
        assert_eq!(queue.put_many((0..70).map(|n| n.to_string())).unwrap(), 70);
        let error = queue.try_put_many((70..200).map(|n| n.to_string())).unwrap_err();
        assert!(matches!(error.error, PutError::Full(())));
        assert_eq!((error.put, error.rest.len(), error.rest[0].as_str()), (30, 100, "100"));
        let mut items = vec!["before".to_owned()];
        assert_eq!(queue.get_many(60, &mut items).unwrap(), 60);
        while queue.try_get_many(7, &mut items).is_ok() {}
        assert!(items[1..].iter().cloned().eq((0..100).map(|n| n.to_string())));
        let start = Instant::now();
        let timeout = Duration::from_millis(30);
        assert!(matches!(queue.get_many_timeout(1, &mut items, timeout), Err(GetError::Empty)));
        assert!(start.elapsed() >= timeout);
        queue.close();
        assert!(matches!(queue.get_many(1, &mut items), Err(GetError::Closed)));
        let error = queue.put_many(["x".to_owned()]).unwrap_err();
        assert!(matches!(error.error, PutError::Closed(())) && error.rest == ["x"]);
    });
}

fn batches_wait_for_room() {
    let queue = Queue::bounded(10).unwrap();
    let fill = |queue: Queue<u64>| assert_eq!(queue.put_many(0..5000).unwrap(), 5000);
    let child = Process::spawn(fill, queue.clone()).unwrap();
    let mut items = Vec::new();
    while items.len() < 5000 {
        queue.get_many_timeout(64, &mut items, LONG).unwrap();
    }
    child.join().unwrap();
    assert!(items.into_iter().eq(0..5000));
}

fn waiting_over_queues_and_processes() {
    let (one, two, end) =
        (Queue::bounded(4).unwrap(), Queue::bounded(4).unwrap(), Queue::bounded(1).unwrap());
    let work = |(two, end): (Queue<u8>, Queue<u8>)| {
        two.put(7).unwrap();
        end.get().unwrap();
    };
    let child = Process::spawn(work, (two.clone(), end.clone())).unwrap();
    let sentinel = child.as_fd();
    let sources: [&dyn Source; 3] = [&one, &sentinel, &two];
    let patience = Deadline::after(LONG);
    assert_eq!(select(&sources, patience).unwrap(), [2]);
    // Not `try_get`: a producer says that there is something, and then commits it.
    assert_eq!(two.get_timeout(LONG).unwrap(), 7);
    one.put(1_u8).unwrap();
    assert_eq!(select(&sources, patience).unwrap(), [0]);
    one.get().unwrap();
    end.put(0).unwrap();
    assert_eq!(select(&sources, patience).unwrap(), [1]);
    child.join().unwrap();
    two.arm().unwrap();
    let now = Deadline::after(Duration::ZERO);
    assert!(!poll::wait(two.as_fd(), Interest::Readable, now).unwrap());
}

#[test]
fn items_come_into_memory_that_is_there() {
    isolated(|| {
        let queue = Queue::<Vec<u8>>::bounded(8).unwrap();
        let mut item = Vec::with_capacity(6 << 20);
        let memory = item.as_ptr();
        for len in [0, 1, 100, 70_000, 5 << 20, 300_000, 7] {
            queue.put((0..len).map(|n| n as u8).collect()).unwrap();
        }
        for len in [0, 1, 100, 70_000, 5 << 20, 300_000, 7] {
            queue.get_into_timeout(&mut item, LONG).unwrap();
            assert!(item.len() == len && item.iter().enumerate().all(|(n, &byte)| byte == n as u8));
        }
        let start = Instant::now();
        let timeout = Duration::from_millis(30);
        assert!(matches!(queue.get_into_timeout(&mut item, timeout), Err(GetError::Empty)));
        assert!(start.elapsed() >= timeout && item.is_empty());
        assert!(matches!(queue.try_get_into(&mut item), Err(GetError::Empty)));
        assert!(matches!(queue.get_into_deadline(&mut item, start), Err(GetError::Empty)));
        queue.close();
        assert!(matches!(queue.get_into(&mut item), Err(GetError::Closed)));
        assert_eq!(item.as_ptr(), memory, "it is the same memory all the while");
        assert!(item.capacity() >= 6 << 20);
    });
}

/// An item whose contents are not in the ring, with its number at either end.
fn long_item(number: u64) -> Vec<u8> {
    let mut item = vec![number as u8; 200_000];
    item[..8].copy_from_slice(&number.to_le_bytes());
    item[200_000 - 8..].copy_from_slice(&number.to_le_bytes());
    item
}

fn number_of(item: &[u8]) -> u64 {
    let number = u64::from_le_bytes(item[..8].try_into().unwrap());
    assert!(item == long_item(number), "torn");
    number
}

fn consumers_killed_in_get_into_take_one_item_with_them_at_most() {
    let (items, taken) = (Queue::bounded(8).unwrap(), Queue::bounded(1 << 16).unwrap());
    let consume = |(items, taken): (Queue<Vec<u8>>, Queue<u64>)| {
        let mut item = Vec::new();
        while items.get_into(&mut item).is_ok() {
            taken.put(number_of(&item)).unwrap();
        }
    };
    let mut put = 0;
    let kills = 10;
    for _ in 0..kills {
        let child = Process::spawn(consume, (items.clone(), taken.clone())).unwrap();
        for _ in 0..20 {
            items.put_timeout(long_item(put), LONG).unwrap();
            put += 1;
        }
        child.kill().unwrap();
        child.join().unwrap_err();
    }
    items.close();
    let mut all: Vec<u64> =
        iter::from_fn(|| items.get().ok()).map(|item| number_of(&item)).collect();
    taken.close();
    all.extend(iter::from_fn(|| taken.get().ok()));
    all.sort_unstable();
    let count = all.len() as u64;
    all.dedup();
    assert_eq!(all.len() as u64, count, "an item came twice");
    assert!(put - count <= kills, "{} items are lost with {kills} kills", put - count);
}

#[test]
fn stats() {
    isolated(|| {
        let queue = Queue::bounded(4).unwrap();
        (0..3).for_each(|item| queue.put(item).unwrap());
        queue.get().unwrap();
        let stats = queue.stats();
        assert_eq!((stats.pushed, stats.popped, stats.capacity, stats.is_closed), (3, 1, 4, false));
        assert_eq!((stats.killed_pushing, stats.killed_popping), (0, 0));
    });
}

fn the_least_of_a_queue() {
    let (queue, seen) = (SimpleQueue::new().unwrap(), SimpleQueue::new().unwrap());
    let look = |(queue, seen): (SimpleQueue<u8>, SimpleQueue<bool>)| {
        seen.put(queue.is_empty()).unwrap();
        queue.put(7).unwrap();
        seen.put(queue.is_empty()).unwrap();
    };
    let child = Process::spawn(look, (queue.clone(), seen.clone())).unwrap();
    child.join().unwrap();
    assert_eq!([seen.get().unwrap(), seen.get().unwrap()], [true, false]);
    assert_eq!(queue.get().unwrap(), 7);
    assert!(queue.is_empty());
    let soon = Duration::from_millis(5);
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
    assert!(matches!(queue.get_timeout(soon), Err(GetError::Empty)));
    (0..1024).for_each(|n| queue.put_timeout(n as u8, soon).unwrap());
    assert!(matches!(queue.try_put(8), Err(PutError::Full(8))));
    assert!(matches!(queue.put_deadline(8, Instant::now() + soon), Err(PutError::Full(8))));
    (0..1024).for_each(|n| assert_eq!(queue.get_deadline(Instant::now()).unwrap(), n as u8));
    queue.close();
    queue.close();
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.put(8), Err(PutError::Closed(8))));
    assert!(queue.as_queue().is_closed());
}

fn items_of_parent_and_child_come_in_order() {
    let queue = Queue::bounded(64).unwrap();
    (0..10).for_each(|item| queue.put(item).unwrap());
    let more = |queue: Queue<u32>| (10..20).for_each(|item| queue.put(item).unwrap());
    let child = Process::spawn(more, queue.clone());
    child.unwrap().join().unwrap();
    let all: Vec<_> = (0..20).map(|_| queue.try_get().unwrap()).collect();
    assert!(all.into_iter().eq(0..20));
    assert!(matches!(queue.try_get(), Err(GetError::Empty)));
}

fn a_child_passes_a_queue_on() {
    let queue = Queue::bounded(4).unwrap();
    let pass = |queue: Queue<u32>| {
        let put = |queue: Queue<u32>| queue.put(7).unwrap();
        Process::spawn(put, queue).unwrap().join().unwrap();
    };
    Process::spawn(pass, queue.clone()).unwrap().join().unwrap();
    assert_eq!(queue.try_get().unwrap(), 7, "it is there when its process has ended");
}
