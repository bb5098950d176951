//! The same tests for the three ways to receive: the guard's wait, the descriptor, the handler.

use std::{
    thread,
    time::{Duration, Instant},
};

use mp_signal::{
    Block, Cause, Result, Signal, SignalFd, SignalInfo, SignalSet, Target, TimeoutError, TryError,
    handler::Signals, queue, send,
};

/// What the three have in common.
trait Receiver {
    fn new(set: SignalSet) -> Self;
    fn recv(&self) -> Result<SignalInfo>;
    fn try_recv(&self) -> Result<SignalInfo, TryError>;
    fn recv_timeout(&self, timeout: Duration) -> Result<SignalInfo, TimeoutError>;
    fn recv_deadline(&self, deadline: Instant) -> Result<SignalInfo, TimeoutError>;
}

impl Receiver for Block {
    fn new(set: SignalSet) -> Self {
        Block::new(set).unwrap()
    }
    fn recv(&self) -> Result<SignalInfo> {
        self.wait()
    }
    fn try_recv(&self) -> Result<SignalInfo, TryError> {
        self.try_wait()
    }
    fn recv_timeout(&self, timeout: Duration) -> Result<SignalInfo, TimeoutError> {
        self.wait_timeout(timeout)
    }
    fn recv_deadline(&self, deadline: Instant) -> Result<SignalInfo, TimeoutError> {
        self.wait_deadline(deadline)
    }
}

impl Receiver for (Block, SignalFd) {
    fn new(set: SignalSet) -> Self {
        (Block::new(set).unwrap(), SignalFd::new(set).unwrap())
    }
    fn recv(&self) -> Result<SignalInfo> {
        self.1.recv()
    }
    fn try_recv(&self) -> Result<SignalInfo, TryError> {
        self.1.try_recv()
    }
    fn recv_timeout(&self, timeout: Duration) -> Result<SignalInfo, TimeoutError> {
        self.1.recv_timeout(timeout)
    }
    fn recv_deadline(&self, deadline: Instant) -> Result<SignalInfo, TimeoutError> {
        self.1.recv_deadline(deadline)
    }
}

impl Receiver for Signals {
    fn new(set: SignalSet) -> Self {
        Signals::register(set).unwrap()
    }
    fn recv(&self) -> Result<SignalInfo> {
        self.recv()
    }
    fn try_recv(&self) -> Result<SignalInfo, TryError> {
        self.try_recv()
    }
    fn recv_timeout(&self, timeout: Duration) -> Result<SignalInfo, TimeoutError> {
        self.recv_timeout(timeout)
    }
    fn recv_deadline(&self, deadline: Instant) -> Result<SignalInfo, TimeoutError> {
        self.recv_deadline(deadline)
    }
}

fn smoke<R: Receiver>() {
    let receiver = R::new([Signal::USR1, Signal::USR2].into());
    for signal in [Signal::USR2, Signal::USR1] {
        send(Target::this_thread(), signal).unwrap();
        let info = receiver.recv().unwrap();
        assert_eq!((info.signal(), info.cause()), (signal, Cause::ThreadKill));
        assert_eq!(info.pid(), Some(std::process::id()));
        assert_eq!(info.uid(), Some(nix::unistd::getuid().as_raw()));
        assert_eq!(info.value(), None);
    }
}

fn try_recv<R: Receiver>() {
    let receiver = R::new(Signal::USR1.into());
    assert!(matches!(receiver.try_recv(), Err(TryError::WouldBlock)));
    send(Target::this_thread(), Signal::USR1).unwrap();
    assert_eq!(receiver.try_recv().unwrap().signal(), Signal::USR1);
    assert!(matches!(receiver.try_recv(), Err(TryError::WouldBlock)));
}

fn recv_timeout<R: Receiver>() {
    let receiver = R::new(Signal::USR1.into());
    for micros in [0, 1, 700, 20_000] {
        let (start, timeout) = (Instant::now(), Duration::from_micros(micros));
        assert!(matches!(receiver.recv_timeout(timeout), Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout, "early by {:?}", timeout - start.elapsed());
        let end = Instant::now() + timeout;
        assert!(matches!(receiver.recv_deadline(end), Err(TimeoutError::TimedOut)));
        assert!(Instant::now() >= end);
    }
    send(Target::this_thread(), Signal::USR1).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::MAX).unwrap().signal(), Signal::USR1);
}

fn a_value_arrives<R: Receiver>() {
    let receiver = R::new([Signal::rt(1).unwrap(), Signal::USR1].into());
    for signal in [Signal::rt(1).unwrap(), Signal::USR1] {
        queue(Target::this_thread(), signal, usize::MAX - 9).unwrap();
        let info = receiver.recv().unwrap();
        assert_eq!((info.signal(), info.cause()), (signal, Cause::Queue));
        assert_eq!(info.value().unwrap().as_usize(), usize::MAX - 9);
        assert_eq!(info.pid(), Some(std::process::id()));
    }
    queue(Target::this_thread(), Signal::USR1, -3).unwrap();
    assert_eq!(receiver.recv().unwrap().value().unwrap().as_i32(), -3);
}

/// Sent while blocked, so that all are pending at once; a handler gets them when the guard goes.
fn realtime_signals_queue_in_order<R: Receiver>() {
    let signal = Signal::rt(2).unwrap();
    let receiver = R::new(signal.into());
    let pending = Block::new(signal).unwrap();
    for value in 0..100 {
        queue(Target::this_thread(), signal, value).unwrap();
    }
    assert!(SignalSet::pending().unwrap().contains(signal));
    drop(pending);
    for value in 0..100 {
        assert_eq!(receiver.recv().unwrap().value().unwrap().as_i32(), value);
    }
    assert!(matches!(receiver.try_recv(), Err(TryError::WouldBlock)));
}

fn standard_signals_coalesce<R: Receiver>() {
    let receiver = R::new(Signal::USR1.into());
    let pending = Block::new(Signal::USR1).unwrap();
    for value in 1..=100 {
        queue(Target::this_thread(), Signal::USR1, value).unwrap();
    }
    drop(pending);
    // One of a hundred is left, the first.
    assert_eq!(receiver.recv().unwrap().value().unwrap().as_i32(), 1);
    assert!(matches!(receiver.try_recv(), Err(TryError::WouldBlock)));
}

/// A handler for another signal, which interrupts the system call, neither ends the wait nor lengthens it.
fn a_handler_does_not_end_the_wait<R: Receiver>() {
    let receiver = R::new(Signal::USR1.into());
    let seen = Signals::register(Signal::WINCH).unwrap();
    let waiter = Target::this_thread();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                send(waiter, Signal::WINCH).unwrap();
                // The waiter ran the handler; that it waits again shows in the end.
                seen.recv().unwrap();
            }
            send(waiter, Signal::USR1).unwrap();
        });
        assert_eq!(receiver.recv().unwrap().signal(), Signal::USR1);
    });
    let (start, timeout) = (Instant::now(), Duration::from_millis(30));
    thread::scope(|scope| {
        scope.spawn(|| {
            while start.elapsed() < timeout {
                send(waiter, Signal::WINCH).unwrap();
                seen.recv().unwrap();
            }
        });
        assert!(matches!(receiver.recv_timeout(timeout), Err(TimeoutError::TimedOut)));
        assert!(start.elapsed() >= timeout);
    });
}

/// The sender dies at once after sending; what it sent arrives, with its number.
fn a_dead_senders_signal_arrives<R: Receiver>() {
    let signal = Signal::rt(0).unwrap();
    let receiver = R::new(signal.into());
    let target = Target::this_thread();
    let sender = mp_testkit::fork_child(|| {
        queue(target, signal, 77).unwrap();
        send(std::process::id(), Signal::KILL).unwrap();
        0
    });
    let pid = sender.id();
    sender.wait();
    let info = receiver.recv().unwrap();
    assert_eq!((info.pid(), info.value().unwrap().as_i32()), (Some(pid), 77));
}

fn kill_and_stop_are_refused<R>(register: impl Fn(SignalSet) -> Result<R>) {
    for signal in [Signal::KILL, Signal::STOP] {
        let error = register(signal.into()).err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(signal.name()), "{error}");
    }
}

macro_rules! conformance {
    ($backend:ident, $receiver:ty, $register:expr) => {
        mod $backend {
            use super::*;

            conformance!(@ $receiver: smoke try_recv recv_timeout a_value_arrives realtime_signals_queue_in_order
                standard_signals_coalesce a_handler_does_not_end_the_wait a_dead_senders_signal_arrives);

            #[test]
            fn kill_and_stop_are_refused() {
                super::kill_and_stop_are_refused($register);
            }
        }
    };
    (@ $receiver:ty: $($test:ident)+) => {$(
        #[test]
        fn $test() {
            mp_testkit::isolated(|| super::$test::<$receiver>());
        }
    )+};
}

conformance!(wait, Block, Block::new);
conformance!(signalfd, (Block, SignalFd), |set| {
    let _rest = Block::new(SignalSet::full());
    SignalFd::new(set)
});
conformance!(handler, Signals, Signals::register);

#[test]
fn low_numbers_come_first() {
    mp_testkit::isolated(|| {
        let signals = [2, 0, 1].map(|n| Signal::rt(n).unwrap());
        let block = Block::new(SignalSet::from(signals).with(Signal::TERM)).unwrap();
        let by_descriptor = SignalFd::new(block.set()).unwrap();
        let expected = [Signal::TERM, signals[1], signals[2], signals[0]];
        for receive in [&(|| block.wait()) as &dyn Fn() -> _, &|| by_descriptor.recv()] {
            for signal in signals.into_iter().chain([Signal::TERM]) {
                send(Target::this_thread(), signal).unwrap();
            }
            let order = [0; 4].map(|_| receive().unwrap().signal());
            assert_eq!(order, expected);
        }
    });
}

/// Two threads wait for the same signal of their process: one gets it, the other waits on.
#[test]
fn one_signal_ends_one_wait() {
    mp_testkit::isolated(|| {
        let child = mp_testkit::fork_child(|| {
            let _block = Block::new(Signal::USR1).unwrap();
            let outcomes = thread::scope(|scope| {
                let wait = || Block::new(Signal::USR1)?.wait_timeout(Duration::from_millis(80));
                let waiters = [0; 2].map(|_| scope.spawn(wait));
                send(std::process::id(), Signal::USR1).unwrap();
                waiters.map(|waiter| waiter.join().unwrap())
            });
            let received = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            i32::from(received != 1)
        });
        assert!(child.wait().success());
    });
}
