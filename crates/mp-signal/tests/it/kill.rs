//! A process killed while it waits leaves nothing behind, and its death is nobody's hang.

use mp_signal::{Block, Signal, SignalFd, Target, TimeoutError, handler::Signals, send};
use mp_testkit::{Gate, fork_child, isolated};

fn killed_while(wait: impl Fn(&Gate)) {
    let gate = Gate::new();
    let child = fork_child(|| {
        wait(&gate);
        0
    });
    child.wait_at(&gate);
    let pid = child.id();
    assert!(!child.kill().success());
    assert!(!mp_signal::exists(pid).unwrap());
}

#[test]
fn waiting() {
    isolated(|| {
        killed_while(|gate| {
            let block = Block::new(Signal::USR1).unwrap();
            gate.open();
            block.wait().unwrap();
        });
    });
}

#[test]
fn reading_a_signalfd() {
    isolated(|| {
        killed_while(|gate| {
            let block = Block::new(Signal::USR1).unwrap();
            let signals = SignalFd::new(block.set()).unwrap();
            gate.open();
            signals.recv().unwrap();
        });
    });
}

#[test]
fn receiving_from_a_handler() {
    isolated(|| {
        let signals = Signals::register(Signal::USR1).unwrap();
        killed_while(|gate| {
            gate.open();
            signals.recv().unwrap();
        });
        // The parent shares the pipe with the child that was killed; it still works.
        send(Target::this_thread(), Signal::USR1).unwrap();
        assert_eq!(signals.recv().unwrap().signal(), Signal::USR1);
        let soon = std::time::Duration::from_millis(1);
        assert!(matches!(signals.recv_timeout(soon), Err(TimeoutError::TimedOut)));
    });
}
