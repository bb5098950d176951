use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use mp_sync::{Once, TryError};
use mp_testkit::{fork_child, isolated};

use crate::shared::{Words, stays};

fn once(words: &Words) -> Once<'_> {
    Once::attach(words.at(0, Once::WORDS)).unwrap()
}

#[test]
fn once_among_many() {
    isolated(|| {
        let words = Words::new();
        let children = [0; 4].map(|_| {
            fork_child(|| {
                once(&words)
                    .call_once(|| {
                        words.number().fetch_add(1, Relaxed);
                    })
                    .unwrap();
                i32::from(words.number().load(Relaxed) != 1)
            })
        });
        assert!(children.map(|child| child.wait().success()).iter().all(|&ok| ok));
        assert!(once(&words).is_completed());
    });
}

#[test]
fn the_next_one_does_what_a_dead_one_has_begun() {
    isolated(|| {
        let words = Words::new();
        let once = once(&words);
        let begun = mp_testkit::Gate::new();
        let child = fork_child(|| {
            let stay = || {
                begun.open();
                mp_testkit::wait_for_kill()
            };
            i32::from(once.call_once(stay).is_ok())
        });
        child.wait_at(&begun);
        assert!(matches!(once.try_call_once(|| ()), Err(TryError::WouldBlock)));
        child.kill();
        let mut done = false;
        once.call_once_timeout(Duration::from_secs(5), || done = true).unwrap();
        assert!(done && once.is_completed());
        stays(|| once.call_once(|| panic!("it is done")).unwrap()).kill();
    });
}

#[test]
fn a_panic_is_not_done() {
    let words = Words::new();
    let once = once(&words);
    let panicked = std::panic::catch_unwind(|| once.call_once(|| panic!("on purpose")));
    assert!(panicked.is_err() && !once.is_completed());
    once.call_once(|| ()).unwrap();
    assert!(once.is_completed());
}
