//! A kill at every instruction: nobody is stuck, whatever instruction it hits.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mp_testkit::{Child, Point, SweepReport, isolated_for, sweep, sweep_sample};

use crate::shared::{OWNER_DIED, Shared, WAITERS};

pub(crate) const LIMIT: Duration = Duration::from_secs(300);
/// Far more than a slice.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// For those who sleep while a victim is stepped through its operation, which takes a busy machine its time.
pub(crate) const LATER: Duration = Duration::from_secs(120);

/// Every point of an optimized build, some of another one.
fn kill<S>(
    name: &str,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    kill_sample(20, name, setup, operation, oracle)
}

/// [`kill`], for operations that are long where they are not optimized.
pub(crate) fn kill_few<S>(
    name: &str,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    kill_sample(5, name, setup, operation, oracle)
}

/// [`kill_few`], for operations that are thousands of instructions long even if optimized, most of which ask the system who
/// is alive: some hundred of them, unless `MP_SWEEP=all` asks for the minutes that all take.
pub(crate) fn kill_long<S>(
    name: &str,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    if cfg!(debug_assertions) || std::env::var_os("MP_SWEEP").is_some_and(|which| which == "all") {
        return kill_few(name, setup, operation, oracle);
    }
    let report = sweep_sample(300, setup, operation, oracle);
    println!("{name}: {} kill points of a sample, 0 failures", report.points);
    report
}

fn kill_sample<S>(
    points: usize,
    name: &str,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point),
) -> SweepReport {
    let report = if cfg!(debug_assertions) {
        sweep_sample(points, setup, operation, oracle)
    } else {
        sweep(setup, operation, oracle)
    };
    println!("{name}: {} kill points, 0 failures", report.points);
    report
}

/// The lock can be taken, and has no trace of the dead holder afterwards.
fn usable(shared: &Shared, point: Point) {
    let guard =
        shared.lock().lock_timeout(SOON).unwrap_or_else(|error| panic!("{point:?}: {error}"));
    assert!(!(point.complete && guard.owner_died()), "{point:?}");
    drop(guard);
    assert!(!shared.lock().try_lock().unwrap().owner_died(), "{point:?}");
}

/// A shared lock, as one that has been used before: the cache of the thread is filled.
fn used() -> Shared {
    let shared = Shared::new();
    drop(shared.lock().lock().unwrap());
    shared
}

#[test]
fn lock_and_unlock() {
    isolated_for(LIMIT, || {
        let take = |shared: &Shared| drop(shared.lock().lock().unwrap());
        let report = kill("lock and unlock", used, take, |shared, point| usable(&shared, point));
        // Elsewhere a sample is taken.
        assert!(report.points > if cfg!(debug_assertions) { 15 } else { 50 });
    });
}

#[test]
fn try_lock_and_unlock() {
    isolated_for(LIMIT, || {
        let take = |shared: &Shared| drop(shared.lock().try_lock().unwrap());
        kill("try_lock and unlock", used, take, |shared, point| usable(&shared, point));
    });
}

/// The victim comes after a holder that died, and is killed while it takes the lock over.
#[test]
fn recoverer() {
    isolated_for(LIMIT, || {
        let died = || {
            let shared = used();
            shared.word().store(OWNER_DIED | WAITERS, Relaxed);
            shared
        };
        let take = |shared: &Shared| assert!(shared.lock().lock().unwrap().owner_died());
        kill("recoverer", died, take, |shared, point| {
            let guard = shared.lock().lock_timeout(SOON).unwrap();
            // Told unless the victim had released the lock, which is near the end.
            if point.complete {
                assert!(!guard.owner_died());
            }
            drop(guard);
            usable(&shared, point);
        });
    });
}

/// The victim waits for a lock that is not released, and gives up.
#[test]
fn waiter() {
    isolated_for(LIMIT, || {
        let wait = |shared: &Shared| {
            shared.lock().lock_timeout(Duration::from_micros(50)).unwrap_err();
        };
        let held = || {
            let shared = used();
            std::mem::forget(shared.lock().lock().unwrap());
            shared
        };
        kill("waiter", held, wait, |shared, point| {
            let held = shared.word().load(Relaxed) & !WAITERS;
            assert!(held != 0 && held & OWNER_DIED == 0, "{point:?}: still ours");
            // Released on behalf of the guard that was forgotten.
            shared.word().store(0, Relaxed);
            usable(&shared, point);
        });
    });
}

/// The victim holds the lock that another process sleeps for, and is killed on its way out.
#[test]
fn release_with_a_sleeper() {
    isolated_for(LIMIT, || {
        let asleep = || {
            let shared = used();
            std::mem::forget(shared.lock().lock().unwrap());
            let own = shared.word().load(Relaxed);
            let waiter = shared.waiter();
            shared.until_waiting();
            (shared, waiter, own)
        };
        // Takes over what the test holds, as if the sleeper had come after it.
        let release = |(shared, ..): &(Shared, Child, u32)| {
            shared.word().store(0, Relaxed);
            let guard = shared.lock().try_lock().unwrap();
            shared.word().fetch_or(WAITERS, Relaxed);
            drop(guard);
        };
        kill("release with a sleeper", asleep, release, |(shared, waiter, own), point| {
            if shared.word().load(Relaxed) == own | WAITERS {
                // The victim did not get as far as taking it over.
                shared.word().store(0, Relaxed);
            }
            let status = waiter.wait_timeout(SOON).unwrap_or_else(|_| panic!("{point:?}: stuck"));
            assert!(status.code().is_some());
            usable(&shared, point);
        });
    });
}
