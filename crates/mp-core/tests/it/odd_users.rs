//! What users do that nobody does: destructors and wakers that panic, queues at the end of a thread. And what
//! they may meet: a fork server that stands still, an initializer that never returns.

use std::{
    cell::RefCell,
    fs,
    future::Future,
    io,
    panic::panic_any,
    pin::Pin,
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use mp_core::{
    Error, JoinableQueue, Lock, Pool, Process, Queue, SharedMemory, Signal, SimpleQueue,
    SpawnError, StartMethod, TaskError, ThreadPool, pipe, worker,
};
use mp_testkit::{Watched, expect_orphans, isolated, wait_for_kill};
use serde::{Deserialize, Serialize};

use crate::{LONG, warm_up};

/// Where it panics when it is dropped: in this process.
static ARMED: AtomicU32 = AtomicU32::new(0);

#[derive(Serialize, Deserialize, Debug)]
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(ARMED.load(Relaxed) != process::id(), "on purpose");
    }
}

struct PanicsWhenWoken(mpsc::Sender<()>);

impl Wake for PanicsWhenWoken {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap();
        panic!("on purpose");
    }
}

pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F, waker: &Waker) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(waker)).is_pending()
}

#[test]
fn what_panics_when_it_is_dropped_or_woken_holds_no_pool_up() {
    isolated(|| {
        warm_up();
        ARMED.store(process::id(), Relaxed);
        let (woken, told) = mpsc::channel();
        for order in 0..3 {
            let pool = Pool::new(1).unwrap();
            let gate = Queue::bounded(1).unwrap();
            match order {
                // Nobody wants the result, nobody waits.
                0 => drop(pool.submit(|n: u32| Bomb(n), 1).unwrap()),
                1 => pool.submit(|n: u32| n, 1).unwrap().on_done(|_| panic_any(Bomb(1))),
                _ => {
                    let waker = Waker::from(Arc::new(PanicsWhenWoken(woken.clone())));
                    let wait = |gate: Queue<u8>| gate.get().unwrap();
                    let mut task = pool.submit(wait, gate.clone()).unwrap();
                    assert!(poll_once(&mut task, &waker));
                    gate.put(7).unwrap();
                    told.recv_timeout(LONG).unwrap();
                    assert_eq!(task.get_timeout(LONG).unwrap(), 7);
                }
            }
            assert_eq!(pool.map(|n: u32| n, 0..3).unwrap(), [0, 1, 2]);
            pool.join_timeout(LONG).unwrap().unwrap();
        }
    });
}

#[test]
fn neither_does_it_a_pool_of_threads() {
    isolated(|| {
        ARMED.store(process::id(), Relaxed);
        let pool = ThreadPool::new(1).unwrap();
        let panicked = pool.apply(
            |n: u32| {
                if n == 1 {
                    panic_any(Bomb(n))
                }
            },
            1,
        );
        assert!(matches!(panicked, Err(Error::Task(TaskError::Panicked(_)))));
        drop(pool.submit(Bomb, 1).unwrap());
        assert_eq!(pool.apply(|n: u32| n, 2).unwrap(), 2);
        pool.join().unwrap();
    });
}

/// Of one thread, which waits for tasks that only it can run.
#[test]
fn a_task_of_a_thread_pool_waits_for_others_of_it() {
    isolated(|| {
        for threads in [1, 2] {
            let pool = Arc::new(ThreadPool::new(threads).unwrap());
            let own = Arc::clone(&pool);
            let nested = move |n: u64| {
                let inner = Arc::clone(&own);
                let deep = move |n: u64| inner.apply(|n: u64| n * n, n).unwrap();
                let tasks = (0..n).map(|n| own.submit(deep.clone(), n).unwrap());
                tasks.collect::<Vec<_>>().into_iter().map(|task| task.get().unwrap()).sum::<u64>()
            };
            let tasks: Vec<_> = (0..4).map(|_| pool.submit(nested.clone(), 10).unwrap()).collect();
            drop(nested);
            for task in tasks {
                assert_eq!(task.get_timeout(LONG).unwrap(), 285);
            }
            // Its threads have dropped their handles when they have ended.
            let pool = Arc::try_unwrap(pool);
            pool.map_or_else(drop, |pool| pool.join().unwrap());
        }
    });
}

#[test]
fn threads_have_the_methods_of_processes() {
    isolated(|| {
        let pool = ThreadPool::new(2).unwrap();
        let factor = 3;
        assert_eq!(pool.map_with(&factor, |f, n: u32| f * n, [1, 2]).unwrap(), [3, 6]);
        assert_eq!(pool.map_async(|n: u32| n + 1, 0..4).unwrap().get().unwrap(), [1, 2, 3, 4]);
        let failed = pool.map_async(|n: u32| assert_ne!(n, 2), 0..4).unwrap().get();
        assert!(matches!(failed, Err(TaskError::Panicked(_))));

        // The first one waits until we have the outcome of the second one.
        let gate = Queue::<u8>::bounded(1).unwrap();
        let theirs = gate.clone();
        let wait = move |n: u32| {
            if n == 0 {
                theirs.get().unwrap();
            }
            n
        };
        let mut outcomes = pool.imap_unordered(wait, 0..2).unwrap();
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        gate.put(0).unwrap();
        assert_eq!(outcomes.next().unwrap().unwrap(), 0);
        assert!(outcomes.next().is_none());
        drop(outcomes);
        let mut all: Vec<_> =
            pool.imap_unordered(|n: u32| n, 0..500).unwrap().map(Result::unwrap).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..500));

        // Once it is closed why is the last outcome, of an iterator without end too.
        let mut endless = pool.imap(|n: u32| n, 0..).unwrap();
        assert_eq!(endless.next().unwrap().unwrap(), 0);
        pool.close();
        let rest: Vec<_> = endless.collect();
        assert!(matches!(rest.last(), Some(Err(TaskError::Stopped(_)))));
        assert!(rest.iter().rev().skip(1).all(Result::is_ok));
        pool.terminate().unwrap();
    });
}

#[test]
fn outcomes_have_deadlines() {
    isolated(|| {
        warm_up();
        let pool = Pool::new(2).unwrap();
        let gate = Queue::bounded(4).unwrap();
        let wait = |(gate, n): (Queue<u8>, u8)| if n == 1 { gate.get().unwrap() } else { n };
        let items = (0..3).map(|n| (gate.clone(), n));
        let mut outcomes = pool.job().chunk_size(1).imap(wait, items).unwrap();
        assert_eq!(outcomes.next_timeout(LONG).unwrap().unwrap().unwrap(), 0);
        let (start, timeout) = (Instant::now(), Duration::from_millis(40));
        assert!(outcomes.try_next().is_err());
        assert!(outcomes.next_timeout(timeout).is_err() && start.elapsed() >= timeout);
        assert!(outcomes.next_deadline(start).is_err());
        gate.put(9).unwrap();
        assert_eq!(outcomes.next_deadline(Instant::now() + LONG).unwrap().unwrap().unwrap(), 9);
        assert_eq!(outcomes.next().unwrap().unwrap(), 2);
        assert!(outcomes.try_next().unwrap().is_none());
        // A worker that dies is an outcome, and no time-out.
        let mut outcomes = pool.imap(|_: u8| process::abort(), [0u8]).unwrap();
        let outcome: Result<(), _> = outcomes.next_timeout(LONG).unwrap().unwrap();
        assert!(matches!(outcome, Err(TaskError::WorkerDied(_))));
        pool.join().unwrap();
    });
}

/// A worker that has too much memory before it has done anything.
#[test]
fn workers_that_are_too_large_at_birth_do_their_tasks() {
    isolated(|| {
        warm_up();
        let pool = Pool::builder().workers(2).max_memory_per_child(1).build().unwrap();
        assert!(pool.map(|n: u32| n, 0..20).unwrap().into_iter().eq(0..20));
        pool.join().unwrap();
    });
}

/// Uses all that has memory of the thread, after that is gone.
struct Late {
    queue: Queue<u32>,
    lock: Lock,
    pool: Arc<Pool>,
    told: mpsc::Sender<u32>,
}

impl Drop for Late {
    fn drop(&mut self) {
        self.queue.put(1).unwrap();
        self.queue.put_many([2, 3]).unwrap();
        let mut items = vec![self.queue.get().unwrap()];
        self.queue.get_many(2, &mut items).unwrap();
        drop(self.lock.lock().unwrap());
        items.push(self.pool.apply(|n: u32| n, 4).unwrap());
        items.push(Process::spawn(|n: u32| n, 5).unwrap().join().unwrap());
        self.told.send(items.into_iter().sum()).unwrap();
    }
}

thread_local! {
    static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
}

#[test]
fn all_works_at_the_end_of_a_thread() {
    isolated(|| {
        warm_up();
        let (told, sum) = mpsc::channel();
        let pool = Arc::new(Pool::new(1).unwrap());
        let (queue, lock) = (Queue::bounded(4).unwrap(), Lock::new().unwrap());
        let late = Late { queue, lock, pool: Arc::clone(&pool), told };
        let work = || {
            // Before all others, so that it is dropped after them.
            LATE.set(Some(late));
            LATE.with_borrow(|late| {
                let Late { queue, pool, .. } = late.as_ref().unwrap();
                queue.put_many([1]).unwrap();
                queue.put(1).unwrap();
                queue.get().unwrap();
                queue.get_many(1, &mut Vec::new()).unwrap();
                pool.apply(|n: u32| n, 1).unwrap();
            });
        };
        thread::spawn(work).join().unwrap();
        assert_eq!(sum.recv().unwrap(), 15);
    });
}

/// The child of this process that has this name.
fn child_named(name: &str) -> Option<Watched> {
    let own = process::id().to_string();
    let is_it = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { return false };
        let mut fields = stat[close + 1..].split_whitespace();
        &stat[open + 1..close] == name
            && fields.next() != Some("Z")
            && fields.next() == Some(own.as_str())
    };
    let pids = fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.into_iter().find(is_it).and_then(Watched::new)
}

pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_stopped_fork_server_holds_no_pool_up() {
    isolated(|| {
        expect_orphans();
        warm_up();
        let ends: [fn(Pool); 3] = [
            |pool| pool.terminate().unwrap(),
            drop,
            // The server is replaced, and so are the workers.
            |pool| assert_eq!(pool.map(|n: u32| n, 0..9).unwrap().len(), 9),
        ];
        for end in ends {
            let pool = Pool::builder().workers(2).drop_grace(Duration::ZERO).build().unwrap();
            pool.map(|n: u32| n, 0..9).unwrap();
            eventually("there is a server", || child_named("mp-forkserver").is_some());
            let server = child_named("mp-forkserver").unwrap();
            assert!(server.signal(Signal::STOP.as_raw()));
            // One is replaced by the process that has been made ahead, the other one waits for the server.
            for pid in pool.pids() {
                assert!(Watched::new(pid).unwrap().signal(Signal::KILL.as_raw()));
            }
            let start = Instant::now();
            end(pool);
            assert!(start.elapsed() < LONG / 2);
            server.signal(Signal::KILL.as_raw());
            assert_eq!(Process::spawn(|n: u32| n, 1).unwrap().join().unwrap(), 1);
        }
    });
}

#[test]
fn a_pool_that_never_becomes_one() {
    isolated(|| {
        warm_up();
        let (start, timeout) = (Instant::now(), Duration::from_millis(100));
        for method in [StartMethod::Forkserver, StartMethod::Spawn] {
            let builder = Pool::builder().workers(2).start_method(method);
            let builder = builder.initializer(|()| wait_for_kill(), ()).unwrap();
            let error = builder.build_timeout(timeout).unwrap_err();
            let is_late = error.io_kind() == Some(io::ErrorKind::TimedOut);
            // On a machine that has not even started the processes by then.
            assert!(is_late || matches!(error, Error::Spawn(SpawnError::TimedOut)), "{error}");
        }
        assert!(start.elapsed() >= timeout && start.elapsed() < LONG);
        let builder = Pool::builder().workers(1).initializer(|()| (), ()).unwrap();
        let pool = builder.build_deadline(Instant::now() + LONG).unwrap();
        assert_eq!(pool.apply(|()| worker::id(), ()).unwrap(), Some(0));
    });
}

/// Those of which no other test sends a handle over a connection.
#[test]
fn the_other_handles_over_a_connection() {
    isolated(|| {
        type Handles = (JoinableQueue<u8>, SimpleQueue<u8>, SharedMemory);
        warm_up();
        let (ours, theirs) = pipe().unwrap();
        let sent: Handles = (
            JoinableQueue::with_deliveries(4, 2).unwrap(),
            SimpleQueue::new().unwrap(),
            SharedMemory::create(64).unwrap(),
        );
        // Twice in a message, which is one queue.
        theirs.send(&(&sent, &sent.0)).unwrap();
        let (received, again): (Handles, JoinableQueue<u8>) = ours.recv().unwrap();
        received.0.put(1).unwrap();
        assert_eq!(again.get().unwrap(), 1);
        again.task_done().unwrap();
        assert!(sent.0.join_timeout(LONG).unwrap());
        received.1.put(2).unwrap();
        assert_eq!(sent.1.get().unwrap(), 2);
        received.2.memory().write(0, 3_u8).unwrap();
        assert_eq!(sent.2.memory().read::<u8>(0).unwrap(), 3);
        // Another process gets them by a connection too.
        let (ours, theirs) = pipe().unwrap();
        let take = |peer: mp_core::Connection| {
            let (queue, simple, memory): Handles = peer.recv().unwrap();
            queue.put(memory.memory().read::<u8>(0).unwrap()).unwrap();
            simple.put(4).unwrap();
        };
        let child = Process::spawn(take, theirs).unwrap();
        ours.send(&sent).unwrap();
        child.join().unwrap();
        assert_eq!((sent.0.get().unwrap(), sent.1.get().unwrap()), (3, 4));
        sent.0.task_done().unwrap();
    });
}
