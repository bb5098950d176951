use std::time::{Duration, Instant};

use mp_sync::{Event, TimeoutError, TryError};
use mp_testkit::{fork_child, isolated, once_asleep, wait_asleep};

use crate::shared::Words;

const SOON: Duration = Duration::from_secs(5);

fn event(words: &Words) -> Event<'_> {
    Event::attach(words.at(0, Event::WORDS)).unwrap()
}

#[test]
fn smoke() {
    let words = Words::new();
    let event = event(&words);
    assert!(!event.is_set());
    assert!(matches!(event.try_wait(), Err(TryError::WouldBlock)));
    event.set();
    event.set();
    assert!(event.is_set());
    event.wait().unwrap();
    event.clear();
    for timeout in [0, 1, 30].map(Duration::from_millis) {
        let start = Instant::now();
        assert!(matches!(event.wait_timeout(timeout), Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout);
    }
}

#[test]
fn set_wakes_all() {
    isolated(|| {
        let words = Words::new();
        let event = event(&words);
        let waiters = [0; 4].map(|_| fork_child(|| i32::from(event.wait_timeout(SOON).is_err())));
        waiters.iter().for_each(|child| wait_asleep(child.id(), child.id()));
        event.set();
        assert!(waiters.map(|child| child.wait().success()).iter().all(|&ok| ok));
    });
}

/// Who waited while it was set goes on, even if he looks after it was cleared.
#[test]
fn a_short_one_is_not_missed() {
    isolated(|| {
        let words = Words::new();
        let event = event(&words);
        for _ in 0..20 {
            let waited = once_asleep(
                || event.wait_timeout(SOON),
                || {
                    event.set();
                    event.clear();
                },
            );
            waited.unwrap();
            assert!(event.try_wait().is_err());
        }
    });
}

#[test]
fn waiters_die() {
    isolated(|| {
        let words = Words::new();
        let event = event(&words);
        let children = [0; 3].map(|_| fork_child(|| i32::from(event.wait().is_err())));
        children.iter().for_each(|child| wait_asleep(child.id(), child.id()));
        let [dead, alive @ ..] = children;
        dead.kill();
        event.set();
        assert!(alive.map(|child| child.wait().success()).iter().all(|&ok| ok));
    });
}
