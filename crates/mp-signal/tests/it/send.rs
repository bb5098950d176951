use std::{
    io::ErrorKind,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command},
};

use mp_signal::{PidFd, Signal, Target, exists, queue, send};

fn sleeper() -> Child {
    Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
}

fn ended_by(mut child: Child) -> Option<Signal> {
    child.wait().unwrap().signal().map(|number| Signal::new(number).unwrap())
}

#[test]
fn to_a_process_a_group_a_thread_and_a_pidfd() {
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
        let pidfd = PidFd::open(child.id()).unwrap();
        send(&pidfd, Signal::KILL).unwrap();
        assert_eq!(ended_by(child), Some(Signal::KILL));
        let error = send(&pidfd, Signal::KILL).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ESRCH));
    });
}

#[test]
fn queued_signals_reach_a_process_and_a_pidfd() {
    mp_testkit::isolated(|| {
        let child = sleeper();
        queue(&child, Signal::rt(5).unwrap(), 1).unwrap();
        assert_eq!(ended_by(child), Some(Signal::rt(5).unwrap()));

        let child = sleeper();
        queue(&PidFd::open(child.id()).unwrap(), Signal::ABRT, 1).unwrap();
        assert_eq!(ended_by(child), Some(Signal::ABRT));
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

#[test]
fn existence_is_asked_without_a_signal() {
    mp_testkit::isolated(|| {
        let child = sleeper();
        let pid = child.id();
        assert!(exists(pid).unwrap());
        send(pid, Signal::KILL).unwrap();
        PidFd::open(pid).unwrap().wait_exit(mp_os::Deadline::never()).unwrap();
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
