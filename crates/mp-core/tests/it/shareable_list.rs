//! Lists in shared memory: Python's behaviour, the same bytes, and what becomes of bytes that are no list.

use std::{io::ErrorKind, thread};

use mp_core::{Error, ListItem, Lock, Process, Result, ShareableList, SharedMemory, pipe};
use mp_testkit::{isolated, python, run, unique_name};

crate::methods::for_each_method! {
    + by fork:
    another_process_sets_and_gets,
    a_killed_writer_leaves_an_item_or_an_error,
}

/// What CPython's own tests put into a list.
fn howdy() -> [ListItem; 7] {
    let bytes = b"HoWdY".as_slice();
    ["howdy".into(), bytes.into(), (-273.154).into(), 100.into(), ().into(), true.into(), 42.into()]
}

fn bytes_of(list: &ShareableList) -> Vec<u8> {
    let mut bytes = vec![0; list.memory().len()];
    list.memory().memory().copy_out(0, &mut bytes).unwrap();
    bytes
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().as_ref().and_then(Error::io_kind)
}

#[test]
fn the_bytes_are_those_of_python() {
    isolated(|| {
        let list = ShareableList::new([42]).unwrap();
        assert_eq!(
            bytes_of(&list),
            b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0*\0\0\0\0\0\0\0q\0\0\0\0\0\0\0\0"
        );
        let list = ShareableList::new(howdy()).unwrap();
        let bytes = bytes_of(&list);
        assert_eq!(bytes.len(), 191);
        assert_eq!(&bytes[72..96], b"howdy\0\0\0HoWdY\0\0\0X9\xb4\xc8v\x12q\xc0");
        assert_eq!(
            &bytes[128..],
            b"8s\0\0\0\0\0\08s\0\0\0\0\0\0d\0\0\0\0\0\0\0q\0\0\0\0\0\0\0xxxxxx?xxxxxxxx?q\0\0\0\0\0\0\0\x01\x02\0\0\x03\0\0"
        );
        let none = ShareableList::new(Vec::<ListItem>::new()).unwrap();
        assert_eq!((bytes_of(&none), none.len(), none.is_empty()), (vec![0; 16], 0, true));
        assert_eq!(ShareableList::open(none.name()).unwrap().to_vec().unwrap(), []);
    });
}

#[test]
fn what_python_tests() {
    isolated(|| {
        let list = ShareableList::new(howdy()).unwrap();
        assert_eq!((list.len(), list.to_vec().unwrap()), (7, howdy().to_vec()));
        assert_eq!(list.format().unwrap(), "8s8sdqxxxxxx?xxxxxxxx?q");
        assert_eq!(kind(list.get(7)), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(list.set(7, "another")), Some(ErrorKind::InvalidInput));
        assert_eq!(
            (list.slot_len(6), list.slot_len(7), list.slot_len(usize::MAX)),
            (Some(8), None, None)
        );

        // Other types, where they find room.
        list.set(3, 42).unwrap();
        list.set(4, "some").unwrap();
        assert_eq!(list.get(4).unwrap(), "some".into());
        assert_eq!(list.format().unwrap(), "8s8sdq8sxxxxxxx?q");
        assert_eq!((list.index(42).unwrap(), list.count(42).unwrap()), (Some(3), 2));
        assert_eq!((list.index("missing").unwrap(), list.count(true).unwrap()), (None, 1));
        assert_eq!(kind(list.set(4, "far too many")), Some(ErrorKind::InvalidInput));
        assert_eq!(list.get(4).unwrap(), "some".into());

        // The limit is one of bytes.
        list.set(0, "encodés").unwrap();
        assert_eq!(list.get(0).unwrap(), "encodés".into());
        assert_eq!(kind(list.set(0, "encodées")), Some(ErrorKind::InvalidInput));
        list.set(1, ()).unwrap();
        list.set(1, b"12345678".as_slice()).unwrap();
        assert_eq!(list.get(1).unwrap(), b"12345678".as_slice().into());

        // A second handle is of the same list, and a copy is not.
        let same = ShareableList::open(list.name()).unwrap();
        let copy = ShareableList::new(list.to_vec().unwrap()).unwrap();
        same.set(6, 1.5).unwrap();
        assert_eq!((list.get(6).unwrap(), copy.get(6).unwrap()), (1.5.into(), 42.into()));
        let taken = ShareableList::create_named(list.name(), [1]);
        assert_eq!(kind(taken), Some(ErrorKind::AlreadyExists));
    });
}

#[test]
fn what_could_not_be_read_back_is_refused() {
    isolated(|| {
        let list = ShareableList::new(["text"]).unwrap();
        for item in [ListItem::from("a\0"), b"\0".as_slice().into()] {
            assert_eq!(kind(list.set(0, item.clone())), Some(ErrorKind::InvalidInput));
            assert_eq!(kind(ShareableList::new([item])), Some(ErrorKind::InvalidInput));
        }
        let long = vec![1_u8; 9_999_991];
        let list = ShareableList::new([long.clone()]).unwrap();
        assert_eq!(list.format().unwrap(), "9999992s");
        assert_eq!(list.get(0).unwrap(), long.into());
        assert_eq!(
            kind(ShareableList::new([vec![1_u8; 9_999_992]])),
            Some(ErrorKind::InvalidInput)
        );
    });
}

fn another_process_sets_and_gets() {
    let list = ShareableList::create_named(unique_name("list"), howdy()).unwrap();
    let change = |(name, handle): (String, ShareableList)| {
        ShareableList::open(name).unwrap().set(0, -1).unwrap();
        handle.set(3, b"there".as_slice()).unwrap();
        handle.to_vec().unwrap().len()
    };
    let arguments = (list.name().to_owned(), list.clone());
    assert_eq!(Process::spawn(change, arguments).unwrap().join().unwrap(), 7);
    assert_eq!(list.get(0).unwrap(), (-1).into());
    assert_eq!(list.get(3).unwrap(), b"there".as_slice().into());
    // What is gone does not arrive.
    let (ours, theirs) = pipe().unwrap();
    theirs.send(&list).unwrap();
    drop(list);
    assert!(ours.recv::<ShareableList>().is_err());
}

/// Half-way from a number to a text it may be anything, which is said; with a lock it is whole, unless the lock says otherwise.
fn a_killed_writer_leaves_an_item_or_an_error() {
    let list = ShareableList::new([ListItem::from("seven77"), 7.into()]).unwrap();
    let lock = Lock::new().unwrap();
    let write = |(list, lock): (ShareableList, Lock)| {
        loop {
            for item in [ListItem::from(0x00ff_ff00_ff00_ffff_i64), "é".into(), ().into()] {
                list.set(0, item.clone()).unwrap();
                let guard = lock.lock().unwrap();
                list.set(1, item).unwrap();
                drop(guard);
            }
        }
    };
    for _ in 0..4 {
        let child = Process::<()>::spawn(write, (list.clone(), lock.clone())).unwrap();
        while list.get(0).is_ok_and(|item| item == "seven77".into()) {
            thread::yield_now();
        }
        for _ in 0..200 {
            if let Err(error) = list.get(0) {
                assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData), "{error}");
            }
            let _guard = lock.lock().unwrap();
            list.get(1).unwrap();
        }
        child.kill().unwrap();
        child.join().unwrap_err();
        drop(lock.lock().or_else(mp_core::LockError::recover).unwrap());
        list.set(0, "seven77").unwrap();
        list.set(1, 7).unwrap();
        assert_eq!(list.to_vec().unwrap(), ["seven77".into(), 7.into()]);
    }
}

/// Does all that can be done with a list, and expects nothing but that it comes to an end.
fn use_all(list: &ShareableList) {
    for index in 0..list.len().min(9) {
        let _ = list.get(index);
    }
    for result in [list.format().map(drop), list.to_vec().map(drop), list.count(7).map(drop)] {
        assert!(matches!(kind(result), None | Some(ErrorKind::InvalidData)));
    }
    let _ = (list.set(0, 7), list.set(1, "text"), list.set(2, ()));
}

#[test]
fn garbage_is_an_error() {
    isolated(|| {
        let items = || howdy().into_iter().take(4);
        let golden = bytes_of(&ShareableList::new(items()).unwrap());
        let list = ShareableList::new(items()).unwrap();
        let memory = list.memory().memory();
        let mut refused = 0;
        for at in 0..golden.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff, b's', b'9', b'?', golden[at] ^ 8] {
                memory.copy_in(0, &golden).unwrap();
                memory.write(at, byte).unwrap();
                use_all(&list);
                match ShareableList::open(list.name()) {
                    Ok(other) => use_all(&other),
                    Err(error) => {
                        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidData), "{error}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > 100, "{refused}");
        // A list that was opened before keeps its shape, and is mended by what is set.
        memory.copy_in(0, &vec![0xff; golden.len()]).unwrap();
        assert_eq!((kind(list.get(0)), list.len()), (Some(ErrorKind::InvalidData), 4));
        items().enumerate().for_each(|(index, item)| list.set(index, item).unwrap());
        assert_eq!(list.to_vec().unwrap(), items().collect::<Vec<_>>());

        for len in [1, 8, 15, 16, 100] {
            let memory = SharedMemory::create(len).unwrap();
            memory.memory().write(0, 1_u8).unwrap();
            assert_eq!(kind(ShareableList::open(memory.name())), Some(ErrorKind::InvalidData));
        }
    });
}

/// What comes before it keeps Python's tracker from taking away what it has only opened, or what is to outlive it.
const UNTRACKED: &str = "
import sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import ShareableList
resource_tracker.register = lambda *_: None
";

#[test]
fn python_sees_ours() {
    isolated(|| {
        let list = ShareableList::create_named(unique_name("list"), howdy()).unwrap();
        list.set(0, 7).unwrap();
        list.set(2, "é\u{1d11e}").unwrap();
        list.set(6, false).unwrap();
        let script = "
shared = ShareableList(name=sys.argv[1])
print(list(shared), shared.format)
shared[0], shared[1], shared[3], shared[4], shared[5] = 'für', None, b'bytes', -2.5, 2**62
shared.shm.close()
";
        let Some(mut command) = python(&format!("{UNTRACKED}{script}")) else { return };
        let Some(output) = run(command.arg(list.name()).env("PYTHONIOENCODING", "utf-8")) else {
            return;
        };
        let expected =
            "[7, b'HoWdY', 'é\u{1d11e}', 100, None, True, False] q8s8sqxxxxxx?xxxxxxxx?xxxxxxx?";
        assert_eq!(output.trim(), expected);
        let items = ["für".into(), ().into(), "é\u{1d11e}".into(), b"bytes".as_slice().into()];
        assert_eq!(list.to_vec().unwrap()[..4], items);
        let numbers = [(-2.5).into(), ListItem::Int(1 << 62), false.into()];
        assert_eq!(list.to_vec().unwrap()[4..], numbers);
    });
}

#[test]
fn we_see_pythons() {
    isolated(|| {
        let name = unique_name("list");
        let script = "
made = ShareableList(['a' * 20, b'', 'b', 2.0, False, None, -1], name=sys.argv[1])
made.shm.close()
";
        let Some(mut command) = python(&format!("{UNTRACKED}{script}")) else { return };
        let Some(_) = run(command.arg(&name)) else { return };
        let list = ShareableList::open(&name).unwrap();
        list.memory().unlink().unwrap();
        let (a, none) = ("a".repeat(20), b"".as_slice());
        let rest = [2.0.into(), false.into(), ().into(), (-1).into()];
        let expected: Vec<ListItem> =
            [a.into(), none.into(), "b".into()].into_iter().chain(rest).collect();
        assert_eq!(list.to_vec().unwrap(), expected);
        assert_eq!(list.format().unwrap(), "24s8s8sdxxxxxxx?xxxxxx?xq");
        // Their bytes and ours are the same.
        assert_eq!(bytes_of(&list), bytes_of(&ShareableList::new(expected).unwrap()));
    });
}
