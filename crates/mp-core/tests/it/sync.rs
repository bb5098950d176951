//! Locks and other ways to wait for each other: Python's behaviour, and what it does not promise.

use std::{
    thread,
    time::{Duration, Instant},
};

use mp_core::{
    Array, Barrier, BoundedSemaphore, Condition, Error, Event, Lock, LockError, Process, Queue,
    RLock, RecvError, Semaphore, TimeoutError, TryError, Value, pipe,
};
use mp_testkit::isolated;

use crate::LONG;

crate::methods::for_each_method! {
    condition_notify;
    + by fork:
    lock,
    a_lock_is_seen_by_another_process,
    owner_dies,
    semaphore,
    bounded_semaphore,
    permits_of_the_dead_come_back,
    event,
    condition_wait_for,
    condition_survives_its_waiters_and_holders,
}

/// A child that runs `hold`, says so, and stays until it is killed.
fn held<A>(hold: fn((A, Event)), handle: &A) -> Process<()>
where
    A: Clone + serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    let ready = Event::new().unwrap();
    let child = Process::spawn(hold, (handle.clone(), ready.clone())).unwrap();
    ready.wait_timeout(LONG).unwrap();
    child
}

fn stay(ready: &Event) {
    ready.set();
    Event::new().unwrap().wait().unwrap();
}

fn kill(child: Process<()>) {
    child.kill().unwrap();
    child.join().unwrap_err();
}

fn lock() {
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    assert!(lock.is_locked());
    let error = lock.try_lock().unwrap_err();
    assert!(matches!(error, LockError::Failed(TryError::WouldBlock)));
    // Another process sees it, waits for it, and gets it.
    let child = |lock: Lock| {
        let seen = lock.is_locked();
        let timeout = lock.lock_timeout(Duration::from_millis(20));
        let waited = matches!(timeout, Err(LockError::Failed(TimeoutError::TimedOut)));
        drop(timeout);
        (seen, waited, lock.lock_timeout(LONG).is_ok())
    };
    let child = Process::spawn(child, lock.clone()).unwrap();
    drop(guard);
    let (_, _, locked) = child.join().unwrap();
    assert!(locked && !lock.is_locked());
}

fn a_lock_is_seen_by_another_process() {
    let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
    let see = |(lock, rlock): (Lock, RLock)| {
        (lock.is_locked(), rlock.is_locked(), lock.try_lock().is_ok(), rlock.try_lock().is_ok())
    };
    let all = |lock: &Lock, rlock: &RLock| {
        Process::spawn(see, (lock.clone(), rlock.clone())).unwrap().join().unwrap()
    };
    let guards = (lock.lock().unwrap(), rlock.lock().unwrap());
    assert_eq!(all(&lock, &rlock), (true, true, false, false));
    drop(guards);
    assert_eq!(all(&lock, &rlock), (false, false, true, true));
}

fn owner_dies() {
    let lock = Lock::new().unwrap();
    let hold = |(lock, ready): (Lock, Event)| {
        let _guard = lock.lock().unwrap();
        stay(&ready);
    };
    let child = held(hold, &lock);
    assert!(lock.try_lock().is_err());
    kill(child);
    let start = Instant::now();
    assert!(matches!(lock.lock_timeout(LONG), Err(LockError::OwnerDied(_))));
    println!("a lock of the dead after {:?}", start.elapsed());
    assert!(matches!(lock.lock().map_err(Error::from), Err(Error::OwnerDied)));
    drop(lock.lock().or_else(LockError::recover).unwrap());
    drop(lock.lock().unwrap());

    let rlock = RLock::new().unwrap();
    let hold = |(lock, ready): (RLock, Event)| {
        let _guards = (lock.lock().unwrap(), lock.lock().unwrap());
        stay(&ready);
    };
    kill(held(hold, &rlock));
    assert_eq!(rlock.lock_timeout(LONG).unwrap_err().recover().unwrap().depth(), 1);
}

#[test]
fn rlock() {
    isolated(|| {
        let lock = RLock::new().unwrap();
        let guards = [0; 3].map(|_| lock.lock().unwrap());
        assert_eq!(guards[2].depth(), 3);
        let other =
            || thread::scope(|scope| scope.spawn(|| lock.try_lock().is_ok()).join().unwrap());
        let [one, two, three] = guards;
        drop((one, two));
        assert!(!other());
        drop(three);
        assert!(other() && !lock.is_locked());
    });
}

fn semaphore() {
    let semaphore = Semaphore::new(2).unwrap();
    semaphore.acquire().unwrap().forget();
    semaphore.acquire().unwrap().forget();
    assert_eq!(semaphore.available(), 0);
    assert!(matches!(semaphore.try_acquire(), Err(TryError::WouldBlock)));
    let start = Instant::now();
    assert!(semaphore.acquire_timeout(Duration::from_millis(30)).is_err());
    assert!(start.elapsed() >= Duration::from_millis(30));
    // Released by another process, and above what there were at first.
    let release = |semaphore: Semaphore| semaphore.release_many(4).unwrap();
    Process::spawn(release, semaphore.clone()).unwrap().join().unwrap();
    assert_eq!(semaphore.available(), 4);
}

fn bounded_semaphore() {
    let semaphore = BoundedSemaphore::new(2).unwrap();
    assert!(semaphore.release().is_err());
    let permit = semaphore.acquire().unwrap();
    let child = |semaphore: BoundedSemaphore| {
        let permit = semaphore.acquire().unwrap();
        let none = semaphore.try_acquire().is_err();
        drop(permit);
        none
    };
    assert!(Process::spawn(child, semaphore.clone()).unwrap().join().unwrap());
    permit.forget();
    semaphore.release().unwrap();
    assert!(semaphore.release().is_err());
    assert_eq!(semaphore.available(), 2);
}

fn permits_of_the_dead_come_back() {
    let semaphore = Semaphore::new(2).unwrap();
    let hold = |(semaphore, ready): (Semaphore, Event)| {
        let _permit = semaphore.acquire().unwrap();
        stay(&ready);
    };
    let children = [held(hold, &semaphore), held(hold, &semaphore)];
    assert!(semaphore.try_acquire().is_err());
    children.into_iter().for_each(kill);
    let _permits = [0; 2].map(|_| semaphore.acquire_timeout(LONG).unwrap());
    assert!(semaphore.try_acquire().is_err());
}

fn event() {
    let event = Event::new().unwrap();
    assert!(!event.is_set() && event.try_wait().is_err());
    let start = Instant::now();
    assert!(event.wait_timeout(Duration::from_millis(30)).is_err());
    assert!(start.elapsed() >= Duration::from_millis(30));
    let child = Process::spawn(|event: Event| event.set(), event.clone()).unwrap();
    event.wait_timeout(LONG).unwrap();
    child.join().unwrap();
    event.try_wait().unwrap();
    event.clear();
    assert!(!event.is_set());
}

/// Sleepers wait, are counted, and go on as often as they are told to.
struct Sleepers {
    condition: Condition,
    sleeping: Value<u32>,
    woken: Value<u32>,
}

impl Sleepers {
    fn new() -> Self {
        Self {
            condition: Condition::new().unwrap(),
            sleeping: Value::new(0).unwrap(),
            woken: Value::new(0).unwrap(),
        }
    }

    fn parts(&self) -> (Condition, Value<u32>, Value<u32>) {
        (self.condition.clone(), self.sleeping.clone(), self.woken.clone())
    }

    /// Waits until so many sleep: they count themselves with the lock held, and wait before they release it.
    fn wait_sleeping(&self, count: u32) {
        while self.sleeping.get().unwrap() < count || self.condition.try_lock().is_err() {
            thread::yield_now();
        }
    }

    fn wait_woken(&self, count: u32) {
        let start = Instant::now();
        while self.woken.get().unwrap() < count {
            assert!(start.elapsed() < LONG);
            thread::yield_now();
        }
    }
}

fn sleep((condition, sleeping, woken): (Condition, Value<u32>, Value<u32>)) {
    let mut guard = condition.lock().unwrap();
    sleeping.update(|count| *count += 1).unwrap();
    if guard.wait_timeout(LONG).unwrap() {
        woken.update(|count| *count += 1).unwrap();
    }
}

fn condition_notify() {
    let sleepers = Sleepers::new();
    let children = [0; 4].map(|_| Process::spawn(sleep, sleepers.parts()).unwrap());
    let parts = [sleepers.parts(), sleepers.parts()];
    let threads = parts.map(|parts| thread::spawn(|| sleep(parts)));
    sleepers.wait_sleeping(6);
    let guard = || sleepers.condition.lock().unwrap();
    assert!(guard().notify_one().unwrap());
    sleepers.wait_woken(1);
    assert_eq!(guard().notify(2).unwrap(), 2);
    sleepers.wait_woken(3);
    // Longer than a slice: nobody goes on by himself.
    assert!(!guard().wait_timeout(Duration::from_millis(60)).unwrap());
    assert_eq!(sleepers.woken.get().unwrap(), 3);
    assert_eq!(guard().notify(4).unwrap(), 3);
    sleepers.wait_woken(6);
    assert_eq!(guard().notify_all().unwrap(), 0);
    children.into_iter().for_each(|child| {
        child.join().unwrap();
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn condition_timeouts() {
    isolated(|| {
        let condition = Condition::new().unwrap();
        let timeout = Duration::from_millis(30);
        let mut guard = condition.lock().unwrap();
        let start = Instant::now();
        assert!(!guard.wait_timeout(timeout).unwrap());
        assert!(!guard.wait_for_timeout(timeout, || false).unwrap());
        assert!(start.elapsed() >= 2 * timeout);
        assert!(!guard.wait_for_deadline(Instant::now() + timeout, || false).unwrap());
        assert!(start.elapsed() >= 3 * timeout);
        assert!(guard.wait_for_deadline(start, || true).unwrap());
        assert!(!guard.wait_timeout(Duration::ZERO).unwrap());
        // With the lock again.
        assert!(condition.try_lock().is_err());
        drop(guard);
        assert!(condition.try_lock().is_ok());
    });
}

fn condition_wait_for() {
    let (condition, count) = (Condition::new().unwrap(), Value::new(0_u32).unwrap());
    let child = |(condition, count): (Condition, Value<u32>)| {
        for _ in 0..4 {
            let guard = condition.lock().unwrap();
            count.update(|count| *count += 1).unwrap();
            guard.notify_one().unwrap();
        }
    };
    let child = Process::spawn(child, (condition.clone(), count.clone())).unwrap();
    let mut guard = condition.lock().unwrap();
    assert!(guard.wait_for_timeout(LONG, || count.get().unwrap() == 4).unwrap());
    drop(guard);
    child.join().unwrap();
}

fn condition_survives_its_waiters_and_holders() {
    let sleepers = Sleepers::new();
    let children = [0; 3].map(|_| Process::spawn(sleep, sleepers.parts()).unwrap());
    sleepers.wait_sleeping(3);
    let [dead, alive @ ..] = children;
    kill(dead);
    // Of the dead, too, as long as nobody has noticed.
    assert!(sleepers.condition.lock().unwrap().notify_all().unwrap() >= 2);
    alive.into_iter().for_each(|child| {
        child.join().unwrap();
    });
    assert_eq!(sleepers.woken.get().unwrap(), 2);

    let hold = |(condition, ready): (Condition, Event)| {
        let _guard = condition.lock().unwrap();
        stay(&ready);
    };
    kill(held(hold, &sleepers.condition));
    drop(sleepers.condition.lock_timeout(LONG).unwrap_err().recover().unwrap());
}

/// All of them arrive over a connection, and are the same there.
#[test]
fn over_a_connection() {
    isolated(|| {
        type Handles = (Lock, RLock, Semaphore, BoundedSemaphore, Condition, Event, Barrier);
        let (ours, theirs) = pipe().unwrap();
        let sent: Handles = (
            Lock::new().unwrap(),
            RLock::new().unwrap(),
            Semaphore::new(3).unwrap(),
            BoundedSemaphore::new(2).unwrap(),
            Condition::new().unwrap(),
            Event::new().unwrap(),
            Barrier::new(5).unwrap(),
        );
        theirs.send(&sent).unwrap();
        let (lock, rlock, semaphore, bounded, condition, event, barrier): Handles =
            ours.recv().unwrap();
        let held = (sent.0.lock().unwrap(), sent.1.lock().unwrap(), sent.4.lock().unwrap());
        assert!(lock.is_locked() && rlock.is_locked() && condition.try_lock().is_err());
        drop(held);
        assert_eq!((semaphore.available(), bounded.available(), barrier.parties()), (3, 2, 5));
        sent.5.set();
        assert!(event.is_set());
    });
}

/// A handle of one kind is none of another, and none can be an item of a queue.
#[test]
fn kinds_are_told_apart() {
    isolated(|| {
        let (ours, theirs) = pipe().unwrap();
        theirs.send(&Lock::new().unwrap()).unwrap();
        assert!(matches!(ours.recv::<Event>(), Err(RecvError::Undecodable(_))));
        theirs.send(&Value::new(1_u32).unwrap()).unwrap();
        assert!(matches!(ours.recv::<Value<u64>>(), Err(RecvError::Undecodable(_))));
        theirs.send(&Array::<u32>::new(5).unwrap()).unwrap();
        assert!(matches!(ours.recv::<Array<u64>>(), Err(RecvError::Undecodable(_))));

        let queue = Queue::bounded(1).unwrap();
        assert!(queue.put(Lock::new().unwrap()).is_err());
    });
}
