//! Start methods: rows M01 to M08 of the conformance table.

use std::{
    io::ErrorKind,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use mp_core::{
    Context, Pool, Process, ProcessError, Queue, StartMethod, Stdio, available_start_methods,
    set_forkserver_preload, set_start_method, start_method,
};
use mp_testkit::{accept_children, isolated};

use crate::{METHODS, process_api::every_method, warm_up};

#[test]
fn a_context_has_its_method_for_good() {
    isolated(|| {
        every_method(|method| {
            let context = Context::new(method);
            let default = start_method();
            let child = context.spawn(|()| start_method(), ()).unwrap();
            assert_eq!(child.join().unwrap(), method, "the child starts its own alike");
            if method != StartMethod::Fork {
                let pool = context.pool(1).unwrap();
                assert_eq!(pool.apply(|()| start_method(), ()).unwrap(), method);
            }
            assert_eq!((context.start_method(), start_method()), (method, default));
        });
    });
}

#[test]
fn a_pool_by_fork_is_refused() {
    /// Also where the first workers could be forked: none could be replaced.
    fn refuse(workers: usize) {
        let fork = Context::new(StartMethod::Fork);
        let error = fork.pool(workers).unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        assert!(error.to_string().contains("fork"), "{error}");
        let serial = fork.pool_builder().workers(workers).serial().build().unwrap();
        assert_eq!(serial.apply(|n: u8| n, 1).unwrap(), 1);
        // What nobody has asked for is no reason to refuse.
        set_start_method(StartMethod::Fork);
        let pool = Pool::new(workers).unwrap();
        assert_eq!(pool.apply(|()| start_method(), ()).unwrap(), StartMethod::Forkserver);
    }
    isolated(|| {
        warm_up();
        for workers in [1, 2] {
            Process::spawn(refuse, workers).unwrap().join().unwrap();
        }
        refuse(2);
    });
}

#[test]
fn the_default_can_be_set() {
    isolated(|| {
        every_method(|method| {
            set_start_method(method);
            assert_eq!((start_method(), StartMethod::default()), (method, method));
            assert_eq!(Context::default(), Context::new(method));
            let child = Process::spawn(|()| start_method(), ()).unwrap();
            assert_eq!(child.join().unwrap(), method);
        });
    });
}

#[test]
fn all_methods_the_default_first() {
    isolated(|| {
        assert_eq!(available_start_methods()[0], start_method());
        assert!(available_start_methods().contains(&StartMethod::Spawn));
        assert_ne!(start_method(), StartMethod::Fork);
    });
}

#[test]
fn methods_mix() {
    fn pass_on((methods, queue): (Vec<StartMethod>, Queue<u32>)) {
        match methods.split_first() {
            Some((&next, rest)) => {
                let context = Context::new(next);
                context.spawn(pass_on, (rest.to_vec(), queue)).unwrap().join().unwrap();
            }
            None => queue.put(7).unwrap(),
        }
    }
    isolated(|| {
        warm_up();
        let [server, spawn, fork] = [METHODS[0], METHODS[1], StartMethod::Fork];
        let queue = Queue::bounded(1).unwrap();
        for methods in [[server, spawn, fork], [spawn, fork, server], [server, fork, spawn]] {
            pass_on((methods.to_vec(), queue.clone()));
            assert_eq!(queue.get().unwrap(), 7);
        }
    });
}

static PREPARED: AtomicU32 = AtomicU32::new(0);

#[test]
fn the_fork_server_is_prepared_once() {
    isolated(|| {
        warm_up();
        set_forkserver_preload(|()| {
            PREPARED.fetch_add(1, Relaxed);
            print!("prepared");
        })
        .unwrap();
        let first = Process::builder().stdout(Stdio::captured());
        let child = first.spawn(|()| (print!("."), PREPARED.load(Relaxed)).1, ()).unwrap();
        let output = child.captured_stdout().unwrap();
        assert_eq!(child.join().unwrap(), 1);
        assert_eq!(output.text().unwrap(), ".", "what the hook printed is not printed again");
        drop(output);
        let pids = |()| (std::process::id(), PREPARED.load(Relaxed));
        for _ in 0..3 {
            assert_eq!(Process::spawn(pids, ()).unwrap().join().unwrap().1, 1);
        }
        let spawn = Context::new(StartMethod::Spawn);
        assert_eq!(spawn.spawn(pids, ()).unwrap().join().unwrap().1, 0);
        assert_eq!(PREPARED.load(Relaxed), 0);
        accept_children(&["mp-forkserver", "mp-spare"]);
    });
}

#[test]
fn a_hook_that_fails_is_named_by_every_child() {
    isolated(|| {
        warm_up();
        for (hook, reason) in [
            ((|()| panic!("no table today")) as fn(()), "no table today"),
            (|()| drop(std::thread::spawn(|| mp_testkit::wait_for_kill())), "1 threads behind"),
        ] {
            set_forkserver_preload(hook).unwrap();
            for _ in 0..3 {
                let error = Process::spawn(|()| (), ()).unwrap().join().unwrap_err();
                assert!(matches!(error, ProcessError::Os(_)), "{error:?}");
                assert!(error.to_string().contains(reason), "{error}");
            }
        }
        set_forkserver_preload(|()| ()).unwrap();
        Process::spawn(|()| (), ()).unwrap().join().unwrap();
        accept_children(&["mp-forkserver", "mp-spare"]);
    });
}

#[test]
fn a_hook_that_exits_is_an_error() {
    isolated(|| {
        warm_up();
        set_forkserver_preload(|()| std::process::exit(3)).unwrap();
        assert!(Process::spawn(|()| (), ()).is_err());
        set_forkserver_preload(|()| ()).unwrap();
        Process::spawn(|()| (), ()).unwrap().join().unwrap();
        accept_children(&["mp-forkserver", "mp-spare"]);
    });
}
