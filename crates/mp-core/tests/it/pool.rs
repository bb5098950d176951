use std::{
    cell::Cell,
    collections::HashSet,
    fs::File,
    io::{self, Write},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use mp_core::{Error, Fd, GetTimeoutError, Pool, Queue, TaskError};
use mp_testkit::isolated;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{LONG, block_on, warm_up};

crate::methods::for_each_method! {
    imap_is_lazy_and_bounded,
    imap_goes_on_after_a_failure,
    a_panic_fails_its_task_only,
    shared_values_are_sent_once,
    handles_travel_in_arguments_and_shared_values,
    a_result_with_a_handle_fails_its_task,
    tasks_that_nobody_waits_for_run,
    pools_nest,
}

#[test]
fn map_keeps_the_order() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(3).unwrap();
        let squares = pool.map(|n: u64| n * n, 0..10_000).unwrap();
        assert!(squares.iter().enumerate().all(|(n, &square)| square == (n * n) as u64));
        assert_eq!(squares.len(), 10_000);
        assert_eq!(pool.map(|n: u8| n, []).unwrap(), []);
        let words = pool
            .map(|(word, times): (String, usize)| word.repeat(times), [("ab".into(), 2)])
            .unwrap();
        assert_eq!(words, ["abab"]);
    });
}

#[test]
fn every_chunk_size_gives_the_same() {
    isolated(|| {
        warm_up();
        for size in [1, 2, 7, 1_000] {
            let pool = Pool::builder().workers(2).chunk_size(size).build().unwrap();
            let lens = pool.map(|n: usize| vec![1u8; n].len(), 0..500).unwrap();
            assert!(lens.into_iter().eq(0..500), "chunks of {size}");
        }
    });
}

#[test]
fn no_workers_are_refused() {
    isolated(|| {
        let error = Pool::new(0).unwrap_err();
        assert!(
            matches!(&error, Error::Os(error) if error.kind() == io::ErrorKind::InvalidInput),
            "{error}"
        );
    });
}

#[test]
fn large_values_travel() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(2).unwrap();
        let sums = pool.map(
            |bytes: Vec<u8>| (bytes.len(), bytes),
            [3, 1 << 20, 5 << 20].map(|len| vec![7; len]),
        );
        for ((len, bytes), wanted) in sums.unwrap().into_iter().zip([3, 1 << 20, 5 << 20]) {
            assert_eq!((len, bytes.len()), (wanted, wanted));
            assert!(bytes.iter().all(|&byte| byte == 7));
        }
    });
}

fn imap_is_lazy_and_bounded() {
    let pool = Pool::builder().workers(2).chunk_size(4).build().unwrap();
    let taken = Cell::new(0u64);
    let items = (0..1_000_000u64).inspect(|_| taken.set(taken.get() + 1));
    let mut outcomes = pool.imap(|n: u64| n + 1, items).unwrap();
    for n in 0..50 {
        assert_eq!(outcomes.next().unwrap().unwrap(), n + 1);
        // Two workers, twice 128 batches for each where they take no time.
        assert!(taken.get() <= n + 2 * 256 * 4, "{} taken at {n}", taken.get());
    }
    drop(outcomes);
    assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1, "the pool goes on");
}

#[test]
fn imap_unordered_gives_each_once() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(3).unwrap();
        let outcomes = pool.imap_unordered(|n: u32| n, 0..5_000).unwrap();
        let all: HashSet<u32> = outcomes.map(Result::unwrap).collect();
        assert_eq!(all.len(), 5_000);
    });
}

fn imap_goes_on_after_a_failure() {
    let pool = Pool::builder().workers(2).chunk_size(5).build().unwrap();
    let odd = |n: u32| if n.is_multiple_of(2) { panic!("{n} is even") } else { n };
    let outcomes: Vec<_> = pool.imap(odd, 0..20).unwrap().collect();
    for (n, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(value) => assert!(n % 2 == 1 && value as usize == n),
            Err(TaskError::Panicked(panic)) => {
                assert_eq!(panic.message, format!("{n} is even"))
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn a_panic_fails_its_task_only() {
    let pool = Pool::new(1).unwrap();
    let pids = pool.pids();
    let error = pool.map(|n: u32| assert!(n != 3, "three"), 0..6).unwrap_err();
    let Error::Task(TaskError::Panicked(panic)) = &error else { panic!("{error}") };
    assert_eq!(panic.message, "three");
    assert!(panic.location.as_ref().unwrap().contains("pool.rs:"));
    assert_eq!(pool.pids(), pids, "the worker lives on");
}

fn shared_values_are_sent_once() {
    /// Counts how often it is deserialized in this process.
    #[derive(Serialize)]
    struct Table(u32);
    static DECODED: AtomicU32 = AtomicU32::new(0);
    impl<'de> Deserialize<'de> for Table {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            DECODED.fetch_add(1, Relaxed);
            u32::deserialize(deserializer).map(Table)
        }
    }
    let pool = Pool::builder().workers(2).chunk_size(1).build().unwrap();
    let add = |table: &Table, n: u32| (table.0 + n, DECODED.load(Relaxed));
    for job in 1..=3 {
        let outcomes = pool.map_with(&Table(100), add, 0..50).unwrap();
        for (n, (sum, decoded)) in outcomes.into_iter().enumerate() {
            assert_eq!(sum as usize, 100 + n);
            assert!(decoded <= job, "decoded {decoded} times in {job} jobs");
        }
    }
}

fn handles_travel_in_arguments_and_shared_values() {
    let pool = Pool::builder().workers(2).chunk_size(3).build().unwrap();
    let queue = Queue::bounded(64).unwrap();
    pool.map_with(&queue, |queue: &Queue<u32>, n: u32| queue.put(n).unwrap(), 0..10).unwrap();
    let put = |(n, queue): (u32, Option<Queue<u32>>)| {
        if let Some(queue) = queue {
            queue.put(n).unwrap();
        }
    };
    let some = |n: u32| (n, n.is_multiple_of(2).then(|| queue.clone()));
    pool.map(put, (10..30).map(some)).unwrap();
    let all: HashSet<u32> = std::iter::from_fn(|| queue.try_get().ok()).collect();
    assert_eq!(all, (0..10).chain((10..30).step_by(2)).collect());

    let (reader, writer) = io::pipe().unwrap();
    let write = |pipe: Fd<io::PipeWriter>| pipe.into_inner().write_all(b"from a worker").unwrap();
    pool.apply(write, Fd::new(writer)).unwrap();
    assert_eq!(io::read_to_string(reader).unwrap(), "from a worker");
}

fn a_result_with_a_handle_fails_its_task() {
    let pool = Pool::new(1).unwrap();
    let error = pool.apply(|()| Fd::new(File::open("/dev/null").unwrap()), ()).unwrap_err();
    assert!(matches!(error, Error::Task(TaskError::Unencodable(_))), "{error}");
    assert_eq!(pool.apply(|n: u8| n, 1).unwrap(), 1);
}

/// Can be encoded, and not decoded where it says so.
#[derive(Debug, PartialEq, Serialize)]
struct Picky(u8);

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            13 => Err(de::Error::custom("unlucky")),
            14 => panic!("a decoder that panics"),
            n => Ok(Self(n)),
        }
    }
}

#[test]
fn an_undecodable_result_fails_its_task_only() {
    isolated(|| {
        warm_up();
        let pool = Pool::builder().workers(2).chunk_size(10).build().unwrap();
        let outcomes: Vec<_> = pool.imap(|n: u8| Picky(n), 0..20).unwrap().collect();
        for (n, outcome) in (0..20).zip(outcomes) {
            match outcome {
                Ok(Picky(value)) => assert_eq!(value, n),
                Err(TaskError::Undecodable(_)) => assert!(n == 13 || n == 14),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn an_undecodable_argument_fails_its_task_only() {
    isolated(|| {
        warm_up();
        let pool = Pool::builder().workers(1).chunk_size(10).build().unwrap();
        let items = (0..20).filter(|&n| n != 14).map(Picky);
        let outcomes: Vec<_> = pool.imap(|Picky(n): Picky| n, items).unwrap().collect();
        let failed: Vec<_> = outcomes.iter().filter(|outcome| outcome.is_err()).collect();
        assert_eq!((outcomes.len(), failed.len()), (19, 1));
        assert!(matches!(failed[0], Err(TaskError::Undecodable(_))));
    });
}

#[test]
fn an_argument_that_cannot_be_encoded_fails_its_task_only() {
    isolated(|| {
        warm_up();
        /// Serializes a sequence without a length, which postcard refuses, where it says so.
        #[derive(Deserialize)]
        struct Odd(u8);
        impl Serialize for Odd {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.0 == 5 {
                    Err(serde::ser::Error::custom("five"))
                } else {
                    serializer.serialize_u8(self.0)
                }
            }
        }
        let pool = Pool::builder().workers(2).chunk_size(4).build().unwrap();
        let outcomes: Vec<_> = pool.imap(|Odd(n): Odd| n, (0..10).map(Odd)).unwrap().collect();
        assert_eq!(outcomes.len(), 10);
        for (n, outcome) in (0..10).zip(outcomes) {
            assert!(if n == 5 {
                matches!(outcome, Err(TaskError::Unencodable(_)))
            } else {
                outcome.unwrap() == n
            });
        }
        assert!(pool.submit(|Odd(_): Odd| (), Odd(5)).is_err());
    });
}

#[test]
fn submit_gives_a_handle() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(1).unwrap();
        let gate = Queue::bounded(1).unwrap();
        let wait = |(gate, n): (Queue<u8>, u8)| gate.get().unwrap() + n;
        let task = pool.submit(wait, (gate.clone(), 1)).unwrap();
        assert!(!task.is_done());
        let Err(GetTimeoutError::TimedOut(task)) = task.get_timeout(Duration::from_millis(10))
        else {
            panic!("nobody has opened the gate")
        };
        gate.put(41).unwrap();
        assert_eq!(task.get_timeout(LONG).unwrap(), 42);
    });
}

#[test]
fn queued_tasks_can_be_cancelled() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(1).unwrap();
        let gate = Queue::bounded(1).unwrap();
        let first = pool.submit(|gate: Queue<u8>| gate.get().unwrap(), gate.clone()).unwrap();
        let tasks: Vec<_> = (0..300u32).map(|n| pool.submit(|n: u32| n, n).unwrap()).collect();
        let last = tasks.last().unwrap();
        assert!(last.cancel(), "the worker is busy and has enough to do");
        assert!(last.is_done());
        assert!(!last.cancel(), "once is enough");
        gate.put(0).unwrap();
        first.get().unwrap();
        for (n, task) in (0..).zip(tasks) {
            match task.get() {
                Ok(value) => assert_eq!(value, n),
                Err(TaskError::Cancelled) => assert_eq!(n, 299),
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn a_task_is_a_future() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(2).unwrap();
        for n in 0..100u64 {
            assert_eq!(block_on(pool.submit(|n: u64| n * 2, n).unwrap()).unwrap(), 2 * n);
        }
        let tasks: Vec<_> = (0..200u64).map(|n| pool.submit(|n: u64| n, n).unwrap()).collect();
        let sum: u64 = tasks.into_iter().map(|task| block_on(task).unwrap()).sum();
        assert_eq!(sum, 199 * 100);
    });
}

fn tasks_that_nobody_waits_for_run() {
    let pool = Pool::new(2).unwrap();
    let queue = Queue::bounded(2_000).unwrap();
    for n in 0..1_000u32 {
        drop(
            pool.submit(|(queue, n): (Queue<u32>, u32)| queue.put(n).unwrap(), (queue.clone(), n))
                .unwrap(),
        );
    }
    pool.join().unwrap();
    assert_eq!(queue.len(), 1_000);
}

#[test]
fn results_that_nobody_takes_hold_nobody_up() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(1).unwrap();
        let large = [(); 3].map(|()| pool.submit(|()| "x".repeat(40 << 20), ()).unwrap());
        let queue = Queue::bounded(1).unwrap();
        let small = pool.submit(|queue: Queue<u8>| queue.put(1).unwrap(), queue.clone()).unwrap();
        assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
        small.get().unwrap();
        assert!(large.into_iter().all(|task| task.get().unwrap().len() == 40 << 20));
    });
}

#[test]
fn threads_share_a_pool() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(2).unwrap();
        thread::scope(|scope| {
            for thread in 0..8u64 {
                let pool = &pool;
                scope.spawn(move || {
                    let sums =
                        pool.map(|n: u64| n + 1, thread * 1_000..(thread + 1) * 1_000).unwrap();
                    assert!(sums.into_iter().eq(thread * 1_000 + 1..=(thread + 1) * 1_000));
                    assert_eq!(
                        pool.submit(|n: u64| n, thread).unwrap().get_timeout(LONG).unwrap(),
                        thread
                    );
                });
            }
        });
    });
}

fn pools_nest() {
    mp_testkit::expect_orphans();
    let inner =
        |n: u64| Pool::new(2).unwrap().map(|n: u64| n * n, 0..n).unwrap().into_iter().sum::<u64>();
    assert_eq!(Pool::new(2).unwrap().map(inner, [3, 4]).unwrap(), [5, 14]);
}
