//! Parents and children: who waits for whom, and who sees whose end.

use std::{process, time::Duration};

use mp_core::{
    JoinError, Process, ProcessError, Queue, Signal, StartMethod, current_process, parent_process,
};
use mp_testkit::{Watched, isolated};

use crate::{LONG, process_api::every_method};

#[test]
fn daemons() {
    isolated(|| {
        every_method(|method| {
            let is_daemon = current_process().is_daemon();
            let flags = |method: StartMethod| {
                let builder = Process::builder().start_method(method);
                let child = builder.spawn(|()| current_process().is_daemon(), ()).unwrap();
                (current_process().is_daemon(), child.join().unwrap())
            };
            let builder = Process::builder().start_method(method);
            for (builder, expected) in [
                (builder.clone(), is_daemon),
                (builder.clone().daemon(true), true),
                (builder.daemon(false), false),
            ] {
                let child = builder.spawn(flags, method).unwrap();
                assert_eq!(child.is_daemon(), expected);
                assert_eq!(child.join().unwrap(), (expected, expected), "children are alike");
            }
        });
    });
}

/// Starts a child that waits for `go`, and returns without it.
fn leave_a_child((method, is_daemon, ready, go): (StartMethod, bool, Queue<u32>, Queue<u8>)) {
    let task = |(ready, go): (Queue<u32>, Queue<u8>)| {
        ready.put(process::id()).unwrap();
        let _ = go.get();
        ready.put(0).unwrap();
    };
    let builder = Process::builder().start_method(method).daemon(is_daemon);
    drop(builder.spawn(task, (ready.clone(), go)).unwrap());
}

#[test]
fn a_process_waits_for_its_children_but_the_daemons() {
    isolated(|| {
        mp_testkit::expect_orphans();
        every_method(|method| {
            let (ready, go) = (Queue::bounded(4).unwrap(), Queue::bounded(1).unwrap());
            let builder = Process::builder().start_method(method);
            let parent =
                builder.spawn(leave_a_child, (method, false, ready.clone(), go.clone())).unwrap();
            ready.get_timeout(LONG).unwrap();
            let Err(JoinError::TimedOut(parent)) = parent.join_timeout(Duration::from_millis(30))
            else {
                panic!("it does not wait")
            };
            go.put(1).unwrap();
            parent.join().unwrap();
            assert_eq!(ready.get_timeout(LONG).unwrap(), 0, "the child came to its end");

            let arguments = (method, true, ready.clone(), go.clone());
            builder.spawn(leave_a_child, arguments).unwrap().join().unwrap();
            if let Ok(Some(child)) = ready.try_get().map(Watched::new) {
                assert!(child.wait_dead(LONG));
            }
            assert!(ready.is_empty(), "the daemon did not");
        });
    });
}

#[test]
fn an_exit_waits_too() {
    isolated(|| {
        mp_testkit::expect_orphans();
        every_method(|method| {
            let (ready, go) = (Queue::bounded(4).unwrap(), Queue::bounded(1).unwrap());
            let exit = |arguments: (StartMethod, bool, Queue<u32>, Queue<u8>)| -> () {
                leave_a_child(arguments);
                process::exit(5)
            };
            let builder = Process::builder().start_method(method);
            let parent = builder.spawn(exit, (method, false, ready.clone(), go.clone())).unwrap();
            let child = Watched::new(ready.get_timeout(LONG).unwrap()).unwrap();
            let Err(JoinError::TimedOut(parent)) = parent.join_timeout(Duration::from_millis(30))
            else {
                panic!("it does not wait")
            };
            // The one that is waited for dies meanwhile.
            assert!(child.signal(Signal::KILL.as_raw()));
            assert!(matches!(parent.join(), Err(ProcessError::Exited(5))));
        });
    });
}

#[test]
fn the_parent_as_its_child_sees_it() {
    isolated(|| {
        every_method(|method| {
            let task = |()| {
                let parent = parent_process().unwrap();
                let waits = parent.join_timeout(Duration::from_millis(1)).is_err();
                (parent.pid(), parent.name().to_owned(), parent.is_alive() && waits)
            };
            let child = Process::builder().start_method(method).spawn(task, ()).unwrap();
            let own = current_process();
            assert_eq!(child.join().unwrap(), (own.pid(), own.name().to_owned(), true));
        });
    });
}

#[test]
fn who_outlives_its_parent_sees_it_die() {
    isolated(|| {
        mp_testkit::expect_orphans();
        every_method(|method| {
            let out = Queue::bounded(2).unwrap();
            let parent = |(method, out): (StartMethod, Queue<(bool, bool)>)| {
                let task = |out: Queue<(bool, bool)>| {
                    let parent = parent_process().unwrap();
                    out.put((parent.is_alive(), true)).unwrap();
                    let ended = parent.join_timeout(LONG).is_ok();
                    out.put((parent.is_alive(), ended)).unwrap();
                };
                let builder = Process::builder().start_method(method).outlive_parent(true);
                let _child = builder.spawn(task, out).unwrap();
                mp_testkit::wait_for_kill()
            };
            let builder = Process::builder().start_method(method);
            let parent: Process<()> = builder.spawn(parent, (method, out.clone())).unwrap();
            assert_eq!(out.get_timeout(LONG).unwrap(), (true, true));
            parent.kill().unwrap();
            assert_eq!(out.get_timeout(LONG).unwrap(), (false, true));
            parent.join().unwrap_err();
        });
    });
}
