//! Where a process is to others: its title, its cgroup, its signals.

use std::{
    env, fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use mp_process::{Builder, Connection, ProcessError, Signal, SpawnError, StartMethod, cpu_count};
use mp_signal::{Block, handler::Flag};
use mp_testkit::{isolated, skip};

use crate::{every_method, wait_for_kill, warm_up};

const LONG_NAME: &str = "a title of more than the fifteen bytes that a name may have, and spaces";

#[test]
fn the_title_is_shown_and_arguments_stay() {
    isolated(|| {
        every_method(|method| {
            let look = |expected: Vec<String>| {
                assert_eq!(env::args().collect::<Vec<_>>(), expected);
                // The heap still grows.
                drop(std::hint::black_box(vec![1_u8; 8 << 20]));
                fs::read("/proc/self/cmdline").unwrap()
            };
            let builder = Builder::new().start_method(method).title(LONG_NAME);
            let child = builder.spawn(look, env::args().collect()).unwrap();
            assert_eq!(child.join().unwrap(), format!("{LONG_NAME}\0").into_bytes());
            let error = Builder::new().title("a\0b").spawn(|()| (), ()).unwrap_err();
            assert!(error.to_string().contains("NUL"), "{error}");
        });
    });
}

#[test]
fn ps_shows_both_names() {
    isolated(|| {
        warm_up();
        let builder = Builder::new().name("short").title(LONG_NAME);
        let child: mp_process::Child<()> = builder
            .spawn(
                |()| {
                    println!("ready");
                    mp_testkit::wait_for_kill()
                },
                (),
            )
            .unwrap();
        let pid = child.pid().to_string();
        crate::lifetime::eventually("it has its title", || {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"a title"))
        });
        let mut ps = std::process::Command::new("ps");
        if let Some(shown) = mp_testkit::run(ps.args(["-o", "comm=,args=", "-ww", "-p", &pid])) {
            let (comm, args) = shown.trim().split_once(char::is_whitespace).unwrap();
            assert_eq!((comm, args.trim()), ("short", LONG_NAME));
        }
        child.kill().unwrap();
        child.join().unwrap_err();
    });
}

/// A cgroup of the test's own, removed when dropped.
struct Group(PathBuf);

impl Group {
    /// One below `parent`, which is set up by writing `file`s.
    fn new(parent: &str, files: &[(&str, &str)]) -> Option<Self> {
        let group = Self(PathBuf::from(parent).join(mp_testkit::unique_name("group")));
        fs::create_dir(&group.0).ok()?;
        files
            .iter()
            .all(|(file, text)| fs::write(group.0.join(file), text).is_ok())
            .then_some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It was not made, or its last process is dead.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_cgroup_and_its_quota() {
    isolated(|| {
        let quota_v1 = [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "100000")];
        let group = Group::new("/sys/fs/cgroup/cpu", &quota_v1)
            .or_else(|| Group::new("/sys/fs/cgroup", &[("cpu.max", "100000 100000")]));
        let Some(group) = group else { return skip("no cgroup with a quota can be made here") };
        // The task reads where it is, so that the group can be removed in the end.
        let look = |()| (fs::read_to_string("/proc/self/cgroup").unwrap(), cpu_count());
        warm_up();
        for method in crate::METHODS {
            let builder = Builder::new().start_method(method).cgroup(&group.0);
            let (places, count) = builder.spawn(look, ()).unwrap().join().unwrap();
            let name = group.0.file_name().unwrap().to_str().unwrap();
            assert!(places.contains(name), "{places}");
            assert_eq!(count, 1, "a quota of one processor");
        }
    });
}

#[test]
fn a_cgroup_that_is_not_there() {
    isolated(|| {
        every_method(|method| {
            let builder = Builder::new().start_method(method).cgroup("/nowhere");
            let error = builder.spawn(|()| (), ()).unwrap().join().unwrap_err();
            assert!(matches!(error, ProcessError::Os(_)), "{error:?}");
            assert!(error.to_string().contains("failed to join cgroup `/nowhere`"), "{error}");
        });
    });
}

#[test]
#[expect(clippy::exit, reason = "what a handler does in the end")]
fn an_interrupt_may_be_handled() {
    isolated(|| {
        every_method(|method| {
            let (ours, theirs) = Connection::pair().unwrap();
            let task = |peer: Connection| -> () {
                let interrupt = Block::new(Signal::INT).unwrap();
                peer.send("ready").unwrap();
                interrupt.wait().unwrap();
                peer.send("tidied up").unwrap();
                std::process::exit(1)
            };
            let child = Builder::new().start_method(method).spawn(task, theirs).unwrap();
            assert_eq!(ours.recv::<String>().unwrap(), "ready");
            child.interrupt().unwrap();
            assert_eq!(ours.recv::<String>().unwrap(), "tidied up");
            assert!(matches!(child.join(), Err(ProcessError::Exited(1))));
        });
    });
}

#[test]
fn a_join_survives_signals() {
    isolated(|| {
        warm_up();
        let interrupted = Flag::register(Signal::USR1).unwrap();
        for method in crate::METHODS {
            let child = Builder::new().start_method(method).spawn(wait_for_kill, ()).unwrap();
            let handle = child.any();
            let error = mp_testkit::once_asleep(
                || child.join().unwrap_err(),
                || {
                    // All threads of the crate block it, so that it comes to this one or to the one that joins.
                    for _ in 0..20 {
                        mp_signal::send(std::process::id(), Signal::USR1).unwrap();
                        while !interrupted.take() {
                            thread::yield_now();
                        }
                    }
                    assert!(handle.is_alive());
                    handle.kill().unwrap();
                },
            );
            assert!(matches!(error, ProcessError::Signaled { signal: Signal::KILL, .. }));
        }
    });
}

#[test]
fn the_fork_server_leaves_interrupts_to_the_parent() {
    isolated(|| {
        warm_up();
        let server = crate::lifetime::server();
        let watched = mp_testkit::Watched::new(server).unwrap();
        assert!(watched.signal(Signal::INT.as_raw()));
        for _ in 0..3 {
            assert_eq!(mp_process::spawn(|n: u8| n, 3).unwrap().join().unwrap(), 3);
        }
        assert!(!watched.is_dead() && crate::lifetime::server() == server);
        drop(watched);
        mp_testkit::accept_children(&crate::SERVER);
    });
}

#[test]
fn init_in_a_program_changes_no_default() {
    isolated(|| {
        mp_process::init();
        assert_eq!(mp_process::start_method(), StartMethod::Forkserver);
        assert!(!mp_process::is_child());
    });
}

#[test]
fn a_start_gives_up_in_time() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    isolated(|| {
        warm_up();
        let times_out = || {
            let start = Instant::now();
            let error = Builder::new().spawn_timeout(|()| (), (), TIMEOUT).unwrap_err();
            assert!(matches!(error, SpawnError::TimedOut), "{error}");
            assert!(start.elapsed() >= TIMEOUT && start.elapsed() < Duration::from_secs(20));
        };
        let works = || mp_process::spawn(|n: u8| n, 3).unwrap().join().unwrap() == 3;
        mp_testkit::Watched::new(crate::lifetime::server()).unwrap().signal(Signal::STOP.as_raw());
        // One process was made ahead.
        let far = Instant::now() + Duration::from_secs(2);
        let ahead = Builder::new().spawn_deadline(|n: u8| n, 3, far).unwrap();
        assert_eq!(ahead.join().unwrap(), 3);
        times_out();
        assert!(works(), "the server that does not answer is replaced");

        mp_process::set_forkserver_preload(wait_for_kill).unwrap();
        times_out();
        mp_process::set_forkserver_preload(|()| ()).unwrap();
        assert!(works());
        mp_testkit::accept_children(&crate::SERVER);
    });
}
