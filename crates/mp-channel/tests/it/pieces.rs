//! Records that come out in two pieces.

use std::{io::ErrorKind, sync::atomic::Ordering::Relaxed, time::Duration};

use mp_channel::{Deadline, PopTimeoutError, Ring, TryPopError};
use mp_testkit::isolated;

fn small() -> Ring {
    Ring::builder().items(8).bytes(4096).create().unwrap()
}

/// Lengths of parts, and whether the record is large beside the ring.
const PARTS: [(&[usize], bool); 8] = [
    (&[3, 5], false),
    (&[1000, 24], false),
    (&[3, 2000], true),
    (&[2000, 3], true),
    (&[5000, 0, 7, 70_000], true),
    (&[0, 3000], true),
    (&[3000, 0], true),
    (&[20, 17 << 20], true),
];

#[test]
fn pieces() {
    let ring = small();
    // With what was there before, which must go.
    let (mut head, mut tail) = (vec![1; 10], vec![2; 10]);
    for (round, (lens, is_large)) in
        PARTS.into_iter().enumerate().chain(PARTS.into_iter().enumerate())
    {
        let parts: Vec<Vec<u8>> =
            lens.iter().zip(round as u8..).map(|(&len, byte)| vec![byte; len]).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        ring.push_parts(&parts).unwrap();
        ring.pop_parts(&mut head, &mut tail).unwrap();
        let (last, first) = parts.split_last().unwrap();
        if is_large {
            assert!(head == first.concat() && tail == *last, "{lens:?}");
        } else {
            assert!(head == parts.concat() && tail.is_empty(), "{lens:?}");
        }
        // Whoever does not ask for pieces gets the whole.
        ring.push_parts(&parts).unwrap();
        ring.pop(&mut head).unwrap();
        assert!(head == parts.concat(), "{lens:?}");
    }
    ring.push(&[7; 2000]).unwrap();
    ring.pop_parts(&mut head, &mut tail).unwrap();
    assert!(head.is_empty() && tail == [7; 2000], "one part is the last one");
}

#[test]
fn nothing_to_take() {
    let ring = small();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let empty = ring.try_pop_parts(&mut head, &mut tail);
    assert!(matches!(empty, Err(TryPopError::Empty)));
    let soon = Deadline::after(Duration::from_millis(1));
    let late = ring.pop_parts_until(&mut head, &mut tail, soon);
    assert!(matches!(late, Err(PopTimeoutError::TimedOut)));
    ring.push(&[7; 2000]).unwrap();
    ring.close();
    ring.try_pop_parts(&mut head, &mut tail).unwrap();
    let closed = ring.try_pop_parts(&mut head, &mut tail);
    assert!(matches!(closed, Err(TryPopError::Closed)));
}

/// A peer that says that the first parts are longer than the record, or that the record is longer than the file.
#[test]
fn lengths_that_lie_are_errors() {
    isolated(|| {
        // The word, and the offset and the length of the place that follow it.
        for lies in [
            [2 << 56 | 2004, 0, 2003],
            [2 << 56 | 1 << 40, 0, 2003],
            [2 << 56 | 4, 0, 1 << 30],
            [2 << 56 | 4, 16 << 20, 1 << 30],
            [2 << 56 | 1 << 29, 16 << 20, 1 << 30],
        ] {
            let ring = small();
            ring.push_parts(&[b"head", &[7; 1999]]).unwrap();
            for (at, lie) in (4096..).step_by(8).zip(lies) {
                ring.parts().segment.mapping().atomic_u64(at).unwrap().store(lie, Relaxed);
            }
            let (mut head, mut tail) = (Vec::new(), Vec::new());
            match ring.try_pop_parts(&mut head, &mut tail) {
                Err(TryPopError::Os(error)) => assert_eq!(error.kind(), ErrorKind::InvalidData),
                other => panic!("{other:?}"),
            }
            assert!(head.capacity() + tail.capacity() < 1 << 20, "a length was believed");
        }
    });
}
