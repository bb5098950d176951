use std::{
    io::Read,
    os::unix::process::ExitStatusExt,
    sync::atomic::{AtomicUsize, Ordering},
};

use mp_signal::{
    Block, Cause, Disposition, Signal, SignalSet, Target, TryError,
    handler::{Flag, Signals, Wake},
    reset_for_child, send,
};
use nix::libc;

fn raise(signal: Signal) {
    send(Target::this_thread(), signal).unwrap();
}

#[test]
fn any_number_share_a_signal() {
    mp_testkit::isolated(|| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let flags = [0; 2].map(|_| Flag::register(Signal::USR1).unwrap());
        let both = Flag::register([Signal::USR1, Signal::USR2]).unwrap();
        let wake = Wake::register([Signal::USR1, Signal::USR2], writer).unwrap();
        let signals = Signals::register(Signal::USR1).unwrap();
        raise(Signal::USR1);
        assert!(flags[0].is_set() && flags[1].take() && both.take());
        assert!(flags[0].is_set() && !flags[1].is_set(), "each has its own flag");
        reader.read_exact(&mut [0]).unwrap();
        assert_eq!(signals.recv().unwrap().signal(), Signal::USR1);
        raise(Signal::USR2);
        assert!(both.is_set() && !flags[1].is_set());
        reader.read_exact(&mut [0]).unwrap();
        drop(wake);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the write end is closed with the guard");
    });
}

/// To a thread, or to a process of one thread: it has been handled when `send` returns.
#[test]
fn a_signal_to_oneself_is_handled_at_once() {
    mp_testkit::isolated(|| {
        let child = mp_testkit::fork_child(|| {
            let flag = Flag::register(Signal::USR1).unwrap();
            send(std::process::id(), Signal::USR1).unwrap();
            let by_process = flag.take();
            raise(Signal::USR1);
            i32::from(!(by_process && flag.take()))
        });
        assert_eq!(child.wait().code(), Some(0));
    });
}

#[test]
fn the_last_one_dropped_restores_what_the_signal_did() {
    mp_testkit::isolated(|| {
        assert_eq!(Disposition::of(Signal::TERM).unwrap(), Disposition::Default);
        let first = Flag::register(Signal::TERM).unwrap();
        let second = Signals::register(Signal::TERM).unwrap();
        drop(first);
        assert_eq!(Disposition::of(Signal::TERM).unwrap(), Disposition::Handler);
        raise(Signal::TERM);
        second.recv().unwrap();
        drop(second);
        assert_eq!(Disposition::of(Signal::TERM).unwrap(), Disposition::Default);
        let child = mp_testkit::fork_child(|| {
            raise(Signal::TERM);
            0
        });
        assert_eq!(child.wait().signal(), Some(Signal::TERM.as_raw()), "deadly again");

        Disposition::Ignore.set(Signal::USR1).unwrap();
        drop(Flag::register(Signal::USR1).unwrap());
        assert_eq!(Disposition::of(Signal::USR1).unwrap(), Disposition::Ignore);
    });
}

#[test]
fn registering_works_again_after_a_drop_and_after_a_reset() {
    mp_testkit::isolated(|| {
        for _ in 0..3 {
            let flag = Flag::register(Signal::USR1).unwrap();
            raise(Signal::USR1);
            assert!(flag.is_set());
        }
        let before_reset = Flag::register(Signal::USR1).unwrap();
        reset_for_child().unwrap();
        let child = mp_testkit::fork_child(|| {
            reset_for_child().unwrap();
            let flag = Flag::register(Signal::USR1).unwrap();
            raise(Signal::USR1);
            i32::from(!flag.is_set())
        });
        assert_eq!(child.wait().code(), Some(0));
        let after_reset = Flag::register(Signal::USR1).unwrap();
        raise(Signal::USR1);
        assert!(after_reset.is_set() && before_reset.is_set());
    });
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: libc::c_int) {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_handler_that_was_there_is_called_too_and_stays() {
    mp_testkit::isolated(|| {
        let handler = count as *const () as libc::sighandler_t;
        // SAFETY: the handler changes an atomic only.
        unsafe { libc::signal(Signal::USR1.as_raw(), handler) };
        let flag = Flag::register(Signal::USR1).unwrap();
        raise(Signal::USR1);
        assert!(flag.is_set());
        assert_eq!(CALLS.load(Ordering::SeqCst), 1);
        drop(flag);
        raise(Signal::USR1);
        assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn faults_are_refused() {
    for signal in [Signal::SEGV, Signal::ILL, Signal::FPE, Signal::KILL, Signal::STOP] {
        let error = Flag::register([Signal::USR1, signal]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with(&format!("failed to catch {signal}")), "{error}");
        assert!(Signals::register(signal).is_err());
        assert!(Wake::register(signal, std::io::pipe().unwrap().1).is_err());
    }
    assert_eq!(Disposition::of(Signal::USR1).unwrap(), Disposition::Default);
}

/// Nobody reads: what does not fit is told once for each signal, and nothing hangs.
#[test]
fn a_full_pipe_loses_details_but_not_the_fact() {
    mp_testkit::isolated(|| {
        let signals = Signals::register([Signal::USR1, Signal::TERM]).unwrap();
        for _ in 0..4_000 {
            raise(Signal::USR1);
        }
        raise(Signal::TERM);
        let mut lost = Vec::new();
        let mut told = 0;
        loop {
            match signals.try_recv() {
                Ok(info) if info.cause() == Cause::Lost => lost.push(info.signal()),
                Ok(info) => {
                    assert_eq!(info.signal(), Signal::USR1);
                    told += 1;
                }
                Err(TryError::WouldBlock) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!((2_500..4_000).contains(&told), "{told}");
        assert_eq!(lost, [Signal::USR1, Signal::TERM]);
        raise(Signal::TERM);
        assert_eq!(signals.recv().unwrap().cause(), Cause::ThreadKill);
    });
}

/// Handlers on four threads fill the pipe while a fifth thread empties it: each thread's last signal is told, or its loss.
#[test]
fn a_storm_from_many_threads_hides_nothing() {
    mp_testkit::isolated(|| {
        let lasts = [0, 1, 2, 3].map(|n| Signal::rt(n).unwrap());
        let signals = Signals::register(SignalSet::from(lasts).with(Signal::USR1)).unwrap();
        std::thread::scope(|scope| {
            for last in lasts {
                scope.spawn(move || {
                    (0..5_000).for_each(|_| raise(Signal::USR1));
                    raise(last);
                });
            }
            let mut missing = SignalSet::from(lasts);
            while !missing.is_empty() {
                missing = missing.without(signals.recv().unwrap().signal());
            }
        });
    });
}

/// Handlers of different numbers nest: all are entered before the first one runs, which is that of the highest number.
#[test]
fn different_pending_signals_reach_handlers_last_first() {
    mp_testkit::isolated(|| {
        let set = SignalSet::from([0, 1, 2].map(|n| Signal::rt(n).unwrap()));
        let signals = Signals::register(set).unwrap();
        let block = Block::new(set).unwrap();
        set.iter().for_each(raise);
        drop(block);
        let order = [0; 3].map(|_| signals.recv().unwrap().signal());
        assert_eq!(order, [2, 1, 0].map(|n| Signal::rt(n).unwrap()));
    });
}

#[test]
fn a_forked_childs_signals_are_not_the_parents() {
    mp_testkit::isolated(|| {
        let signals = Signals::register(Signal::TERM).unwrap();
        let child = mp_testkit::fork_child(|| {
            raise(Signal::TERM);
            0
        });
        assert_eq!(child.wait().code(), Some(0), "caught, with the handler it inherited");
        assert!(matches!(signals.try_recv(), Err(TryError::WouldBlock)));
        raise(Signal::TERM);
        assert_eq!(signals.recv().unwrap().pid(), Some(std::process::id()));
    });
}

/// `poll(2)` and the like are not restarted after a handler, `read(2)` is.
#[test]
fn a_blocking_read_goes_on_after_a_handler() {
    mp_testkit::isolated(|| {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let signals = Signals::register(Signal::USR1).unwrap();
        let target = Target::this_thread();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                send(target, Signal::USR1).unwrap();
                assert_eq!(signals.recv().unwrap().signal(), Signal::USR1);
                drop(writer);
            });
            let mut byte = [0];
            assert_eq!(nix::unistd::read(&reader, &mut byte), Ok(0), "not EINTR");
        });
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    });
}
