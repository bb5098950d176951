use std::thread;

use mp_signal::{Block, Signal, SignalSet};

#[test]
fn a_guard_restores_what_it_found() {
    let outer = Block::new([Signal::USR1]).unwrap();
    let inner = Block::new(SignalSet::from([Signal::USR1, Signal::USR2])).unwrap();
    assert!(SignalSet::blocked().unwrap().contains_all(inner.set()));
    drop(inner);
    let blocked = SignalSet::blocked().unwrap();
    assert!(blocked.contains(Signal::USR1) && !blocked.contains(Signal::USR2));
    drop(outer);
    assert!(!SignalSet::blocked().unwrap().contains(Signal::USR1));
}

#[test]
fn guards_of_different_signals_may_be_dropped_in_any_order() {
    let first = Block::new([Signal::USR1]).unwrap();
    let second = Block::new([Signal::USR2]).unwrap();
    drop(first);
    let blocked = SignalSet::blocked().unwrap();
    assert!(!blocked.contains(Signal::USR1) && blocked.contains(Signal::USR2));
    drop(second);
    assert!(!SignalSet::blocked().unwrap().contains(Signal::USR2));
}

#[test]
fn the_mask_is_the_threads_and_inherited_by_its_threads() {
    let _block = Block::new([Signal::USR2]).unwrap();
    let inherited = thread::spawn(|| SignalSet::blocked().unwrap());
    assert!(inherited.join().unwrap().contains(Signal::USR2));
}

#[test]
fn full_blocks_everything_that_can_be() {
    thread::spawn(|| {
        Block::new(SignalSet::full()).unwrap().keep();
        assert_eq!(SignalSet::blocked().unwrap(), SignalSet::full());
    })
    .join()
    .unwrap();
}

#[test]
fn kill_and_stop_are_refused_before_anything_changes() {
    let before = SignalSet::blocked().unwrap();
    for signal in [Signal::KILL, Signal::STOP] {
        let error = Block::new([Signal::USR1, signal]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(signal.name()), "{error}");
    }
    assert_eq!(SignalSet::blocked().unwrap(), before);
}
