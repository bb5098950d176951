//! Tasks that are waited for, also those of consumers that die.

use std::{
    io,
    time::{Duration, Instant},
};

use mp_core::{Error, GetError, JoinableQueue, Process, PutError, Queue};
use mp_testkit::{isolated, once_asleep};

use crate::LONG;

crate::methods::for_each_method! {
    the_tasks_of_a_killed_consumer_are_dead_letters;
    + by fork:
    join_returns_when_all_tasks_are_done,
    with_deliveries_another_consumer_gets_them,
    a_consumer_killed_in_a_batch_loses_nothing,
    a_process_that_ends_gives_its_tasks_up,
}

fn join_returns_when_all_tasks_are_done() {
    let (tasks, results) = (JoinableQueue::bounded(100).unwrap(), Queue::bounded(100).unwrap());
    let work = |(tasks, results): (JoinableQueue<u64>, Queue<u64>)| {
        while let Ok(task) = tasks.get() {
            results.put(task * 10).unwrap();
            tasks.task_done().unwrap();
        }
    };
    let workers = [0; 4].map(|_| {
        let arguments = (tasks.clone(), results.clone());
        Process::spawn(work, arguments).unwrap()
    });
    (0..10).for_each(|task| tasks.put(task).unwrap());
    assert!(tasks.join_timeout(LONG).unwrap());
    assert_eq!(results.len(), 10, "all were done before");
    tasks.close();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let mut all: Vec<_> = (0..10).map(|_| results.get().unwrap()).collect();
    all.sort_unstable();
    assert!(all.iter().copied().eq((0..10).map(|task| task * 10)));
}

#[test]
fn task_done_too_often_is_an_error() {
    isolated(|| {
        let tasks = JoinableQueue::bounded(4).unwrap();
        let too_often = |tasks: &JoinableQueue<u8>| {
            let error = tasks.task_done().unwrap_err();
            matches!(&error, Error::Os(error) if error.kind() == io::ErrorKind::InvalidInput)
        };
        assert!(too_often(&tasks));
        tasks.put(1).unwrap();
        assert!(too_often(&tasks), "nobody has got it");
        assert_eq!(tasks.get().unwrap(), 1);
        tasks.clone().task_done().unwrap();
        assert!(too_often(&tasks));
        tasks.join().unwrap();
    });
}

#[test]
fn join_waits_and_keeps_its_deadline() {
    isolated(|| {
        let tasks = JoinableQueue::bounded(4).unwrap();
        tasks.join().unwrap();
        tasks.put(1).unwrap();
        let start = Instant::now();
        let timeout = Duration::from_millis(60);
        assert!(!tasks.join_deadline(start + timeout).unwrap());
        assert!(start.elapsed() >= timeout);
        tasks.get().unwrap();
        assert!(!tasks.join_timeout(Duration::ZERO).unwrap(), "got is not done");
        let joined =
            once_asleep(|| tasks.join_timeout(LONG).unwrap(), || tasks.task_done().unwrap());
        assert!(joined);
    });
}

/// Gets so many tasks, tells, and keeps them for ever.
fn hold((tasks, told, count): (JoinableQueue<u32>, Queue<u32>, usize)) {
    for _ in 0..count {
        told.put(tasks.get().unwrap()).unwrap();
    }
    Queue::<u32>::bounded(1).unwrap().get().unwrap();
}

fn the_tasks_of_a_killed_consumer_are_dead_letters() {
    let (tasks, told) = (JoinableQueue::bounded(8).unwrap(), Queue::bounded(1).unwrap());
    (0..3).for_each(|task| tasks.put(task).unwrap());
    let child = Process::spawn(hold, (tasks.clone(), told.clone(), 2)).unwrap();
    assert_eq!([told.get().unwrap(), told.get().unwrap()], [0, 1]);
    assert_eq!(tasks.get().unwrap(), 2);
    tasks.task_done().unwrap();
    assert!(!tasks.join_timeout(Duration::from_millis(60)).unwrap(), "it lives");
    let joined = once_asleep(|| tasks.join_timeout(LONG).unwrap(), || child.kill().unwrap());
    assert!(joined, "nobody waits for a dead process");
    child.join().unwrap_err();
    assert_eq!(tasks.stats().leased.dead, 2);
    let letters = std::iter::from_fn(|| tasks.dead_letter().unwrap()).collect::<Vec<_>>();
    assert_eq!(letters, [0, 1]);
}

fn with_deliveries_another_consumer_gets_them() {
    let tasks = JoinableQueue::with_deliveries(8, 2).unwrap();
    let told = Queue::bounded(1).unwrap();
    tasks.put(7).unwrap();
    for _ in 0..2 {
        let child = Process::spawn(hold, (tasks.clone(), told.clone(), 1)).unwrap();
        assert_eq!(told.get_timeout(LONG).unwrap(), 7);
        child.kill().unwrap();
        child.join().unwrap_err();
    }
    assert!(tasks.join_timeout(LONG).unwrap());
    assert_eq!(tasks.dead_letter().unwrap(), Some(7));
    assert_eq!(tasks.dead_letter().unwrap(), None);
}

#[test]
fn batches_are_counted_one_by_one() {
    isolated(|| {
        let queue = JoinableQueue::bounded(8).unwrap();
        let full = queue.try_put_many(0..10).unwrap_err();
        assert_eq!((full.put, full.rest), (8, vec![8, 9]));
        let mut tasks = Vec::new();
        assert_eq!(queue.get_many(0, &mut tasks).unwrap(), 0);
        assert_eq!(queue.get_many(5, &mut tasks).unwrap(), 5);
        assert_eq!(queue.get_many_timeout(5, &mut tasks, LONG).unwrap(), 3, "all there are");
        assert!(tasks.iter().copied().eq(0..8));
        assert!(matches!(queue.try_get_many(5, &mut tasks), Err(GetError::Empty)));
        for done in 0..8 {
            assert_eq!(queue.stats().leased.held, 8 - done);
            assert!(!queue.join_timeout(Duration::ZERO).unwrap());
            queue.task_done().unwrap();
        }
        queue.task_done().unwrap_err();
        queue.join().unwrap();

        let late = once_asleep(
            || queue.get_many_timeout(5, &mut tasks, LONG).unwrap(),
            || assert_eq!(queue.put_many([8]).unwrap(), 1),
        );
        assert_eq!((late, tasks.len()), (1, 9));
        queue.close();
        assert!(matches!(queue.put_many([9]).unwrap_err().error, PutError::Closed(())));
        queue.task_done().unwrap();
        assert!(matches!(queue.get_many(5, &mut tasks), Err(GetError::Closed)));
        queue.join().unwrap();
    });
}

/// Gets batches for ever, and tells of each task just before it is done.
fn take_batches((tasks, told): (JoinableQueue<u64>, Queue<u64>)) {
    let mut batch = Vec::new();
    while let Ok(count) = tasks.get_many(7, &mut batch) {
        for task in batch.drain(..) {
            told.put(task).unwrap();
            tasks.task_done().unwrap();
        }
        assert!((1..=7).contains(&count));
    }
}

/// At any moment, of all those between the batch and its last task.
fn a_consumer_killed_in_a_batch_loses_nothing() {
    const TASKS: u64 = 40;
    for kill_after in 0..16 {
        let tasks = JoinableQueue::with_deliveries(64, 3).unwrap();
        let told = Queue::bounded(128).unwrap();
        tasks.put_many(0..TASKS).unwrap();
        let child = Process::spawn(take_batches, (tasks.clone(), told.clone())).unwrap();
        let mut seen: Vec<u64> = (0..kill_after).map(|_| told.get_timeout(LONG).unwrap()).collect();
        child.kill().unwrap();
        child.join().unwrap_err();
        let mut batch = Vec::new();
        // What it had is delivered again, and all that is not done comes to us.
        while !tasks.join_timeout(Duration::ZERO).unwrap() {
            match tasks.get_many_timeout(64, &mut batch, Duration::from_millis(60)) {
                Ok(count) => (0..count).for_each(|_| tasks.task_done().unwrap()),
                Err(error) => assert!(matches!(error, GetError::Empty), "{error}"),
            }
        }
        assert_eq!(tasks.dead_letter().unwrap(), None);
        seen.extend(std::iter::from_fn(|| told.try_get().ok()));
        seen.append(&mut batch);
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.iter().copied().eq(0..TASKS), "after {kill_after}: {seen:?}");
    }
}

fn a_process_that_ends_gives_its_tasks_up() {
    let tasks = JoinableQueue::bounded(8).unwrap();
    tasks.put(7).unwrap();
    let take = |tasks: JoinableQueue<u32>| assert_eq!(tasks.get().unwrap(), 7);
    Process::spawn(take, tasks.clone()).unwrap().join().unwrap();
    assert!(tasks.join_timeout(LONG).unwrap());
    assert_eq!(tasks.dead_letter().unwrap(), Some(7));
}

#[test]
fn what_is_not_a_task_is_done() {
    isolated(|| {
        let tasks = JoinableQueue::<String>::bounded(8).unwrap();
        // The same queue with another idea of what is in it.
        let mut bytes = Vec::new();
        let ((), fds) =
            mp_os::transfer::collect(|| mp_process::encode(&tasks, &mut bytes).unwrap());
        let others: JoinableQueue<u64> =
            mp_os::transfer::provide(fds, || mp_process::decode(&bytes).unwrap());
        others.put(u64::MAX).unwrap();
        assert!(matches!(tasks.get(), Err(GetError::Decode(_))));
        assert!(tasks.join_timeout(LONG).unwrap());
    });
}
