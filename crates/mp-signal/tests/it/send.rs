use std::{
    io::ErrorKind,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command},
};

use mp_signal::{Block, PidFd, Signal, Target, exists, queue, send};

fn sleeper() -> Child {
    Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
}

fn ended_by(mut child: Child) -> Option<Signal> {
    child.wait().unwrap().signal().map(|number| Signal::new(number).unwrap())
}

#[test]
fn to_a_process_a_group_and_a_thread() {
    mp_testkit::isolated(|| {
        let child = sleeper();
        send(child.id(), Signal::TERM).unwrap();
        assert_eq!(ended_by(child), Some(Signal::TERM));

        let child = sleeper();
        send(Target::Group(child.id()), Signal::HUP).unwrap();
        assert_eq!(ended_by(child), Some(Signal::HUP));

        let child = sleeper();
        let first_thread = Target::Thread { process: child.id(), thread: child.id() };
        send(first_thread, Signal::USR1).unwrap();
        assert_eq!(ended_by(child), Some(Signal::USR1));

        let child = sleeper();
        queue(&child, Signal::rt(5).unwrap(), 1).unwrap();
        assert_eq!(ended_by(child), Some(Signal::rt(5).unwrap()));
    });
}

#[test]
fn to_a_pidfd() {
    mp_testkit::isolated(|| {
        if PidFd::open(std::process::id()).is_err() {
            return mp_testkit::skip("pidfds are not allowed here");
        }
        let child = sleeper();
        let pidfd = PidFd::open(child.id()).unwrap();
        assert!(exists(&pidfd).unwrap());
        send(&pidfd, Signal::KILL).unwrap();
        assert_eq!(ended_by(child), Some(Signal::KILL));
        assert!(!exists(&pidfd).unwrap());
        for error in
            [send(&pidfd, Signal::KILL).unwrap_err(), queue(&pidfd, Signal::KILL, 0).unwrap_err()]
        {
            assert_eq!(error.raw_os_error(), Some(nix::libc::ESRCH));
        }
        let child = sleeper();
        queue(&PidFd::open(child.id()).unwrap(), Signal::ABRT, 1).unwrap();
        assert_eq!(ended_by(child), Some(Signal::ABRT));
    });
}

#[test]
fn every_process_of_a_group_gets_it_and_no_other() {
    mp_testkit::isolated(|| {
        let leader = sleeper();
        let group = i32::try_from(leader.id()).unwrap();
        let mut member = Command::new("sleep");
        let member = member.arg("600").process_group(group).spawn().unwrap();
        let outsider = sleeper();
        send(Target::Group(leader.id()), Signal::USR2).unwrap();
        assert_eq!(ended_by(leader), Some(Signal::USR2));
        assert_eq!(ended_by(member), Some(Signal::USR2));
        // The next one it gets is the first one.
        send(&outsider, Signal::TERM).unwrap();
        assert_eq!(ended_by(outsider), Some(Signal::TERM));
    });
}

#[test]
fn a_threads_signal_is_taken_by_no_other_thread() {
    mp_testkit::isolated(|| {
        let signals = [Signal::rt(0).unwrap(), Signal::USR1];
        let (tell, targets) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let tell = tell.clone();
                    scope.spawn(move || {
                        let block = Block::new(signals).unwrap();
                        tell.send(Target::this_thread()).unwrap();
                        let first = block.wait().unwrap();
                        (block.wait().unwrap().signal(), first.value().unwrap().as_i32())
                    })
                })
                .collect();
            let targets: Vec<_> = targets.iter().take(4).collect();
            for (number, &target) in (0..).zip(&targets) {
                queue(target, signals[1], number).unwrap();
            }
            for &target in &targets {
                send(target, signals[0]).unwrap();
            }
            let mut values: Vec<_> = threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .inspect(|(second, _)| assert_eq!(*second, signals[0]))
                .map(|(_, value)| value)
                .collect();
            values.sort_unstable();
            assert_eq!(values, [0, 1, 2, 3], "each got one of each");
        });
    });
}

/// Zero and numbers beyond `i32` would mean "my group", a group or everybody.
#[test]
fn numbers_that_mean_many_processes_are_refused_before_any_call() {
    let many = u32::MAX; // -1 as a C number
    for bad in [0, many, 1 << 31] {
        assert_eq!(send(bad, Signal::KILL).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(queue(bad, Signal::KILL, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
        let group = Target::Group(bad);
        assert_eq!(send(group, Signal::KILL).unwrap_err().kind(), ErrorKind::InvalidInput);
        let thread = Target::Thread { process: std::process::id(), thread: bad };
        assert_eq!(send(thread, Signal::KILL).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(send(Target::Group(1), Signal::KILL).unwrap_err().kind(), ErrorKind::InvalidInput);
    let error = queue(Target::Group(std::process::id()), Signal::USR1, 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Waits and leaves the zombie.
fn wait_until_dead(pid: u32) {
    let how = nix::libc::WEXITED | nix::libc::WNOWAIT;
    // SAFETY: a null `siginfo_t` is not written.
    let waited = unsafe { nix::libc::waitid(nix::libc::P_PID, pid, std::ptr::null_mut(), how) };
    assert_eq!(waited, 0);
}

#[test]
fn existence_is_asked_without_a_signal() {
    mp_testkit::isolated(|| {
        let child = sleeper();
        let pid = child.id();
        assert!(exists(pid).unwrap());
        send(pid, Signal::KILL).unwrap();
        wait_until_dead(pid);
        assert!(exists(pid).unwrap(), "a zombie has its number still");
        assert_eq!(ended_by(child), Some(Signal::KILL));
        assert!(!exists(pid).unwrap());
        let error = send(pid, Signal::TERM).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ESRCH));
        assert_eq!(
            error.to_string(),
            format!("failed to send SIGTERM to process {pid}: No such process (os error 3)")
        );
    });
}

#[test]
fn somebody_elses_process_is_refused_with_a_hint() {
    if !mp_testkit::is_root() {
        return mp_testkit::skip("takes root, to have a process of another user");
    }
    mp_testkit::isolated(|| {
        let roots = sleeper();
        let pid = roots.id();
        mp_testkit::as_ordinary_user(|| {
            for error in
                [send(pid, Signal::TERM).unwrap_err(), queue(pid, Signal::TERM, 0).unwrap_err()]
            {
                assert_eq!(error.raw_os_error(), Some(nix::libc::EPERM));
                assert!(error.hint().unwrap().contains("CAP_KILL"));
            }
            assert!(exists(pid).unwrap(), "it may not be signalled, but it exists");
        });
        send(&roots, Signal::KILL).unwrap();
        ended_by(roots);
    });
}
