//! Many tasks at once, callbacks, and threads in place of processes.

use std::{
    io::ErrorKind,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use mp_core::{
    Error, GetTimeoutError, Pool, PoolStopped, Queue, Result, Task, TaskError, ThreadPool,
    executor::{self, Executor, WaitFor},
    worker,
};
use mp_testkit::{Watched, isolated};

use crate::{LONG, METHODS, block_on, warm_up};

crate::methods::for_each_method! {
    as_completed_follows_the_ends,
    wait_returns_when_it_should,
    a_wait_ends_when_the_workers_die,
    a_map_in_the_background_has_one_result,
    callbacks_hear_of_a_terminated_pool,
    a_callback_may_own_the_pool,
    a_callback_may_wait_for_a_task_whose_worker_dies,
}

/// All executors, by one line each.
fn each(mut test: impl FnMut(&dyn Fn() -> Any)) {
    warm_up();
    for method in METHODS {
        test(&|| Any::Pool(Pool::builder().workers(2).start_method(method).build().unwrap()));
    }
    test(&|| Any::Threads(ThreadPool::new(2).unwrap()));
    test(&|| Any::Pool(Pool::builder().serial().build().unwrap()));
}

enum Any {
    Pool(Pool),
    Threads(ThreadPool),
}

/// Calls the same method, whichever it is.
macro_rules! on {
    ($any:expr, $pool:ident => $call:expr) => {
        match $any {
            Any::Pool($pool) => $call,
            Any::Threads($pool) => $call,
        }
    };
}

fn square(n: u64) -> u64 {
    assert_ne!(n, 13, "unlucky");
    n * n
}

fn everything(executor: impl Executor) -> Result<()> {
    assert!(executor.workers() > 0);
    assert_eq!(executor.map(square, 0..10)?, (0..10).map(|n| n * n).collect::<Vec<_>>());
    assert_eq!(executor.map(square, [])?, []);
    let error = executor.map(square, 10..20).unwrap_err();
    let Error::Task(TaskError::Panicked(panic)) = &error else { panic!("{error}") };
    assert!(panic.message.contains("unlucky"), "{panic}");

    let outcomes: Vec<_> = executor.imap(square, 0..100)?.collect();
    for (n, outcome) in (0..).zip(&outcomes) {
        match outcome {
            Ok(value) => assert_eq!(*value, n * n),
            Err(error) => assert!(n == 13 && matches!(error, TaskError::Panicked(_)), "{error}"),
        }
    }
    assert_eq!(outcomes.len(), 100);
    assert!(executor.map(|_: u32| worker::id().is_some(), 0..20)?.into_iter().all(|is| is));
    let last = executor.submit(square, 12)?;
    executor.shutdown(true, false)?;
    assert_eq!(last.get()?, 144);
    Ok(())
}

#[test]
fn all_executors_are_alike() {
    isolated(|| each(|make| on!(make(), pool => everything(pool)).unwrap()));
}

#[test]
fn as_completed_gives_each_task_once() {
    isolated(|| {
        each(|make| {
            let pool = make();
            let tasks: Vec<_> =
                (0..200).map(|n| on!(&pool, pool => pool.submit(square, n)).unwrap()).collect();
            let completed = executor::as_completed(tasks);
            assert_eq!(completed.len(), 200);
            let mut squares: Vec<u64> = completed.filter_map(|task| task.get().ok()).collect();
            squares.sort_unstable();
            assert!(squares.into_iter().eq((0..200).filter(|n| *n != 13).map(|n| n * n)));
        });
        assert!(executor::as_completed(Vec::<Task<u8>>::new()).next().is_none());
    });
}

fn pass((gate, n): (Queue<u32>, u32)) -> u32 {
    n + gate.get().unwrap()
}

fn as_completed_follows_the_ends() {
    let (pool, threads) = (Pool::new(3).unwrap(), ThreadPool::new(1).unwrap());
    let gates = [(); 4].map(|()| Queue::<u32>::bounded(1).unwrap());
    // Of two pools: the iterator keeps one of them going, the other does it itself.
    for order in [[3, 1, 2, 0], [0, 1, 3, 2]] {
        let submit = |at: usize| {
            let argument = (gates[at].clone(), at as u32);
            if at == 3 { threads.submit(pass, argument) } else { pool.submit(pass, argument) }
        };
        let tasks: Vec<_> = (0..4).map(|at| submit(at).unwrap()).collect();
        let mut completed = executor::as_completed(tasks);
        assert!(completed.try_next().is_err());
        assert!(completed.next_timeout(Duration::from_millis(10)).is_err());
        for at in order {
            gates[at].put(0).unwrap();
            let task = completed.next_timeout(LONG).unwrap().unwrap();
            assert_eq!(task.get().unwrap() as usize, at);
        }
        assert!(completed.next().is_none() && completed.pending() == 0);
    }
}

fn wait_returns_when_it_should() {
    let (pool, threads) = (Pool::new(3).unwrap(), ThreadPool::new(3).unwrap());
    for is_pool in [true, false] {
        let gates = [(); 3].map(|()| Queue::<u32>::bounded(1).unwrap());
        let submit = |at: usize| {
            let argument = (gates[at].clone(), u32::MAX);
            let task = |(gate, n): (Queue<u32>, u32)| n.checked_add(gate.get().unwrap()).unwrap();
            if is_pool { pool.submit(task, argument) } else { threads.submit(task, argument) }
        };
        let tasks: Vec<_> = (0..3).map(|at| submit(at).unwrap()).collect();
        let short = Duration::from_millis(20);
        let start = Instant::now();
        let waited = executor::wait_timeout(tasks, WaitFor::FirstDone, short);
        assert!(start.elapsed() >= short);
        assert_eq!((waited.done.len(), waited.pending.len()), (0, 3));

        gates[0].put(0).unwrap();
        let waited = executor::wait(waited.pending, WaitFor::FirstDone);
        assert_eq!((waited.done.len(), waited.pending.len()), (1, 2));
        assert!(!waited.done[0].has_failed());

        // One that has ended well is not enough; one that has failed is.
        let all = waited.done.into_iter().chain(waited.pending);
        let waited = executor::wait_timeout(all, WaitFor::FirstFailed, short);
        assert_eq!((waited.done.len(), waited.pending.len()), (1, 2));
        gates[1].put(1).unwrap();
        let all = waited.done.into_iter().chain(waited.pending);
        let waited = executor::wait(all, WaitFor::FirstFailed);
        assert_eq!((waited.done.len(), waited.pending.len()), (2, 1));
        assert!(waited.done[1].has_failed());

        let waited = executor::wait_timeout(waited.pending, WaitFor::AllDone, short);
        assert_eq!(waited.pending.len(), 1);
        gates[2].put(0).unwrap();
        let waited =
            executor::wait_deadline(waited.pending, WaitFor::AllDone, Instant::now() + LONG);
        assert_eq!((waited.done.len(), waited.pending.len()), (1, 0));
    }
}

fn a_wait_ends_when_the_workers_die() {
    let pool = Pool::new(2).unwrap();
    let (started, gate) = (Queue::bounded(2).unwrap(), Queue::<u32>::bounded(2).unwrap());
    let wait = |(started, gate): (Queue<u32>, Queue<u32>)| {
        started.put(0).unwrap();
        gate.get().unwrap()
    };
    let tasks: Vec<_> =
        (0..2).map(|_| pool.submit(wait, (started.clone(), gate.clone())).unwrap()).collect();
    (0..2).for_each(|_| assert!(started.get().is_ok()));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| executor::wait(tasks, WaitFor::AllDone));
        for pid in pool.pids() {
            assert!(Watched::new(pid).unwrap().signal(mp_core::Signal::KILL.as_raw()));
        }
        assert_eq!(waiter.join().unwrap().done.len(), 2);
    });
}

fn a_map_in_the_background_has_one_result() {
    let pool = Pool::new(2).unwrap();
    let task = pool.map_async(square, 20..1_000).unwrap();
    assert!(task.get().unwrap().into_iter().eq((20..1_000).map(|n| n * n)));
    assert_eq!(pool.map_async(square, []).unwrap().get().unwrap(), []);
    let task = pool.map_async(square, 0..100).unwrap();
    assert!(matches!(task.get_timeout(LONG), Err(error) if error.to_string().contains("unlucky")));
    let starred = pool.map_async(|(a, b): (u32, u32)| a - b, [(5, 3), (9, 2)]).unwrap();
    assert_eq!(block_on(starred).unwrap(), [2, 7]);
    let pool = Pool::builder().workers(2).chunk_size(1).build().unwrap();
    let (started, gate) = (Queue::bounded(64).unwrap(), Queue::<u32>::bounded(64).unwrap());
    let wait = |(started, gate): (Queue<u32>, Queue<u32>)| {
        started.put(0).unwrap();
        gate.get().unwrap()
    };
    let task = pool.map_async(wait, (0..50).map(|_| (started.clone(), gate.clone()))).unwrap();
    (0..2).for_each(|_| assert!(started.get().is_ok()));
    assert!(task.cancel());
    assert!(matches!(task.get(), Err(TaskError::Cancelled)));
    assert_eq!(started.len(), 0, "no other has begun");
    pool.close();
    assert!(matches!(pool.map_async(square, [1]), Err(Error::Stopped(PoolStopped::Closed))));
}

#[test]
fn callbacks_are_called_once() {
    isolated(|| {
        each(|make| {
            let pool = make();
            let (sender, receiver) = mpsc::channel();
            for n in 0..50 {
                let sender = sender.clone();
                let task = on!(&pool, pool => pool.submit(square, n)).unwrap();
                task.on_done(move |outcome| sender.send((n, outcome.ok())).unwrap());
            }
            drop(sender);
            // It ends when the last callback is gone.
            let mut heard: Vec<_> = receiver.iter().collect();
            heard.sort_unstable();
            assert!(heard.into_iter().eq((0..50).map(|n| (n, (n != 13).then_some(n * n)))));

            let task = on!(&pool, pool => pool.submit(square, 3)).unwrap();
            on!(&pool, pool => pool.submit(square, 4))
                .unwrap()
                .on_done(|_| panic!("in a callback"));
            assert_eq!(task.get().unwrap(), 9, "a callback that panics harms nobody");
            assert_eq!(on!(&pool, pool => pool.apply(square, 5)).unwrap(), 25);
        });
        let pool = Pool::new(2).unwrap();
        let (sender, receiver) = mpsc::channel();
        pool.map_async(square, 0..5).unwrap().on_done(move |all| sender.send(all).unwrap());
        assert_eq!(receiver.recv_timeout(LONG).unwrap().unwrap(), [0, 1, 4, 9, 16]);
        let task = pool.submit(square, 6).unwrap();
        while !task.is_done() {
            thread::yield_now();
        }
        let called = Arc::new(AtomicU32::new(0));
        let theirs = Arc::clone(&called);
        task.on_done(move |outcome| theirs.store(outcome.unwrap() as u32, Relaxed));
        assert_eq!(called.load(Relaxed), 36, "at once");
    });
}

fn callbacks_hear_of_a_terminated_pool() {
    let pool = Pool::new(1).unwrap();
    let gate = Queue::<u32>::bounded(1).unwrap();
    let (sender, receiver) = mpsc::channel();
    for _ in 0..300 {
        let sender = sender.clone();
        let task = pool.submit(pass, (gate.clone(), 0)).unwrap();
        task.on_done(move |outcome| sender.send(outcome.is_err()).unwrap());
    }
    drop(sender);
    pool.terminate().unwrap();
    let failed: Vec<_> = receiver.iter().collect();
    assert!(failed.len() == 300 && failed.into_iter().all(|failed| failed));
}

/// How many threads this process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// It is called by the thread that the end of the pool waits for.
fn a_callback_may_own_the_pool() {
    let before = threads();
    let ends: [fn(Pool) -> Result<()>; 4] = [
        |pool| {
            drop(pool);
            Ok(())
        },
        Pool::terminate,
        |pool| pool.shutdown(false, true),
        // What it waits for is itself.
        |pool| match pool.join() {
            Err(Error::Os(error)) if error.kind() == ErrorKind::Deadlock => Ok(()),
            other => panic!("{other:?}"),
        },
    ];
    for end in ends {
        let pool =
            Pool::builder().workers(2).drop_grace(Duration::from_millis(20)).build().unwrap();
        let gate = Queue::<u32>::bounded(1).unwrap();
        let never = Queue::bounded(1).unwrap();
        let stuck = pool.submit(pass, (never.clone(), 0)).unwrap();
        let (sender, receiver) = mpsc::channel();
        let task = pool.submit(pass, (gate.clone(), 0)).unwrap();
        task.on_done(move |_| sender.send(end(pool)).unwrap());
        gate.put(0).unwrap();
        receiver.recv_timeout(LONG).unwrap().unwrap();
        // It is killed, unless the pool is to finish it.
        never.put(0).unwrap();
        assert!(!matches!(stuck.get_timeout(LONG), Err(GetTimeoutError::TimedOut(_))));
        let start = Instant::now();
        while threads() > before {
            assert!(start.elapsed() < LONG, "the pool does not end");
            thread::yield_now();
        }
    }
}

fn a_callback_may_wait_for_a_task_whose_worker_dies() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let gate = Queue::<u32>::bounded(1).unwrap();
    let (sender, receiver) = mpsc::channel();
    let theirs = Arc::clone(&pool);
    pool.submit(pass, (gate.clone(), 0)).unwrap().on_done(move |_| {
        let died = theirs.apply(|()| -> () { std::process::abort() }, ()).is_err();
        let stuck = theirs
            .job()
            .timeout(Duration::from_millis(20))
            .apply(pass, (Queue::bounded(1).unwrap(), 0));
        let is_late = matches!(stuck, Err(Error::Task(TaskError::TimedOut(_))));
        let next = theirs.map(square, 0..3).unwrap();
        drop(theirs);
        sender.send((died, is_late, next)).unwrap();
    });
    gate.put(0).unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), (true, true, vec![0, 1, 4]));
}

/// A gate for threads.
#[derive(Default)]
struct Gate(Mutex<u32>, Condvar);

impl Gate {
    fn open(&self, permits: u32) {
        *self.0.lock().unwrap() += permits;
        self.1.notify_all();
    }

    fn pass(&self) {
        let mut permits =
            self.1.wait_while(self.0.lock().unwrap(), |permits| *permits == 0).unwrap();
        *permits -= 1;
    }
}

#[test]
fn threads_cancel_what_has_not_begun() {
    isolated(|| {
        let pool = ThreadPool::new(1).unwrap();
        let (started, gate) = (Arc::new(Gate::default()), Arc::new(Gate::default()));
        let wait = {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            move |n: u32| {
                started.open(1);
                gate.pass();
                n
            }
        };
        let tasks: Vec<_> = (0..5).map(|n| pool.submit(wait.clone(), n).unwrap()).collect();
        started.pass();
        assert!(!tasks[0].cancel(), "it runs");
        assert!(tasks[1].cancel() && tasks[1].is_done() && !tasks[1].cancel());
        pool.shutdown(false, true).unwrap();
        gate.open(1);
        let outcomes: Vec<_> = tasks.into_iter().map(Task::get).collect();
        assert_eq!(*outcomes[0].as_ref().unwrap(), 0);
        assert!(outcomes[1..].iter().all(|end| matches!(end, Err(TaskError::Cancelled))));
    });
}

#[test]
fn a_task_of_a_thread_pool_may_own_it() {
    isolated(|| {
        let (sender, receiver) = mpsc::channel();
        let pool = Arc::new(ThreadPool::new(2).unwrap());
        let theirs = Arc::clone(&pool);
        let gate = Arc::new(Gate::default());
        let passed = Arc::clone(&gate);
        let task = pool.submit(
            move |()| {
                passed.pass();
                drop(theirs);
                sender.send(()).unwrap();
            },
            (),
        );
        drop(pool);
        gate.open(1);
        receiver.recv_timeout(LONG).unwrap();
        task.unwrap().get().unwrap();
        let start = Instant::now();
        while threads() > 2 {
            assert!(start.elapsed() < LONG, "the pool does not end");
            thread::yield_now();
        }
    });
}

#[test]
fn a_thread_pool_ends_with_its_threads() {
    isolated(|| {
        let pool = ThreadPool::new(3).unwrap();
        let tasks: Vec<_> = (0..100u32).map(|n| pool.submit(|n| n, n).unwrap()).collect();
        pool.close();
        assert!(matches!(pool.submit(|n: u32| n, 1), Err(Error::Stopped(PoolStopped::Closed))));
        assert!(matches!(pool.map(|n: u32| n, [1]), Err(Error::Stopped(PoolStopped::Closed))));
        pool.join().unwrap();
        assert!(tasks.iter().all(Task::is_done));
        assert!(tasks.into_iter().map(|task| task.get().unwrap()).eq(0..100));
        assert!(ThreadPool::new(0).is_err());
        let task = {
            let pool = ThreadPool::new(1).unwrap();
            pool.submit(|n: u32| n, 1).unwrap()
        };
        assert!(matches!(task.get(), Ok(1) | Err(TaskError::Cancelled)));
    });
}
