//! Nobody is orphaned, nobody stays a zombie, and what dies on the way is replaced.

use std::{
    cell::Cell,
    fs,
    os::fd::AsFd,
    sync::mpsc,
    time::{Duration, Instant},
};

use mp_process::{Builder, Child, Connection, Deadline, ProcessError, RecvError, Signal};
use mp_testkit::{Watched, isolated};

use crate::{METHODS, SERVER, each_method, reap_orphans, wait_for_kill, warm_up};

const PATIENCE: Duration = Duration::from_secs(20);

/// The children of this process, zombies included, with what they are called.
pub(crate) fn children() -> Vec<(u32, String)> {
    let own = std::process::id().to_string();
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // pid (comm) state ppid
        let (Some(open), Some(close)) = (stat.find('('), stat.rfind(')')) else { continue };
        if stat[close + 1..].split_whitespace().nth(1) == Some(&own) {
            children.push((stat[..open].trim().parse().unwrap(), stat[open + 1..close].to_owned()));
        }
    }
    children
}

/// The fork server, once its predecessor is reaped and its latest copy has its own name.
pub(crate) fn server() -> u32 {
    let only = Cell::new(0);
    eventually("there is one server", || {
        let is_server = |(_, comm): &(u32, String)| comm == "mp-forkserver";
        let servers: Vec<_> = children().into_iter().filter(is_server).collect();
        only.set(servers.first().map_or(0, |(pid, _)| *pid));
        servers.len() == 1
    });
    only.get()
}

/// Whether no child is there but the fork server and the process that it made ahead.
pub(crate) fn only_the_server() -> bool {
    let mut names: Vec<_> = children().into_iter().map(|(_, comm)| comm).collect();
    names.sort();
    names == SERVER
}

/// Has a dead server replaced: the first process may be one that it made ahead, and that may have been killed with it.
fn restart() {
    match mp_process::spawn(|n: u8| n, 1).unwrap().join() {
        Ok(1) | Err(ProcessError::Signaled { signal: Signal::KILL, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(mp_process::spawn(|n: u8| n, 2).unwrap().join().unwrap(), 2);
}

/// Waits for what another process or thread is about to do, of which nothing tells.
pub(crate) fn eventually(what: &str, happened: impl Fn() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn dropped_it_runs_on_and_is_reaped() {
    isolated(|| {
        each_method(|builder| {
            let (ours, theirs) = Connection::pair().unwrap();
            let task = |peer: Connection| {
                peer.recv::<()>().unwrap();
                peer.send("still here").unwrap();
            };
            let child = builder.spawn(task, theirs).unwrap();
            let pid = child.pid();
            drop(child);
            ours.send(&()).unwrap();
            assert_eq!(ours.recv::<String>().unwrap(), "still here");
            eventually("it is reaped", || !children().iter().any(|(child, _)| *child == pid));
        });
    });
}

#[test]
fn on_exit_before_and_after_the_death() {
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(wait_for_kill, ()).unwrap();
            let (sender, receiver) = mpsc::channel();
            for n in 0..3 {
                let sender = sender.clone();
                child.on_exit(move || sender.send(n).unwrap()).unwrap();
            }
            assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err(), "it lives");
            child.kill().unwrap();
            let called: Vec<_> = receiver.iter().take(3).collect();
            assert_eq!(called, [0, 1, 2]);

            child.on_exit(move || sender.send(9).unwrap()).unwrap();
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok(9));
            assert!(matches!(child.join(), Err(ProcessError::Signaled { .. })));
        });
    });
}

#[test]
fn a_callback_may_panic_and_may_start_processes() {
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(|()| (), ()).unwrap();
            let (sender, receiver) = mpsc::channel();
            let builder = builder.clone();
            child.on_exit(|| panic!("on purpose")).unwrap();
            child
                .on_exit(move || {
                    let next = builder.spawn(|n: u8| n + 1, 1).unwrap();
                    sender.send(next.join().unwrap()).unwrap();
                })
                .unwrap();
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok(2));
            child.join().unwrap();
        });
    });
}

#[test]
fn callbacks_start_processes_while_the_server_is_replaced() {
    isolated(|| {
        warm_up();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                restart();
                let victim = Watched::new(server()).unwrap();
                let child = mp_process::spawn(|()| (), ()).unwrap();
                let sender = sender.clone();
                child
                    .on_exit(move || {
                        let next = mp_process::spawn(|n: u8| n + 1, 1).unwrap();
                        sender.send(next.join().unwrap()).unwrap();
                    })
                    .unwrap();
                victim.signal(Signal::KILL.as_raw());
                // At the same time as the callback: one of the two starts the new server.
                let other = scope.spawn(|| mp_process::spawn(|()| (), ()).unwrap().join().unwrap());
                assert_eq!(receiver.recv_timeout(PATIENCE), Ok(2));
                child.join().unwrap();
                other.join().unwrap();
            }
        });
        restart();
        mp_testkit::accept_children(&SERVER);
    });
}

/// Starts a child by each method, each of which starts one by each method, and sends their pids.
fn family((peer, depth): (Connection, u32)) {
    let builders = METHODS.map(|method| Builder::new().start_method(method));
    let _children: Vec<Child<()>> = match depth {
        0 => Vec::new(),
        _ => builders
            .iter()
            .map(|builder| builder.spawn(family, (peer.try_clone().unwrap(), depth - 1)).unwrap())
            .collect(),
    };
    peer.send(&std::process::id()).unwrap();
    drop(peer);
    mp_testkit::wait_for_kill()
}

#[test]
fn a_killed_parent_takes_all_descendants_along() {
    isolated(|| {
        each_method(|builder| {
            let (ours, theirs) = Connection::pair().unwrap();
            let child = builder.spawn(family, (theirs, 2)).unwrap();
            let pids: Vec<u32> = (0..7).map(|_| ours.recv_timeout(PATIENCE).unwrap()).collect();
            let alive: Vec<_> = pids.iter().map(|&pid| Watched::new(pid).unwrap()).collect();
            child.kill().unwrap();
            for process in &alive {
                assert!(process.wait_dead(Duration::from_secs(1)), "{} lives on", process.id());
            }
            assert!(matches!(ours.recv_timeout::<u32>(PATIENCE), Err(RecvError::Closed)));
            drop(child);
        });
        reap_orphans();
    });
}

/// Starts a child that has lost the kernel's note to kill it with its parent, as one that changes its user does.
fn parent_of_one_without_the_note((peer, fresh): (Connection, bool)) {
    let method = if fresh { METHODS[1] } else { METHODS[0] };
    let task = |peer: Connection| {
        #[expect(unsafe_code, reason = "what is tested")]
        // SAFETY: integers only.
        let cleared = unsafe { nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, 0) };
        assert_eq!(cleared, 0);
        peer.send(&std::process::id()).unwrap();
        drop(peer);
        mp_testkit::wait_for_kill()
    };
    let _child: Child<()> = Builder::new().start_method(method).spawn(task, peer).unwrap();
    mp_testkit::wait_for_kill()
}

#[test]
fn the_second_net_holds_alone() {
    isolated(|| {
        warm_up();
        for fresh in [false, true] {
            let (ours, theirs) = Connection::pair().unwrap();
            let parent =
                mp_process::spawn(parent_of_one_without_the_note, (theirs, fresh)).unwrap();
            let grandchild = Watched::new(ours.recv_timeout(PATIENCE).unwrap()).unwrap();
            parent.kill().unwrap();
            assert!(grandchild.wait_dead(Duration::from_secs(1)));
        }
        reap_orphans();
    });
}

#[test]
fn a_dead_server_is_replaced() {
    isolated(|| {
        warm_up();
        let running = mp_process::spawn(wait_for_kill, ()).unwrap();
        for _ in 0..3 {
            let old = server();
            let victim = Watched::new(old).unwrap();
            assert!(victim.signal(Signal::KILL.as_raw()) && victim.wait_dead(PATIENCE));
            restart();
            assert_ne!(server(), old);
            assert!(running.is_alive(), "a child is not tied to the server");
        }
        running.kill().unwrap();
        assert!(running.join().is_err());
        mp_testkit::accept_children(&SERVER);
    });
}

#[test]
fn a_dead_spare_process_is_replaced() {
    isolated(|| {
        warm_up();
        for n in 0..10_u32 {
            let (spare, _) = children().into_iter().find(|(_, comm)| comm == "mp-spare").unwrap();
            let spare = nix::unistd::Pid::from_raw(spare.cast_signed());
            nix::sys::signal::kill(spare, nix::sys::signal::SIGKILL).unwrap();
            // It may die before it is given the task, or with it.
            match mp_process::spawn(|n: u32| n + 1, n).unwrap().join() {
                Ok(result) => assert_eq!(result, n + 1),
                Err(ProcessError::Signaled { signal: Signal::KILL, .. }) => {}
                Err(error) => panic!("{error}"),
            }
            mp_testkit::accept_children(&SERVER);
        }
    });
}

#[test]
fn a_server_or_spare_killed_at_any_time() {
    isolated(|| {
        warm_up();
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // A new time each round, without a pattern.
                for name in SERVER.into_iter().cycle() {
                    if !matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                        break;
                    }
                    let victim = children().into_iter().find(|(_, comm)| comm == name);
                    // It may be dead by now.
                    if let Some(victim) = victim.and_then(|(pid, _)| Watched::new(pid)) {
                        victim.signal(Signal::KILL.as_raw());
                    }
                }
            });
            let mut replaced = 0;
            for n in 0..200_u32 {
                match mp_process::spawn(|n: u32| n + 1, n).map(Child::join) {
                    Ok(Ok(result)) => assert_eq!(result, n + 1),
                    // It was spare no more, or is called like the server still.
                    Ok(Err(ProcessError::Signaled { signal: Signal::KILL, .. })) => replaced += 1,
                    Ok(Err(error)) => panic!("{error}"),
                    // Killed three times in a row before it could answer, which is said.
                    Err(_) => replaced += 1,
                }
            }
            assert!(replaced < 200, "no process at all");
            drop(stop);
        });
        restart();
        mp_testkit::accept_children(&SERVER);
    });
}

#[test]
fn somebody_else_reaps() {
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(|n: u8| n, 7).unwrap();
            nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid().cast_signed()), None)
                .unwrap();
            assert_eq!(child.join().unwrap(), 7, "the result came all the same");

            let child = builder.spawn(wait_for_kill, ()).unwrap();
            child.kill().unwrap();
            nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid().cast_signed()), None)
                .unwrap();
            // Before Linux 6.15 nobody keeps the status.
            let error = child.join().unwrap_err();
            assert!(
                matches!(
                    error,
                    ProcessError::Signaled { signal: Signal::KILL, .. } | ProcessError::Lost
                ),
                "{error:?}"
            );
        });
    });
}

#[test]
fn ignored_child_signals() {
    isolated(|| {
        mp_signal::Disposition::Ignore.set(Signal::CHLD).unwrap();
        each_method(|builder| {
            assert_eq!(builder.spawn(|n: u8| n, 7).unwrap().join().unwrap(), 7);
            let child = builder.spawn(wait_for_kill, ()).unwrap();
            child.terminate().unwrap();
            let error = child.join().unwrap_err();
            assert!(
                matches!(
                    error,
                    ProcessError::Signaled { signal: Signal::TERM, .. } | ProcessError::Lost
                ),
                "{error:?}"
            );
        });
    });
}

#[test]
fn the_sentinel_is_ready_at_death() {
    isolated(|| {
        each_method(|builder| {
            use mp_os::poll::{Interest, wait};
            let child = builder.spawn(wait_for_kill, ()).unwrap();
            let now = Deadline::after(Duration::ZERO);
            assert!(!wait(child.as_fd(), Interest::Readable, now).unwrap());
            child.kill().unwrap();
            let soon = Deadline::after(PATIENCE);
            assert!(wait(child.as_fd(), Interest::Readable, soon).unwrap());
            assert!(child.join().is_err());
        });
    });
}
