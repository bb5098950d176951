use mp_signal::{Block, Cause, Signal, Target, TryError, queue, send};
use nix::libc::{RLIMIT_SIGPENDING, rlimit, setrlimit};

fn limit_pending_signals(limit: u64) {
    let limit = rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: `limit` is valid for reads.
    assert_eq!(unsafe { setrlimit(RLIMIT_SIGPENDING, &raw const limit) }, 0);
}

#[test]
fn a_full_queue_is_an_error_with_a_hint_and_loses_nothing() {
    mp_testkit::isolated(|| {
        let signal = Signal::rt(0).unwrap();
        let block = Block::new(signal).unwrap();
        limit_pending_signals(8);
        let mut sent = 0;
        let error = loop {
            match queue(Target::this_thread(), signal, sent) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent <= 8, "more than the limit");
        };
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        assert!(error.hint().unwrap().contains("RLIMIT_SIGPENDING"), "{error}");
        for value in 0..sent {
            assert_eq!(block.wait().unwrap().value().unwrap().as_i32(), value);
        }
        assert!(matches!(block.try_wait(), Err(TryError::WouldBlock)));
    });
}

/// `kill` never fails for want of room: the signal arrives, but not who sent it.
#[test]
fn a_kill_beyond_the_limit_arrives_anonymously() {
    mp_testkit::isolated(|| {
        let block = Block::new(Signal::USR1).unwrap();
        limit_pending_signals(0);
        let error = queue(Target::this_thread(), Signal::rt(0).unwrap(), 0).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        send(Target::this_thread(), Signal::USR1).unwrap();
        let info = block.wait().unwrap();
        assert_eq!(info.signal(), Signal::USR1);
        assert_eq!((info.cause(), info.pid(), info.value()), (Cause::Kill, None, None));
    });
}

#[test]
fn a_queued_sender_is_what_the_sender_wrote() {
    mp_testkit::isolated(|| {
        // This crate writes the truth; another process's number arrives as that process sends it.
        let signal = Signal::rt(3).unwrap();
        let block = Block::new(signal).unwrap();
        let target = Target::this_thread();
        let child = mp_testkit::fork_child(|| queue(target, signal, 5).map_or(1, |()| 0));
        let pid = child.id();
        assert!(child.wait().success());
        assert_eq!(block.wait().unwrap().pid(), Some(pid));
    });
}
