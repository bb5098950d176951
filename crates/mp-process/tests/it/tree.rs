//! All that descends from a process ends with it, where that is asked for.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use mp_process::{Builder, Child, Connection, ProcessError, Signal, StartMethod};
use mp_testkit::{Watched, isolated};
use serde::{Deserialize, Serialize};

use crate::every_method;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Way {
    Return,
    Panic,
    Exit,
    Abort,
    Hang,
}

/// A child that is another program; one whose parent is dead, in a session of its own where there is such a command; and
/// one of this crate. Says who they are and who the task is, and ends.
#[expect(clippy::exit, reason = "one of the ways to end")]
fn plant((peer, way): (Connection, Way)) -> u32 {
    let quiet = |program: &str| {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let program = quiet("sleep").arg("1000").spawn().unwrap().id();
    let script = "s=$(command -v setsid); $s sleep 1000 </dev/null >/dev/null 2>&1 & echo $!";
    let output = quiet("sh").args(["-c", script]).stdout(Stdio::piped()).output().unwrap();
    let orphan: u32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let child = mp_process::spawn(crate::wait_for_kill, ()).unwrap();
    peer.send(&[std::process::id(), program, orphan, child.pid()]).unwrap();
    drop(child);
    match way {
        Way::Return => orphan,
        Way::Panic => panic!("on purpose"),
        Way::Exit => std::process::exit(7),
        Way::Abort => std::process::abort(),
        Way::Hang => mp_testkit::wait_for_kill(),
    }
}

/// A tree that was asked to end with its root, and those in it; the task comes first.
fn tree(method: StartMethod, way: Way) -> (Child<u32>, Vec<Watched>) {
    let (ours, theirs) = Connection::pair().unwrap();
    let builder = Builder::new().start_method(method).kill_tree(true);
    let child = builder.spawn(plant, (theirs, way)).unwrap();
    let pids: [u32; 4] = ours.recv_timeout(PATIENCE).unwrap();
    assert_ne!(pids[0], child.pid(), "the parent knows the guard");
    // Those that are dead already have not lived on.
    (child, pids.into_iter().filter_map(Watched::new).collect())
}

fn assert_dead(tree: &[Watched]) {
    for process in tree {
        assert!(process.is_dead(), "{} lives on", process.id());
    }
}

#[test]
fn it_ends_with_the_task() {
    isolated(|| {
        every_method(|method| {
            for way in [Way::Return, Way::Panic, Way::Exit, Way::Abort] {
                let (child, tree) = tree(method, way);
                let result = child.join();
                assert_dead(&tree);
                match (way, result) {
                    (Way::Return, Ok(orphan)) => assert!(orphan > 1),
                    (Way::Panic, Err(ProcessError::Panicked(panic))) => {
                        assert_eq!(panic.message, "on purpose");
                    }
                    (Way::Exit, Err(ProcessError::Exited(7))) => {}
                    (Way::Abort, Err(ProcessError::Signaled { signal: Signal::ABRT, .. })) => {}
                    (way, result) => panic!("{way:?}: {result:?}"),
                }
            }
        });
    });
}

#[test]
fn signals_go_to_the_task_and_kill_to_all() {
    isolated(|| {
        every_method(|method| {
            for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
                let (child, tree) = tree(method, Way::Hang);
                child.send_signal(signal).unwrap();
                let error = child.join().unwrap_err();
                assert_dead(&tree);
                match error {
                    ProcessError::Signaled { signal: by, .. } => assert_eq!(by, signal),
                    error => panic!("{error}"),
                }
            }
        });
    });
}

#[test]
fn a_stopped_guard_is_killed_too() {
    isolated(|| {
        every_method(|method| {
            let (child, tree) = tree(method, Way::Hang);
            Watched::new(child.pid()).unwrap().signal(Signal::STOP.as_raw());
            child.kill().unwrap();
            child.join().unwrap_err();
            assert_dead(&tree);
        });
    });
}

#[test]
fn it_ends_with_a_task_that_is_killed() {
    isolated(|| {
        every_method(|method| {
            let (child, tree) = tree(method, Way::Hang);
            assert!(tree[0].signal(Signal::KILL.as_raw()));
            let error = child.join().unwrap_err();
            assert!(
                matches!(error, ProcessError::Signaled { signal: Signal::KILL, .. }),
                "{error}"
            );
            assert_dead(&tree);
        });
    });
}

/// A parent of a tree: says who is in it, and hangs.
fn parent((method, peer): (StartMethod, Connection)) {
    let (_child, tree) = tree(method, Way::Hang);
    let pids: Vec<u32> = tree.iter().map(Watched::id).collect();
    peer.send(&pids).unwrap();
    mp_testkit::wait_for_kill()
}

#[test]
fn it_ends_with_a_parent_that_is_killed() {
    isolated(|| {
        mp_testkit::expect_orphans();
        every_method(|method| {
            let (ours, theirs) = Connection::pair().unwrap();
            let child = mp_process::spawn(parent, (method, theirs)).unwrap();
            let pids: Vec<u32> = ours.recv_timeout(PATIENCE).unwrap();
            let tree: Vec<_> = pids.into_iter().map(|pid| Watched::new(pid).unwrap()).collect();
            assert_eq!(tree.len(), 4);
            child.kill().unwrap();
            child.join().unwrap_err();
            for process in &tree {
                assert!(process.wait_dead(Duration::from_secs(2)), "{} lives on", process.id());
            }
        });
    });
}

#[test]
fn a_guard_that_is_killed_takes_the_task_along() {
    isolated(|| {
        mp_testkit::expect_orphans();
        every_method(|method| {
            let (child, tree) = tree(method, Way::Hang);
            let [task, program, orphan, ours] = &tree[..] else { panic!("all live") };
            assert!(Watched::new(child.pid()).unwrap().signal(Signal::KILL.as_raw()));
            child.join().unwrap_err();
            assert!(task.wait_dead(PATIENCE) && ours.wait_dead(PATIENCE));
            // As is said: nobody is there to end these.
            for left in [program, orphan] {
                assert!(left.signal(Signal::KILL.as_raw()) && left.wait_dead(PATIENCE));
            }
        });
    });
}

#[test]
fn what_contradicts_itself_is_refused() {
    isolated(|| {
        let both = Builder::new().kill_tree(true).outlive_parent(true);
        let error = both.spawn(|()| (), ()).unwrap_err();
        assert!(error.to_string().contains("outlives its parent"), "{error}");
    });
}
