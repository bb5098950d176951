use std::{
    os::{fd::AsFd, unix::process::CommandExt},
    process::Command,
    thread,
    time::Duration,
};

use mp_os::{
    Deadline,
    poll::{self, Interest},
};
use mp_signal::{Block, Signal, SignalFd, SignalSet, Target, TimeoutError, send};

#[test]
fn an_unblocked_signal_is_refused_with_a_hint() {
    mp_testkit::isolated(|| {
        let _block = Block::new(Signal::USR1).unwrap();
        let error = SignalFd::new([Signal::USR1, Signal::USR2]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("SIGUSR2"), "{error}");
        assert!(error.hint().unwrap().contains("Block"));
        let signals = SignalFd::new(Signal::USR1).unwrap();
        assert!(signals.set_signals(Signal::USR2).is_err());
    });
}

#[test]
fn it_can_be_polled_and_changed() {
    mp_testkit::isolated(|| {
        let _block = Block::new([Signal::USR1, Signal::USR2]).unwrap();
        let signals = SignalFd::new(Signal::USR1).unwrap();
        let ready = || {
            let at_once = Deadline::after(Duration::ZERO);
            poll::wait(signals.as_fd(), Interest::Readable, at_once).unwrap()
        };
        send(Target::this_thread(), Signal::USR2).unwrap();
        assert!(!ready());
        signals.set_signals(Signal::USR2).unwrap();
        assert!(ready());
        assert_eq!(signals.recv().unwrap().signal(), Signal::USR2);
        assert!(!ready());
    });
}

/// Two readers, one signal: the one that loses goes on waiting, until its deadline.
#[test]
fn a_signal_that_another_reader_took_is_no_hang() {
    mp_testkit::isolated(|| {
        // In a forked child no thread of the harness has the signal unblocked.
        let child = mp_testkit::fork_child(|| {
            let block = Block::new(Signal::USR1).unwrap();
            let signals = SignalFd::new(block.set()).unwrap();
            let outcomes = thread::scope(|scope| {
                let readers =
                    [0; 2].map(|_| scope.spawn(|| signals.recv_timeout(Duration::from_millis(80))));
                send(std::process::id(), Signal::USR1).unwrap();
                readers.map(|reader| reader.join().unwrap())
            });
            let received = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            let timed_out =
                outcomes.iter().filter(|o| matches!(o, Err(TimeoutError::TimedOut))).count();
            i32::from((received, timed_out) != (1, 1))
        });
        assert!(child.wait().success());
    });
}

/// The trap of the docs: what a child inherits, and what `reset_for_child` makes of it.
#[test]
fn a_blocked_signal_is_inherited_by_fork_and_by_command() {
    mp_testkit::isolated(|| {
        let _block = Block::new(Signal::TERM).unwrap();
        let forked = mp_testkit::fork_child(|| {
            i32::from(SignalSet::blocked().unwrap().contains(Signal::TERM))
        });
        assert_eq!(forked.wait().code(), Some(1), "a fork inherits the mask");

        let reset = mp_testkit::fork_child(|| {
            mp_signal::reset_for_child().unwrap();
            i32::from(SignalSet::blocked().unwrap().contains(Signal::TERM))
        });
        assert_eq!(reset.wait().code(), Some(0));

        let blocked = |command: &mut Command| {
            let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
            u64::from_str_radix(text.trim().rsplit('\t').next().unwrap(), 16).unwrap()
        };
        let mut command = Command::new("grep");
        command.args(["SigBlk", "/proc/self/status"]);
        assert_eq!(blocked(&mut command), 1 << 14, "Command keeps the mask");
        // SAFETY: the function is async-signal-safe.
        unsafe { command.pre_exec(mp_signal::reset_for_child) };
        assert_eq!(blocked(&mut command), 0);
    });
}

/// It reads the signals of whoever reads, not of its maker.
#[test]
fn a_forked_reader_gets_its_own_signals() {
    mp_testkit::isolated(|| {
        let block = Block::new(Signal::USR1).unwrap();
        let signals = SignalFd::new(block.set()).unwrap();
        send(Target::this_thread(), Signal::USR1).unwrap();
        let child = mp_testkit::fork_child(|| i32::from(signals.try_recv().is_ok()));
        assert_eq!(child.wait().code(), Some(0), "the parent's signal is not the child's");
        assert_eq!(signals.try_recv().unwrap().signal(), Signal::USR1);
    });
}
