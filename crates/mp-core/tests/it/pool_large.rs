//! Arguments and results that are large pieces of bytes, which are passed on rather than copied.

use std::{collections::HashSet, process};

use mp_core::{Pool, Queue, TaskError};
use mp_testkit::isolated;

use crate::warm_up;

/// Around the length from which on bytes go apart.
const LENS: [usize; 7] = [0, 100, (64 << 10) - 1, 64 << 10, 100_000, 1 << 20, 70_000];

/// The longest that keeps its memory in a ring, with what goes before it, and longer ones.
const LONG_LENS: [usize; 3] = [(16 << 20) - 40, 16 << 20, (16 << 20) + 1];

/// Bytes that are wrong wherever they are moved.
fn bytes(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len.min(1 << 16)).map(|at| (at ^ at >> 8 ^ len) as u8).collect();
    // Copies of the first ones, of a length that divides no power of two.
    while bytes.len() < len {
        let more = (len - bytes.len()).min(bytes.len() - 3);
        bytes.extend_from_within(..more);
    }
    bytes
}

/// With workers and without, one task a batch and many.
fn each_pool(test: impl Fn(Pool)) {
    test(Pool::builder().serial().build().unwrap());
    for chunk_size in [None, Some(3), Some(100)] {
        let builder = Pool::builder().workers(2);
        let builder = match chunk_size {
            Some(tasks) => builder.chunk_size(tasks),
            None => builder,
        };
        test(builder.build().unwrap());
    }
}

#[test]
fn large_bytes_there_and_back() {
    isolated(|| {
        warm_up();
        each_pool(|pool| {
            let back = pool.map(|bytes: Vec<u8>| bytes, LENS.map(bytes)).unwrap();
            assert!(back == LENS.map(bytes));
            // One way only, and as another type.
            let there = pool.map(|text: String| text.len(), LENS.map(|len| "x".repeat(len)));
            assert_eq!(there.unwrap(), LENS);
            let here = pool.imap_unordered(|len: usize| "y".repeat(len), LENS).unwrap();
            let here: HashSet<String> = here.map(|text| text.unwrap()).collect();
            assert!(here == LENS.map(|len| "y".repeat(len)).into());
            // With something beside the bytes they are in one piece with it.
            let pair = |(n, bytes): (u16, Vec<u8>)| (bytes, n);
            let back = pool.map(pair, LENS.map(|len| (300, bytes(len)))).unwrap();
            assert!(back == LENS.map(|len| (bytes(len), 300)));
        });
    });
}

#[test]
fn very_large_bytes_there_and_back() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(2).unwrap();
        let back = pool.map(|bytes: Vec<u8>| bytes, LONG_LENS.map(bytes)).unwrap();
        assert!(back == LONG_LENS.map(bytes));
    });
}

/// The bytes of an argument do not become those of the result of a task that has failed, or of the next one.
#[test]
fn a_failure_leaves_no_bytes_behind() {
    fn refuse(bytes: Vec<u8>) -> Option<Vec<u8>> {
        assert_ne!(bytes.len() % 3, 1, "refused");
        (bytes.len() % 3 == 2).then_some(bytes)
    }
    isolated(|| {
        warm_up();
        each_pool(|pool| {
            let lens = || (0..12).map(|n| (64 << 10) * (n % 2) + n);
            let outcomes: Vec<_> = pool.imap(refuse, lens().map(bytes)).unwrap().collect();
            for (outcome, len) in outcomes.into_iter().zip(lens()) {
                match outcome {
                    Err(TaskError::Panicked(panic)) => {
                        assert!(len % 3 == 1 && panic.message.contains("refused"), "{panic}");
                    }
                    outcome => assert!(outcome.unwrap() == (len % 3 == 2).then(|| bytes(len))),
                }
            }
        });
    });
}

/// The parent still has what a dead worker was given.
#[test]
fn a_large_argument_survives_its_worker() {
    isolated(|| {
        warm_up();
        const DEATHS: u32 = 4;
        let pool = Pool::builder().workers(2).retries(DEATHS).build().unwrap();
        let deaths = Queue::bounded(DEATHS as usize).unwrap();
        deaths.put_many(0..DEATHS).unwrap();
        // Who finds a death dies of it: one task of all of them, or four of one each.
        let task = |deaths: &Queue<u32>, argument: Vec<u8>| {
            if argument.len().is_multiple_of(5) && deaths.try_get().is_ok() {
                process::abort();
            }
            argument
        };
        let lens = || (0..20).map(|n| (1 << 20) + n);
        let back = pool.map_with(&deaths, task, lens().map(bytes)).unwrap();
        assert!(back.into_iter().eq(lens().map(bytes)));
        assert!(deaths.is_empty());
    });
}
