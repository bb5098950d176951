//! Holders that are stopped, and signals without end: waits end at their deadlines, not before, and nothing is stolen.

use std::{
    ptr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use mp_sync::{
    Barrier, BarrierError, Condvar, Deadline, Event, LockError, Mutex, Once, ReentrantLock, RwLock,
    Semaphore, TimeoutError,
};
use mp_testkit::{Child, Gate, fork_child, isolated, wait_for_kill};
use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
};

use crate::{
    condvar::is_stopped,
    shared::{Shared, Words, stays},
    sweep::SOON,
};

const TIMEOUT: Duration = Duration::from_millis(30);

/// One of each kind, all of which other processes hold.
struct Held {
    leaf: Shared,
    words: Words,
    holders: Vec<Child>,
}

impl Held {
    fn new() -> Self {
        let mut held = Self { leaf: Shared::new(), words: Words::new(), holders: Vec::new() };
        Semaphore::create(held.words.at(0, Semaphore::words(4)), 1).unwrap();
        Barrier::create(held.words.at(50, Barrier::words(2)), 2).unwrap();
        let holder = stays(|| {
            let guards = (
                held.semaphore().acquire().unwrap(),
                held.mutex().lock().unwrap(),
                held.read().read().unwrap(),
                held.written().write().unwrap(),
                held.reentrant().lock().unwrap(),
            );
            // The last one, being a leaf.
            (held.leaf.lock().lock().unwrap(), guards)
        });
        let does_it = Gate::new();
        let doer = fork_child(|| {
            let work = || {
                does_it.open();
                wait_for_kill()
            };
            i32::from(held.once().call_once(work).is_err())
        });
        doer.wait_at(&does_it);
        held.holders = vec![holder, doer];
        held
    }

    fn semaphore(&self) -> Semaphore<'_> {
        Semaphore::attach(self.words.at(0, Semaphore::words(4))).unwrap()
    }

    fn barrier(&self) -> Barrier<'_> {
        Barrier::attach(self.words.at(50, Barrier::words(2))).unwrap()
    }

    fn mutex(&self) -> Mutex<'_, u64> {
        Mutex::attach(self.words.at(100, Mutex::<u64>::WORDS)).unwrap()
    }

    fn read(&self) -> RwLock<'_, u64> {
        RwLock::attach(self.words.at(150, RwLock::<u64>::words(4))).unwrap()
    }

    fn written(&self) -> RwLock<'_, u64> {
        RwLock::attach(self.words.at(200, RwLock::<u64>::words(4))).unwrap()
    }

    fn reentrant(&self) -> ReentrantLock<'_> {
        ReentrantLock::attach(self.words.at(250, ReentrantLock::WORDS)).unwrap()
    }

    fn once(&self) -> Once<'_> {
        Once::attach(self.words.at(300, Once::WORDS)).unwrap()
    }

    fn event(&self) -> Event<'_> {
        Event::attach(self.words.at(350, Event::WORDS)).unwrap()
    }

    /// Waits for each of them for so long, in vain.
    fn waits_end_in_time(&self) {
        fn locked<G>(result: Result<G, LockError<G, TimeoutError>>) -> bool {
            matches!(result, Err(LockError::Failed(TimeoutError::TimedOut)))
        }
        let waits: [(&str, &dyn Fn() -> bool); 11] = [
            ("leaf lock", &|| {
                matches!(self.leaf.lock().lock_timeout(TIMEOUT), Err(TimeoutError::TimedOut))
            }),
            ("doorbell", &|| {
                let never = || None::<()>;
                self.leaf.bell().wait_for(Deadline::after(TIMEOUT), never).unwrap().is_none()
            }),
            ("semaphore", &|| {
                matches!(self.semaphore().acquire_timeout(TIMEOUT), Err(TimeoutError::TimedOut))
            }),
            ("mutex", &|| locked(self.mutex().lock_timeout(TIMEOUT))),
            ("lock that is read", &|| locked(self.read().write_timeout(TIMEOUT))),
            ("lock that is written", &|| locked(self.written().read_timeout(TIMEOUT))),
            ("reentrant lock", &|| locked(self.reentrant().lock_timeout(TIMEOUT))),
            ("once", &|| {
                let done = self.once().call_once_timeout(TIMEOUT, || unreachable!());
                matches!(done, Err(TimeoutError::TimedOut))
            }),
            ("event", &|| {
                matches!(self.event().wait_timeout(TIMEOUT), Err(TimeoutError::TimedOut))
            }),
            ("barrier", &|| {
                let waited = self.barrier().wait_timeout(TIMEOUT);
                self.barrier().reset().unwrap();
                matches!(waited, Err(BarrierError::TimedOut))
            }),
            ("condition variable", &|| {
                let condvar = Condvar::attach(self.words.at(400, Condvar::words(4))).unwrap();
                let mutex = Mutex::<u64>::attach(self.words.at(450, Mutex::<u64>::WORDS)).unwrap();
                let (_guard, notified) =
                    condvar.wait_timeout(mutex.lock().unwrap(), TIMEOUT).unwrap();
                !notified
            }),
        ];
        for (name, wait) in waits {
            let start = Instant::now();
            assert!(wait(), "{name}: it was not held");
            assert!(start.elapsed() >= TIMEOUT, "{name}: too early");
        }
    }

    /// Kills the holders: all of it can be had.
    fn comes_back(mut self) {
        for holder in self.holders.drain(..) {
            holder.kill();
        }
        drop(self.leaf.lock().lock_timeout(SOON).unwrap());
        drop(self.semaphore().acquire_timeout(SOON).unwrap());
        drop(self.mutex().lock_timeout(SOON).unwrap_err().recover().unwrap());
        drop(self.read().write_timeout(SOON).unwrap());
        drop(self.written().read_timeout(SOON).unwrap_err().recover().unwrap());
        drop(self.reentrant().lock_timeout(SOON).unwrap_err().recover().unwrap());
        self.once().call_once_timeout(SOON, || {}).unwrap();
    }
}

#[test]
fn stopped_holders_keep_everything() {
    isolated(|| {
        let held = Held::new();
        for holder in &held.holders {
            holder.signal(libc::SIGSTOP);
            while !is_stopped(holder.id()) {
                std::thread::yield_now();
            }
        }
        held.waits_end_in_time();
        held.comes_back();
    });
}

/// How many have come.
static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn count(_: libc::c_int) {
    SIGNALS.fetch_add(1, Relaxed);
}

/// Sends this process a `SIGALRM` each time so long has passed; never, where it is zero.
fn alarms(microseconds: libc::suseconds_t) {
    let every = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a local that is only read, and null, which is allowed.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
    assert_eq!(set, 0);
}

#[test]
fn signals_without_end() {
    isolated(|| {
        let held = Held::new();
        // Without `SA_RESTART`: each one interrupts whatever waits.
        let action = SigAction::new(SigHandler::Handler(count), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler only counts.
        unsafe { sigaction(Signal::SIGALRM, &action) }.unwrap();
        alarms(200);
        held.waits_end_in_time();
        alarms(0);
        let signals = SIGNALS.load(Relaxed);
        println!("11 waits of {TIMEOUT:?}, {signals} signals");
        assert!(signals > 11);
        held.comes_back();
    });
}
