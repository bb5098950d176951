//! What every queue of this workspace does, by the same names.

use std::{
    thread,
    time::{Duration, Instant},
};

use mp_channel::{
    Batch, PopError, PopTimeoutError, PushError, PushTimeoutError, Ring, TryPopError, TryPushError,
};
use mp_testkit::{fork_child, isolated};
use nix::{
    libc,
    sys::{
        resource::{Resource, setrlimit},
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
        stat::fstat,
    },
};

use crate::accounting::{Ledger, len, record};

fn small(items: usize) -> Ring {
    Ring::builder().items(items).bytes(4096).create().unwrap()
}

#[test]
fn smoke() {
    let ring = small(4);
    let mut record = b"something else".to_vec();
    for text in [&b"one"[..], b"", b"three and more"] {
        ring.push(text).unwrap();
        ring.pop(&mut record).unwrap();
        assert_eq!(record, text);
    }
    ring.push_parts(&[b"head", b"", b"er"]).unwrap();
    ring.pop(&mut record).unwrap();
    assert_eq!(record, b"header");
}

#[test]
fn capacity() {
    for items in [1, 2, 3, 100] {
        let ring = small(items);
        assert_eq!(ring.capacity(), items);
        for _ in 0..items {
            ring.try_push(b"x").unwrap();
        }
        assert!(matches!(ring.try_push(b"x"), Err(TryPushError::Full)));
        assert!(ring.is_full());
    }
    for items in [0, (1 << 31) + 1, usize::MAX] {
        let error = Ring::builder().items(items).create().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    assert!(Ring::builder().bytes(usize::MAX).create().is_err());
}

#[test]
fn len_empty_full() {
    let ring = small(2);
    let mut record = Vec::new();
    assert!(ring.is_empty() && !ring.is_full());
    ring.push(b"1").unwrap();
    assert!(!ring.is_empty() && !ring.is_full() && ring.len() == 1);
    ring.push(b"2").unwrap();
    assert!(!ring.is_empty() && ring.is_full() && ring.len() == 2);
    ring.pop(&mut record).unwrap();
    assert_eq!(ring.len(), 1);
}

#[test]
fn try_recv() {
    let ring = small(1);
    let mut record = Vec::new();
    assert!(matches!(ring.try_pop(&mut record), Err(TryPopError::Empty)));
    ring.try_push(b"x").unwrap();
    ring.try_pop(&mut record).unwrap();
    assert_eq!(record, b"x");
    ring.close();
    assert!(matches!(ring.try_pop(&mut record), Err(TryPopError::Closed)));
    assert!(matches!(ring.try_push(b"x"), Err(TryPushError::Closed)));
}

#[test]
fn recv_timeout() {
    let ring = small(1);
    let mut record = Vec::new();
    for timeout in [0, 1, 30, 60].map(Duration::from_millis) {
        let start = Instant::now();
        let result = ring.pop_timeout(&mut record, timeout);
        assert!(matches!(result, Err(PopTimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout, "early by {:?}", timeout - start.elapsed());
    }
    ring.push(b"x").unwrap();
    ring.pop_timeout(&mut record, Duration::MAX).unwrap();
    let deadline = Instant::now() + Duration::from_millis(5);
    assert!(ring.pop_deadline(&mut record, deadline).is_err() && Instant::now() >= deadline);
}

#[test]
fn send_timeout() {
    let ring = small(1);
    ring.push(b"x").unwrap();
    for timeout in [0, 1, 30, 60].map(Duration::from_millis) {
        let start = Instant::now();
        let result = ring.push_timeout(b"y", timeout);
        assert!(matches!(result, Err(PushTimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout, "early by {:?}", timeout - start.elapsed());
    }
    assert_eq!(ring.len(), 1);
}

#[test]
fn sizes_around_the_wrap() {
    let ring = small(1000);
    let mut popped = Vec::new();
    // Each round begins elsewhere, so that every length meets the end of the ring at some place.
    for round in 0..4096_u64 {
        let len = (round % 1030) as usize;
        let sent = record(1, round, len);
        ring.push(&sent).unwrap();
        ring.push(&[7; 5]).unwrap();
        ring.pop(&mut popped).unwrap();
        assert!(popped == sent, "{len} bytes in round {round}");
        ring.pop(&mut popped).unwrap();
        assert_eq!(popped, [7; 5]);
    }
}

#[test]
fn bytes_run_out_before_items() {
    let ring = small(1000);
    let count = (0..).take_while(|_| ring.try_push(&[1; 1000]).is_ok()).count();
    assert_eq!(count, 4, "4096 / 1008");
    assert!(!ring.is_full());
    let mut record = Vec::new();
    ring.pop(&mut record).unwrap();
    ring.try_push(&[2; 1000]).unwrap();
}

#[test]
fn large_records() {
    let ring = small(8);
    let mut popped = Vec::new();
    for len in [1024, 1025, 4096, 100_000, 16 << 20, (16 << 20) + 1, 20 << 20] {
        let mut sent = vec![len as u8; len];
        sent[len - 1] = 77;
        ring.push(b"small").unwrap();
        ring.push(&sent).unwrap();
        ring.push(b"after").unwrap();
        ring.pop(&mut popped).unwrap();
        assert_eq!(popped, b"small");
        ring.pop(&mut popped).unwrap();
        assert!(popped == sent, "{len} bytes");
        ring.pop(&mut popped).unwrap();
        assert_eq!(popped, b"after");
    }
    let max = ring.max_len();
    assert!(max >= 1 << 30);
}

#[test]
fn large_records_in_flight() {
    let ring = small(100);
    let len = |number: usize| 900_000 + number * 7001;
    let mut popped = Vec::new();
    let (mut pushed, mut taken) = (0, 0);
    // More than the window holds at once, in lengths that do not divide it.
    for round in 0..200 {
        if ring.try_push(&vec![pushed as u8; len(pushed)]).is_ok() {
            pushed += 1;
        }
        if round % 3 == 0 || round > 150 {
            ring.try_pop(&mut popped).unwrap();
            assert!(popped == vec![taken as u8; len(taken)], "record {taken}");
            taken += 1;
        }
    }
    assert_eq!(pushed - taken, ring.len());
    assert!(taken > 80);
}

/// Whatever has passed through a ring, what is large takes no more memory than was in flight at a time, and so stays in the caches.
#[test]
fn large_records_use_little_memory_again() {
    const LEN: usize = 1 << 20;
    let ring = small(100);
    let (sent, mut popped) = (vec![7; LEN], Vec::new());
    ring.push(&sent).unwrap();
    ring.push(&sent).unwrap();
    for _ in 0..100 {
        ring.push(&sent).unwrap();
        ring.pop(&mut popped).unwrap();
        assert!(popped == sent);
    }
    let status = fstat(&ring.parts().outside).unwrap();
    let used = status.st_blocks as usize * 512;
    assert!((3 * LEN..4 * LEN).contains(&used), "{used} bytes");
}

#[test]
fn batches() {
    let ring = Ring::builder().items(300).create().unwrap();
    let records: Vec<_> = (0..1000).map(|number| record(4, number, len(number))).collect();
    let mut ledger = Ledger::default();
    let mut batch = Batch::new();
    thread::scope(|scope| {
        scope.spawn(|| ring.push_many(records.iter().map(Vec::as_slice)).unwrap());
        let mut count = 0;
        while count < 1000 {
            let got = ring.pop_many(77, &mut batch).unwrap();
            assert!((1..=77).contains(&got) && got == batch.iter().count());
            count += got;
            batch.iter().for_each(|bytes| ledger.add(bytes));
        }
    });
    ledger.assert_complete(&[(4, 1000)]);
    let error = ring.try_push_many((0..301).map(|_| &b"x"[..])).unwrap_err();
    assert!(error.pushed == 300 && matches!(error.error, TryPushError::Full));
    assert_eq!(ring.pop_many(0, &mut batch).unwrap(), 0);
}

#[test]
fn spsc() {
    isolated(|| {
        let ring = small(50);
        let child = fork_child(|| {
            (0..20_000).for_each(|number| ring.push(&record(0, number, len(number))).unwrap());
            0
        });
        let (mut ledger, mut popped) = (Ledger::default(), Vec::new());
        for _ in 0..20_000 {
            ring.pop(&mut popped).unwrap();
            ledger.add(&popped);
        }
        ledger.assert_complete(&[(0, 20_000)]);
        assert!(child.wait().success() && ring.is_empty());
    });
}

#[test]
fn mpmc() {
    isolated(|| {
        const EACH: u64 = 3000;
        let (ring, results) = (small(20), Ring::builder().items(10).create().unwrap());
        let producers = [0, 1, 2].map(|producer| {
            let ring = ring.clone();
            fork_child(move || {
                (0..EACH).for_each(|n| ring.push(&record(producer, n, len(n))).unwrap());
                0
            })
        });
        let consumers = [0, 1].map(|_| {
            fork_child(|| {
                let mut popped = Vec::new();
                while ring.pop(&mut popped).is_ok() {
                    results.push(&popped).unwrap();
                }
                0
            })
        });
        let (mut ledger, mut popped) = (Ledger::default(), Vec::new());
        for _ in 0..3 * EACH {
            results.pop(&mut popped).unwrap();
            ledger.add(&popped);
        }
        assert!(producers.map(|child| child.wait().success()).iter().all(|&ok| ok));
        ring.close();
        assert!(consumers.map(|child| child.wait().success()).iter().all(|&ok| ok));
        ledger.0.values_mut().for_each(|numbers| numbers.sort_unstable());
        ledger.assert_complete(&[(0, EACH), (1, EACH), (2, EACH)]);
        assert!(results.is_empty());
    });
}

/// Where files may not be that long, the longest record is shorter, and nothing else changes.
#[test]
fn a_limit_on_file_sizes() {
    isolated(|| {
        setrlimit(Resource::RLIMIT_FSIZE, 32 << 20, 32 << 20).unwrap();
        let ring = small(4);
        let max = ring.max_len();
        assert_eq!(max, 16 << 20);
        let mut popped = Vec::new();
        ring.push(&vec![1; max]).unwrap();
        ring.pop(&mut popped).unwrap();
        assert!(popped == vec![1; max]);
        let error = ring.push(&vec![1; max + 1]).unwrap_err();
        assert!(matches!(error, PushError::TooLarge { len, max: m } if len == max + 1 && m == max));
        assert!(ring.is_empty());
    });
}

extern "C" fn ignore(_: i32) {}

/// A signal handler without `SA_RESTART` interrupts every sleep, and no wait ends early or goes wrong by it.
#[test]
fn signals_interrupt_nothing() {
    isolated(|| {
        let action = SigAction::new(SigHandler::Handler(ignore), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
        let (ring, done) = (small(1), small(1));
        let child = fork_child(|| {
            let start = Instant::now();
            let timeout = Duration::from_millis(150);
            let late = ring.pop_timeout(&mut Vec::new(), timeout);
            let right =
                matches!(late, Err(PopTimeoutError::TimedOut)) && start.elapsed() >= timeout;
            ring.pop(&mut Vec::new()).unwrap();
            done.push(b"done").unwrap();
            i32::from(!right)
        });
        let (mut popped, start) = (Vec::new(), Instant::now());
        while done.pop_timeout(&mut popped, Duration::from_millis(1)).is_err() {
            child.signal(libc::SIGUSR1);
            if start.elapsed() > Duration::from_millis(300) && ring.is_empty() {
                ring.push(b"at last").unwrap();
            }
        }
        assert!(child.wait().success());
    });
}

#[test]
fn close_drains() {
    let ring = small(5);
    ring.push(b"last").unwrap();
    ring.close();
    assert!(ring.is_closed() && matches!(ring.push(b"x"), Err(PushError::Closed)));
    let mut record = Vec::new();
    ring.pop(&mut record).unwrap();
    assert_eq!(record, b"last");
    assert!(matches!(ring.pop(&mut record), Err(PopError::Closed)));
}

#[test]
fn close_wakes() {
    isolated(|| {
        let (empty, full) = (small(1), small(1));
        full.push(b"x").unwrap();
        let children = [0, 1, 2, 3].map(|role| {
            fork_child(|| match role % 2 {
                0 => i32::from(!matches!(empty.pop(&mut Vec::new()), Err(PopError::Closed))),
                _ => i32::from(!matches!(full.push(b"y"), Err(PushError::Closed))),
            })
        });
        // Asleep: each waiter is in its second slice or a later one.
        let asleep = Instant::now() + Duration::from_millis(60);
        assert!(empty.pop_deadline(&mut Vec::new(), asleep).is_err());
        empty.close();
        full.close();
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
    });
}
