//! Batches, polling, counting, and the least of a queue; and what Python's tests ask of queues.

use std::{
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
    assert_eq!(two.try_get().unwrap(), 7);
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
