//! Many processes, and a parent that is busy with everything that a fork could catch locked.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use mp_process::{Builder, Child, StartMethod};
use mp_testkit::isolated_for;

use crate::{METHODS, warm_up};

#[test]
fn a_thousand_in_a_row_leave_nothing() {
    isolated_for(Duration::from_secs(120), || {
        warm_up();
        for n in 0..1000_u32 {
            assert_eq!(mp_process::spawn(|n: u32| n + 1, n).unwrap().join().unwrap(), n + 1);
        }
        let fresh = Builder::new().start_method(StartMethod::Spawn);
        for n in 0..50_u32 {
            assert_eq!(fresh.spawn(|n: u32| n + 1, n).unwrap().join().unwrap(), n + 1);
        }
    });
}

#[test]
fn two_hundred_at_once() {
    isolated_for(Duration::from_secs(120), || {
        warm_up();
        for (method, count) in METHODS.into_iter().zip([200, 50]) {
            let builder = Builder::new().start_method(method);
            let children: Vec<Child<u32>> =
                (0..count).map(|n| builder.spawn(|n: u32| n * 2, n).unwrap()).collect();
            for (n, child) in (0..).zip(children) {
                assert_eq!(child.join().unwrap(), n * 2);
            }
        }
    });
}

#[test]
fn from_many_threads() {
    isolated_for(Duration::from_secs(120), || {
        warm_up();
        thread::scope(|scope| {
            for thread in 0..16_u32 {
                scope.spawn(move || {
                    for n in 0..20 {
                        let child = mp_process::spawn(|n: u32| n + 1, thread * 100 + n).unwrap();
                        assert_eq!(child.join().unwrap(), thread * 100 + n + 1);
                    }
                });
            }
        });
    });
}

#[test]
fn while_threads_hold_every_lock_there_is() {
    fn task(n: u32) -> String {
        println!("child {n}");
        let memory: Vec<String> = (0..100).map(|_| "x".repeat(3000)).collect();
        format!("{n} {} {:?}", memory.len(), std::env::var("PATH").is_ok())
    }
    isolated_for(Duration::from_secs(240), || {
        warm_up();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for thread in 0..50 {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        match thread % 3 {
                            0 => {
                                let _locked = std::io::stdout().lock();
                                thread::yield_now();
                            }
                            1 => drop(black_box(std::env::vars().count())),
                            _ => drop(black_box(vec![0_u8; 5000])),
                        }
                        // There are two processors, or so.
                        thread::park_timeout(Duration::from_micros(200));
                    }
                });
            }
            for n in 0..1000 {
                let result = mp_process::spawn(task, n).unwrap().join().unwrap();
                assert_eq!(result, format!("{n} 100 true"));
            }
            let fresh = Builder::new().start_method(StartMethod::Spawn);
            for n in 0..20 {
                let result = fresh.spawn(task, n).unwrap().join().unwrap();
                assert_eq!(result, format!("{n} 100 true"));
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}
