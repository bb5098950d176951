//! What Python's `Process` does, by every start method: each test says which row of the conformance table it shows.

use std::{
    collections::HashSet,
    fs,
    io::{PipeWriter, Read, Write},
    os::fd::AsFd,
    process,
    time::Duration,
};

use mp_core::{
    AuthKey, Fd, JoinError, Pool, Process, ProcessError, Queue, Signal, StartMethod, Stdio,
    active_children, cpu_count, current_process, ids, parent_process,
};
use mp_os::{
    Deadline,
    poll::{Interest, wait},
};
use mp_testkit::isolated;

use crate::{LONG, METHODS, warm_up};

/// Runs `test` by each method; by fork in a process of one thread, as fork wants it.
pub(crate) fn every_method(test: fn(StartMethod)) {
    warm_up();
    METHODS.into_iter().for_each(test);
    Process::spawn(test, StartMethod::Fork).unwrap().join().unwrap();
}

fn hang<A>(_: A) {
    mp_testkit::wait_for_kill()
}

/// Says so, and hangs.
fn ready_and_hang(ready: Queue<u32>) {
    ready.put(process::id()).unwrap();
    mp_testkit::wait_for_kill()
}

#[test]
fn current() {
    isolated(|| {
        let this = current_process();
        assert_eq!(
            (this.name(), this.pid(), this.is_daemon()),
            ("MainProcess", process::id(), false)
        );
        assert_eq!(this.authkey().unwrap().as_bytes().len(), 32);
        assert!(parent_process().is_none());
    });
}

#[test]
fn arguments_arrive_as_they_are() {
    type Arguments = (i32, String, Vec<u8>, (u8, Option<char>));
    isolated(|| {
        every_method(|method| {
            let arguments = || (-7, "text".to_owned(), vec![1, 2, 3], (4, Some('é')));
            let echo = |arguments: Arguments| arguments;
            let child = Process::builder().start_method(method).spawn(echo, arguments()).unwrap();
            assert_eq!(child.join().unwrap(), arguments());
        });
    });
}

#[test]
fn a_process_from_start_to_end() {
    isolated(|| {
        every_method(|method| {
            let ready = Queue::bounded(1).unwrap();
            type Seen = (String, u32, Vec<u8>);
            let task = |(ready, go): (Queue<Seen>, Queue<()>)| {
                let this = current_process();
                let key = this.authkey().unwrap().as_bytes().to_owned();
                ready.put((this.name().to_owned(), this.pid(), key)).unwrap();
                go.get().unwrap();
            };
            let go = Queue::bounded(1).unwrap();
            let builder = Process::builder().start_method(method).name("a name of some length");
            let child = builder.spawn(task, (ready.clone(), go.clone())).unwrap();
            let is_active = |pid| active_children().iter().any(|child| child.pid() == pid);
            assert!(child.is_alive() && child.exit_code().is_none() && is_active(child.pid()));
            let (name, pid, key) = ready.get_timeout(LONG).unwrap();
            assert_eq!((name.as_str(), pid), (child.name(), child.pid()));
            assert_eq!(key, current_process().authkey().unwrap().as_bytes());
            let handle = child.any();
            go.put(()).unwrap();
            child.join().unwrap();
            assert!(!handle.is_alive() && !is_active(pid));
            assert_eq!(handle.exit_code(), Some(0));
        });
    });
}

#[test]
fn names_are_those_of_the_line() {
    isolated(|| {
        every_method(|method| {
            let task = |method: StartMethod| {
                let own = current_process().name().to_owned();
                let name = |()| current_process().name().to_owned();
                let builder = Process::builder().start_method(method);
                let first = builder.spawn(name, ()).unwrap().join().unwrap();
                let named = builder.clone().name("x").spawn(name, ()).unwrap().join().unwrap();
                let third = builder.spawn(name, ()).unwrap().join().unwrap();
                (own, [first, named, third])
            };
            let child = Process::builder().start_method(method).spawn(task, method).unwrap();
            let expected = child.name().to_owned();
            let (own, children) = child.join().unwrap();
            assert_eq!(own, expected);
            assert_eq!(children, [format!("{own}:1"), "x".into(), format!("{own}:3")]);
        });
    });
}

#[test]
fn signals_end_it() {
    isolated(|| {
        every_method(|method| {
            type End = fn(&Process<()>) -> mp_core::Result<()>;
            for (end, code) in [
                (Process::interrupt as End, -Signal::INT.as_raw()),
                (Process::terminate, -Signal::TERM.as_raw()),
                (Process::kill, -Signal::KILL.as_raw()),
            ] {
                let ready = Queue::bounded(1).unwrap();
                let builder = Process::builder().start_method(method);
                let child = builder.spawn(ready_and_hang, ready.clone()).unwrap();
                ready.get_timeout(LONG).unwrap();
                let Err(JoinError::TimedOut(child)) = child.try_join() else { panic!("it runs") };
                end(&child).unwrap();
                let handle = child.any();
                assert!(matches!(child.join(), Err(ProcessError::Signaled { .. })));
                assert_eq!(handle.exit_code(), Some(code));
            }
        });
    });
}

#[test]
fn processors() {
    isolated(|| {
        every_method(|method| {
            assert!(cpu_count() >= 1);
            let one = Process::builder().start_method(method).processors([0]);
            assert_eq!(one.spawn(|()| cpu_count(), ()).unwrap().join().unwrap(), 1);
        });
    });
}

#[test]
fn a_tree_of_processes() {
    fn node((method, path, out): (StartMethod, Vec<u8>, Queue<Vec<u8>>)) {
        out.put(path.clone()).unwrap();
        if path.len() < 2 {
            for n in 0..2 {
                let path = [path.as_slice(), &[n]].concat();
                let builder = Process::builder().start_method(method);
                builder.spawn(node, (method, path, out.clone())).unwrap().join().unwrap();
            }
        }
    }
    isolated(|| {
        every_method(|method| {
            let out = Queue::bounded(16).unwrap();
            node((method, Vec::new(), out.clone()));
            let paths: Vec<Vec<u8>> = (0..7).map(|_| out.get_timeout(LONG).unwrap()).collect();
            let expected: [&[u8]; 7] = [&[], &[0], &[0, 0], &[0, 1], &[1], &[1, 0], &[1, 1]];
            assert_eq!(paths, expected);
        });
    });
}

#[test]
fn the_sentinel() {
    isolated(|| {
        every_method(|method| {
            let child = Process::builder().start_method(method).spawn(hang, ()).unwrap();
            let is_ready = |time| wait(child.as_fd(), Interest::Readable, Deadline::after(time));
            assert!(!is_ready(Duration::ZERO).unwrap());
            child.kill().unwrap();
            assert!(is_ready(LONG).unwrap());
            child.join().unwrap_err();
        });
    });
}

#[test]
fn only_the_dead_are_closed() {
    isolated(|| {
        every_method(|method| {
            let child = Process::builder().start_method(method).spawn(hang, ()).unwrap();
            let child = child.close().unwrap_err();
            child.kill().unwrap();
            assert!(child.wait_deadline(std::time::Instant::now() + LONG).unwrap());
            child.close().unwrap();
        });
    });
}

#[test]
fn many_processes() {
    isolated(|| {
        every_method(|method| {
            let builder = Process::builder().start_method(method);
            let number = if method == StartMethod::Spawn { 30 } else { 100 };
            let short: Vec<_> =
                (0..number).map(|n| builder.spawn(|n: u32| n, n).unwrap()).collect();
            assert!(short.into_iter().map(|child| child.join().unwrap()).eq(0..number));
            let long: Vec<_> = (0..number).map(|_| builder.spawn(hang, ()).unwrap()).collect();
            long.iter().for_each(|child| child.terminate().unwrap());
            for child in long {
                let error = child.join().unwrap_err();
                assert!(
                    matches!(error, ProcessError::Signaled { signal: Signal::TERM, .. }),
                    "{error}"
                );
            }
        });
    });
}

#[test]
fn the_parent_keeps_nothing_of_the_argument() {
    isolated(|| {
        every_method(|method| {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let write = |mut writer: Fd<PipeWriter>| writer.write_all(b"all").unwrap();
            let builder = Process::builder().start_method(method);
            let child = builder.spawn(write, Fd::new(writer)).unwrap();
            let mut text = String::new();
            // It ends when the child does, because nobody else has the other end.
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "all");
            child.join().unwrap();
        });
    });
}

#[test]
fn siblings_do_not_inherit_from_each_other() {
    isolated(|| {
        // Not by fork, whose copies have all that there is.
        warm_up();
        for method in METHODS {
            let out = Queue::bounded(8).unwrap();
            let task = |out: Queue<usize>| {
                out.put(fs::read_dir("/proc/self/fd").unwrap().count()).unwrap();
                mp_testkit::wait_for_kill()
            };
            let builder = Process::builder().start_method(method);
            let children: Vec<Process<()>> =
                (0..5).map(|_| builder.spawn(task, out.clone()).unwrap()).collect();
            let counts: HashSet<usize> = (0..5).map(|_| out.get_timeout(LONG).unwrap()).collect();
            assert_eq!(counts.len(), 1, "{counts:?}");
            for child in children {
                child.kill().unwrap();
                child.join().unwrap_err();
            }
        }
    });
}

#[test]
fn queues_and_pools_inside_and_nothing_printed_twice() {
    isolated(|| {
        every_method(|method| {
            let task = |method: StartMethod| {
                print!("once");
                let queue = Queue::bounded(1).unwrap();
                let put = |queue: Queue<u8>| queue.put(3).unwrap();
                let builder = Process::builder().start_method(method);
                builder.spawn(put, queue.clone()).unwrap().join().unwrap();
                let pool = Pool::new(2).unwrap();
                (queue.get().unwrap(), pool.map(|n: u8| n * n, 1..4).unwrap())
            };
            let builder = Process::builder().start_method(method).stdout(Stdio::captured());
            let child = builder.spawn(task, method).unwrap();
            let output = child.captured_stdout().unwrap();
            assert_eq!(child.join().unwrap(), (3, vec![1, 4, 9]));
            assert_eq!(output.text().unwrap(), "once");
        });
    });
}

#[test]
fn a_secret_of_ones_own() {
    isolated(|| {
        every_method(|method| {
            let key = |()| current_process().authkey().unwrap().as_bytes().to_owned();
            let builder = Process::builder().start_method(method);
            current_process().set_authkey(AuthKey::new(*b"of one's own"));
            assert_eq!(builder.spawn(key, ()).unwrap().join().unwrap(), b"of one's own");
        });
    });
}

#[test]
fn ids_are_the_kernel_s() {
    isolated(|| {
        every_method(|method| {
            let read = |()| {
                (
                    ids().pid,
                    ids().ppid,
                    ids().euid,
                    fs::read_to_string("/proc/self/status").unwrap(),
                )
            };
            let child = Process::builder().start_method(method).spawn(read, ()).unwrap();
            let pid = child.pid();
            let (own, parent, user, status) = child.join().unwrap();
            assert_eq!((own, parent, user), (pid, process::id(), ids().euid));
            let line = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
            let users: Vec<_> = line.split_whitespace().skip(1).take(2).collect();
            assert_eq!(users, [ids().uid.to_string(), user.to_string()]);
        });
    });
}
