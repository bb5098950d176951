//! The same tests by each way to start processes.

use mp_core::{Process, StartMethod, set_start_method};

use crate::warm_up;

/// Writes each function of the module as a test in which processes are started by the fork server, and as one by spawn; and those
/// after `+ by fork` as one by fork, which wants a process of one thread.
macro_rules! for_each_method {
    ($($($test:ident),+;)? + by fork: $($forked:ident),+ $(,)?) => {
        crate::methods::for_each_method! { $($($test,)+)? $($forked),+ }

        mod by_fork {
            $(#[test]
            fn $forked() {
                mp_testkit::isolated(|| {
                    crate::methods::by_fork(|()| {
                        mp_core::set_start_method(mp_core::StartMethod::Fork);
                        super::$forked();
                    });
                });
            })+
        }
    };
    ($($test:ident),+ $(,)?) => {
        mod by_forkserver {
            $(#[test]
            fn $test() {
                let method = mp_core::StartMethod::Forkserver;
                mp_testkit::isolated(|| crate::methods::by(method, super::$test));
            })+
        }

        mod by_spawn {
            $(#[test]
            fn $test() {
                let method = mp_core::StartMethod::Spawn;
                mp_testkit::isolated(|| crate::methods::by(method, super::$test));
            })+
        }
    };
}

pub(crate) use for_each_method;

/// Runs `test`, in which this method is the default, as it is in what the test starts.
pub(crate) fn by(method: StartMethod, test: fn()) {
    set_start_method(method);
    warm_up();
    test();
}

/// Runs `test` in a child, which has one thread: a test has one more, that of the harness.
pub(crate) fn by_fork(test: fn(())) {
    warm_up();
    Process::spawn(test, ()).unwrap().join().unwrap();
}
