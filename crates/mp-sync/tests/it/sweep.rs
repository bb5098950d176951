//! A kill at every instruction: nobody is stuck, whatever instruction it hits.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mp_testkit::{
    Child, Point, SweepReport, isolated_for, sweep, sweep_at, sweep_beside, sweep_sample,
};

use crate::shared::{OWNER_DIED, Recovery, Shared, WAITERS};

pub(crate) const LIMIT: Duration = Duration::from_secs(300);
/// Far more than a slice.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// For those who sleep while a victim is stepped through its operation, which takes a busy machine its time.
pub(crate) const LATER: Duration = Duration::from_secs(120);

/// How often a point is tried again at which survivors took longer than they may: the machine may have had other things to
/// do then, but a point that is slow by itself is slow each time.
const TRIES: usize = 20;

/// Every point of an optimized build, some of another one.
fn kill<S>(
    name: &str,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point, &mut Recovery),
) -> SweepReport {
    kill_at(name, cfg!(debug_assertions).then_some(20), setup, operation, oracle)
}

/// [`kill`], for operations that are long where they are not optimized.
pub(crate) fn kill_few<S>(
    name: &str,
    setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point, &mut Recovery),
) -> SweepReport {
    kill_at(name, cfg!(debug_assertions).then_some(5), setup, operation, oracle)
}

/// All points, or about so many.
fn kill_at<S>(
    name: &str,
    sample: Option<usize>,
    mut setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    oracle: impl FnMut(S, Point, &mut Recovery),
) -> SweepReport {
    let run = |again: Option<Vec<usize>>, judge: &mut dyn FnMut(S, Point)| match (again, sample) {
        (Some(points), _) => sweep_at(points, &mut setup, &operation, judge),
        (None, Some(points)) => sweep_sample(points, &mut setup, &operation, judge),
        (None, None) => sweep(&mut setup, &operation, judge),
    };
    in_time(name, run, oracle)
}

/// [`kill_few`], while others do something in the middle of the operation.
pub(crate) fn kill_beside<S>(
    name: &str,
    mut setup: impl FnMut() -> S,
    operation: impl Fn(&S),
    mut others: impl FnMut(&S) -> bool,
    oracle: impl FnMut(S, Point, &mut Recovery),
) -> SweepReport {
    let stride = if cfg!(debug_assertions) { 1009 } else { 1 };
    let run = |again: Option<Vec<usize>>, judge: &mut dyn FnMut(S, Point)| match again {
        Some(points) => sweep_beside(points, &mut setup, &operation, &mut others, judge),
        None => sweep_beside((0..).step_by(stride), &mut setup, &operation, &mut others, judge),
    };
    in_time(name, run, oracle)
}

/// Runs a sweep, and again of some points: after each kill survivors go on within [`Recovery::PROMISE`].
fn in_time<S>(
    name: &str,
    mut run: impl FnMut(Option<Vec<usize>>, &mut dyn FnMut(S, Point)) -> SweepReport,
    mut oracle: impl FnMut(S, Point, &mut Recovery),
) -> SweepReport {
    let mut recovery = Recovery::default();
    let mut late = Vec::new();
    let report = run(None, &mut |state, point| {
        oracle(state, point, &mut recovery);
        if recovery.was_late() {
            late.push(point.instruction);
        }
    });
    let of_a_sample = if cfg!(debug_assertions) { " of a sample" } else { "" };
    println!("{name}: {} kill points{of_a_sample}, 0 failures", report.points);
    recovery.print(name);
    let tried_again = late.len();
    for _ in 0..TRIES {
        if late.is_empty() {
            break;
        }
        run(Some(std::mem::take(&mut late)), &mut |state, point| {
            let mut recovery = Recovery::default();
            oracle(state, point, &mut recovery);
            if recovery.was_late() {
                late.push(point.instruction);
            }
        });
    }
    assert!(late.is_empty(), "{name}: survivors were late, each time, after {late:?} instructions");
    println!("{name}: after each kill survivors go on in 50 ms; {tried_again} were tried again");
    report
}

/// The lock can be taken, and has no trace of the dead holder afterwards.
fn usable(shared: &Shared, point: Point, recovery: &mut Recovery) {
    let locked = recovery.time(|| shared.lock().lock_timeout(SOON));
    let guard = locked.unwrap_or_else(|error| panic!("{point:?}: {error}"));
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
        let report = kill("lock and unlock", used, take, |shared, point, recovery| {
            usable(&shared, point, recovery);
        });
        // Elsewhere a sample is taken.
        assert!(report.points > if cfg!(debug_assertions) { 15 } else { 50 });
    });
}

#[test]
fn try_lock_and_unlock() {
    isolated_for(LIMIT, || {
        let take = |shared: &Shared| drop(shared.lock().try_lock().unwrap());
        kill("try_lock and unlock", used, take, |shared, point, recovery| {
            usable(&shared, point, recovery);
        });
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
        kill("recoverer", died, take, |shared, point, recovery| {
            let guard = recovery.time(|| shared.lock().lock_timeout(SOON)).unwrap();
            // Told unless the victim had released the lock, which is near the end.
            if point.complete {
                assert!(!guard.owner_died());
            }
            drop(guard);
            usable(&shared, point, recovery);
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
        kill("waiter", held, wait, |shared, point, recovery| {
            let held = shared.word().load(Relaxed) & !WAITERS;
            assert!(held != 0 && held & OWNER_DIED == 0, "{point:?}: still ours");
            // Released on behalf of the guard that was forgotten.
            shared.word().store(0, Relaxed);
            usable(&shared, point, recovery);
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
            // From here on it is as if the sleeper had come after it.
            shared.number().store(1, Relaxed);
            drop(guard);
        };
        kill(
            "release with a sleeper",
            asleep,
            release,
            |(shared, waiter, own), point, recovery| {
                if shared.word().load(Relaxed) == own | WAITERS {
                    // The victim did not get as far as taking it over.
                    shared.word().store(0, Relaxed);
                }
                if shared.number().load(Relaxed) == 0
                    && let Ok(guard) = shared.lock().try_lock()
                {
                    // Nobody has died who owed the wake-up for what the test has held.
                    shared.word().fetch_or(WAITERS, Relaxed);
                    drop(guard);
                }
                let ended = recovery.time(|| waiter.wait_timeout(SOON));
                let status = ended.unwrap_or_else(|_| panic!("{point:?}: stuck"));
                assert!(status.code().is_some());
                usable(&shared, point, recovery);
            },
        );
    });
}
