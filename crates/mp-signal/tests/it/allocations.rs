//! Sending and taking signals allocate nothing.

use std::time::Duration;

use mp_signal::{Block, Signal, SignalFd, Target, handler, queue, send};
use mp_testkit::{CountingAllocator, allocates_nothing, isolated};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const SOON: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(60);

#[test]
fn waiting() {
    isolated(|| {
        let block = Block::new([Signal::USR1]).unwrap();
        allocates_nothing(|| {
            for _ in 0..100 {
                send(Target::this_thread(), Signal::USR1).unwrap();
                block.wait().unwrap();
                queue(Target::this_thread(), Signal::USR1, 7).unwrap();
                block.try_wait().unwrap();
                queue(Target::this_thread(), Signal::USR1, 7).unwrap();
                block.wait_timeout(LONG).unwrap();
                assert!(block.try_wait().is_err());
            }
            assert!(block.wait_timeout(SOON).is_err());
        });
    });
}

#[test]
fn descriptors() {
    isolated(|| {
        let block = Block::new([Signal::USR1]).unwrap();
        let signals = SignalFd::new(block.set()).unwrap();
        allocates_nothing(|| {
            for _ in 0..100 {
                send(Target::this_thread(), Signal::USR1).unwrap();
                signals.recv().unwrap();
                send(Target::this_thread(), Signal::USR1).unwrap();
                signals.try_recv().unwrap();
                send(Target::this_thread(), Signal::USR1).unwrap();
                signals.recv_timeout(LONG).unwrap();
                assert!(signals.try_recv().is_err());
            }
            assert!(signals.recv_timeout(SOON).is_err());
        });
    });
}

#[test]
fn handlers() {
    isolated(|| {
        let signals = handler::Signals::register([Signal::USR1]).unwrap();
        allocates_nothing(|| {
            for _ in 0..100 {
                send(Target::this_thread(), Signal::USR1).unwrap();
                signals.recv().unwrap();
                assert!(signals.try_recv().is_err());
            }
        });
    });
}
