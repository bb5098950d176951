//! The descriptor that pollers wait at: it tells of every record, whoever is killed, and costs nothing while nobody polls.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use mp_channel::{Deadline, Ring, TryPopError, select};
use mp_os::{
    PidFd,
    poll::{self, Interest},
};
use mp_testkit::{Point, fork_child, isolated, isolated_for, sweep, sweep_sample};
use nix::{
    libc,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    unistd,
};

use crate::kill::{TAIL, holder};

const LONG: Duration = Duration::from_secs(20);

fn ring() -> Ring {
    Ring::builder().items(8).bytes(4096).create().unwrap()
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    poll::wait(fd, Interest::Readable, Deadline::after(Duration::ZERO)).unwrap()
}

fn ready(ring: &Ring) -> bool {
    is_readable(ring.as_fd())
}

#[test]
fn readiness() {
    isolated(|| {
        let ring = ring();
        ring.push(b"before anybody polls").unwrap();
        ring.arm().unwrap();
        assert!(ready(&ring), "what was there before");
        ring.pop(&mut Vec::new()).unwrap();
        ring.arm().unwrap();
        assert!(!ready(&ring));
        ring.try_push_many([&b"one"[..], b"two"]).unwrap();
        assert!(ready(&ring));
        ring.pop(&mut Vec::new()).unwrap();
        ring.arm().unwrap();
        assert!(ready(&ring), "there is another one");
        ring.pop(&mut Vec::new()).unwrap();
        ring.arm().unwrap();
        ring.push(&[7; 5000]).unwrap();
        assert!(ready(&ring), "large records count");
        ring.pop(&mut Vec::new()).unwrap();
        ring.arm().unwrap();
        assert!(!ready(&ring));
        ring.close();
        assert!(ready(&ring));
        ring.arm().unwrap();
        assert!(ready(&ring), "for ever");
    });
}

#[test]
fn only_pollers_cost_system_calls() {
    isolated(|| {
        let ring = Ring::builder().items(100).create().unwrap();
        let rings = || {
            let mut count = [0; 8];
            unistd::read(&ring, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
        };
        (0..50).for_each(|_| ring.push(b"x").unwrap());
        assert_eq!(rings(), 0, "nobody polls");
        while ring.try_pop(&mut Vec::new()).is_ok() {}
        ring.arm().unwrap();
        (0..50).for_each(|_| ring.push(b"x").unwrap());
        assert_eq!(rings(), 1, "armed once");
    });
}

/// Takes all that is there, then arms; how many there were.
fn drain(ring: &Ring) -> usize {
    let mut popped = Vec::new();
    let mut count = 0;
    loop {
        match ring.try_pop(&mut popped) {
            Ok(()) => count += 1,
            Err(TryPopError::Empty) => break,
            Err(TryPopError::Closed) => return count,
            Err(error) => panic!("{error}"),
        }
    }
    ring.arm().unwrap();
    count
}

/// As an async runtime does it: registered once, edge-triggered.
#[test]
fn edge_triggered() {
    isolated(|| {
        const COUNT: usize = 20_000;
        let ring = ring();
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        epoll.add(&ring, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 7)).unwrap();
        let child = fork_child(|| {
            (0..COUNT).for_each(|_| ring.push(b"x").unwrap());
            ring.close();
            0
        });
        let mut taken = drain(&ring);
        while taken < COUNT {
            let mut events = [EpollEvent::empty()];
            let patience = EpollTimeout::try_from(LONG).unwrap();
            assert_eq!(epoll.wait(&mut events, patience).unwrap(), 1, "stranded at {taken}");
            taken += drain(&ring);
        }
        assert!(child.wait().success());
    });
}

#[test]
fn several_pollers() {
    isolated(|| {
        let (ring, taken) = (ring(), Ring::builder().items(4096).create().unwrap());
        let pollers = [0, 1, 2].map(|_| {
            fork_child(|| {
                while !ring.is_closed() {
                    ring.arm().unwrap();
                    if !poll::wait(ring.as_fd(), Interest::Readable, Deadline::after(LONG)).unwrap()
                    {
                        return 1;
                    }
                    let mut popped = Vec::new();
                    while ring.try_pop(&mut popped).is_ok() {
                        taken.push(&popped).unwrap();
                    }
                }
                0
            })
        });
        for number in 0..3000_u32 {
            ring.push(&number.to_ne_bytes()).unwrap();
            if number % 3 == 0 {
                // So that they sleep in between.
                taken.pop_timeout(&mut Vec::new(), LONG).unwrap();
            }
        }
        (0..2000).for_each(|_| taken.pop_timeout(&mut Vec::new(), LONG).unwrap());
        ring.close();
        assert!(pollers.map(|child| child.wait().success()).iter().all(|&ok| ok));
    });
}

#[test]
fn selecting() {
    isolated(|| {
        let (one, two, done) = (ring(), ring(), ring());
        let now = Deadline::after(Duration::ZERO);
        assert!(select(&[&one, &two], now).unwrap().is_empty());
        let start = Instant::now();
        let timeout = Duration::from_millis(30);
        assert!(select(&[&one, &two], Deadline::after(timeout)).unwrap().is_empty());
        assert!(start.elapsed() >= timeout);
        let child = fork_child(|| {
            two.push(b"x").unwrap();
            done.pop(&mut Vec::new()).unwrap();
            0
        });
        let process = PidFd::open(std::process::id()).unwrap();
        let patience = Deadline::after(LONG);
        assert_eq!(select(&[&one, &process, &two], patience).unwrap(), [2]);
        one.close();
        assert_eq!(select(&[&one, &process, &two], patience).unwrap(), [0, 2]);
        two.pop(&mut Vec::new()).unwrap();
        assert_eq!(select(&[&two, &one], patience).unwrap(), [1]);
        done.push(b"x").unwrap();
        assert!(child.wait().success());
    });
}

#[test]
fn a_stopped_producer_makes_readiness_for_nothing() {
    isolated(|| {
        let ring = ring();
        ring.arm().unwrap();
        let stopped = holder(&ring, TAIL);
        stopped.signal(libc::SIGSTOP);
        let start = Instant::now();
        ring.arm().unwrap();
        assert!(ready(&ring) && start.elapsed() < LONG / 2);
        ring.close();
        assert!(ring.is_closed());
        stopped.kill();
        assert_eq!(select(&[&ring], Deadline::after(LONG)).unwrap(), [0]);
    });
}

/// Kills `operation` at every instruction, on a ring for which another poller has armed; `before` prepares it.
fn kill(name: &str, before: fn(&Ring), operation: fn(&Ring)) {
    let setup = || {
        let ring = ring();
        ring.arm().unwrap();
        before(&ring);
        ring
    };
    let oracle = |ring: Ring, point: Point| {
        // The other poller, which is asleep and does not look by itself.
        let must = !ring.is_empty() || ring.is_closed();
        assert!(!must || ready(&ring), "{name}, {point:?}: a poller is stranded");
        if !ring.is_closed() {
            ring.push_timeout(b"next", LONG).unwrap();
        }
        assert!(ready(&ring), "{name}, {point:?}: a poller does not hear of the next");
    };
    let report = if cfg!(debug_assertions) {
        sweep_sample(16, setup, operation, oracle)
    } else {
        sweep(setup, operation, oracle)
    };
    println!("{name}: {} kill points, 0 failures", report.points);
}

#[test]
fn kills() {
    isolated_for(Duration::from_secs(300), || {
        kill("push with a poller", |_| (), |ring| ring.push(b"x").unwrap());
        kill("arm", |_| (), |ring| ring.arm().unwrap());
        kill("arm with a record", |ring| ring.push(b"x").unwrap(), |ring| ring.arm().unwrap());
        let drained = |ring: &Ring| {
            ring.push(b"x").unwrap();
            ring.pop(&mut Vec::new()).unwrap();
        };
        kill("arm after the last record", drained, |ring| ring.arm().unwrap());
        kill("close with a poller", |_| (), Ring::close);
    });
}
