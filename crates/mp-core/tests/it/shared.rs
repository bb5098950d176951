//! Values, arrays and named memory that processes share.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    thread,
    time::{Duration, Instant},
};

use mp_core::{Array, Error, LockError, Process, SharedMemory, Value, pipe};
use mp_testkit::isolated;

use crate::LONG;

crate::methods::for_each_method! {
    a_large_array_is_not_copied;
    + by fork:
    a_child_writes_and_the_parent_sees,
    no_update_is_lost,
    a_value_is_whole_whoever_is_killed,
    array,
    an_array_dies_with_its_holders,
    named_memory,
}

fn kind(error: Error) -> Option<io::ErrorKind> {
    error.io_kind()
}

fn a_child_writes_and_the_parent_sees() {
    let values = (
        Value::new(7_i32).unwrap(),
        Value::new(1.5_f64).unwrap(),
        Value::new(-3_i16).unwrap(),
        Value::new(1_i64 << 40).unwrap(),
        Value::new(b'x').unwrap(),
        Value::new([1_u32, 2, 3]).unwrap(),
    );
    type Values = (Value<i32>, Value<f64>, Value<i16>, Value<i64>, Value<u8>, Value<[u32; 3]>);
    let double = |(i, d, h, q, c, a): Values| {
        i.update(|i| *i *= 2).unwrap();
        d.update(|d| *d *= 2.0).unwrap();
        h.set(h.get().unwrap() * 2).unwrap();
        q.update(|q| *q *= 2).unwrap();
        c.set(b'y').unwrap();
        a.lock().unwrap().iter_mut().for_each(|n| *n *= 2);
    };
    Process::spawn(double, values.clone()).unwrap().join().unwrap();
    let (i, d, h, q, c, a) = values;
    assert_eq!((i.get().unwrap(), d.get().unwrap(), h.get().unwrap()), (14, 3.0, -6));
    assert_eq!((q.get().unwrap(), c.get().unwrap()), (1 << 41, b'y'));
    assert_eq!(a.get().unwrap(), [2, 4, 6]);
}

/// Arrays of any length and structures are values.
#[test]
fn a_value_may_have_many_parts() {
    isolated(|| {
        let many = Value::new([1_u16; 1001]).unwrap();
        many.update(|parts| parts[1000] = 7).unwrap();
        assert_eq!(many.get().unwrap()[999..], [1, 7]);
    });
}

fn no_update_is_lost() {
    const EACH: u64 = 10_000;
    let count = Value::new(0_u64).unwrap();
    let add = |count: Value<u64>| (0..EACH).for_each(|_| count.update(|n| *n += 1).unwrap());
    let children = [0; 3].map(|_| Process::spawn(add, count.clone()).unwrap());
    add(count.clone());
    children.into_iter().for_each(|child| child.join().unwrap());
    assert_eq!(count.get().unwrap(), 4 * EACH);
}

#[test]
fn the_lock_of_a_value() {
    isolated(|| {
        let value = Value::new(1_u32).unwrap();
        let mut guard = value.lock().unwrap();
        *guard = 2;
        assert_eq!(kind(value.get().unwrap_err()), Some(io::ErrorKind::Deadlock));
        thread::scope(|scope| {
            let waited = scope.spawn(|| value.lock_timeout(Duration::from_millis(20)).is_err());
            assert!(waited.join().unwrap());
        });
        drop(guard);
        assert_eq!(value.get().unwrap(), 2);
    });
}

/// Killed at any time, and again and again: the two halves belong together.
fn a_value_is_whole_whoever_is_killed() {
    let pair = Value::new([0_u64; 9]).unwrap();
    let write = |pair: Value<[u64; 9]>| {
        loop {
            pair.update(|pair| *pair = [pair[0] + 1; 9]).unwrap();
        }
    };
    let mut seen = 0;
    for _ in 0..20 {
        let child = Process::<()>::spawn(write, pair.clone()).unwrap();
        let start = Instant::now();
        while pair.get().unwrap()[0] < seen + 100 {
            assert!(start.elapsed() < LONG);
        }
        child.kill().unwrap();
        child.join().unwrap_err();
        let now = pair.get().unwrap();
        assert_eq!(now, [now[0]; 9]);
        seen = now[0];
    }
}

#[test]
fn a_panic_in_an_update_changes_nothing() {
    isolated(|| {
        let value = Value::new(1_u32).unwrap();
        let change = || {
            value.update(|value| {
                *value = 2;
                panic!("on purpose")
            })
        };
        let panicked = thread::scope(|scope| scope.spawn(change).join().is_err());
        assert!(panicked);
        assert_eq!(value.get().unwrap(), 1);
        assert!(matches!(value.lock(), Err(LockError::OwnerDied(_))));
    });
}

fn array() {
    for _ in 0..3 {
        assert_eq!(Array::<u16>::new(100).unwrap().to_vec(), [0; 100], "zeroed, again");
    }
    let array = Array::from_slice(&[680_i32, 626, 934, 821, 150, 233, 548, 982]).unwrap();
    assert_eq!((array.len(), array.at(3), array.at(8)), (8, Some(821), None));
    array.write(4, &[1, 2, 3, 4]).unwrap();
    let mut part = [0; 4];
    array.read(2, &mut part).unwrap();
    assert_eq!(part, [934, 821, 1, 2]);
    assert_eq!(kind(array.set(8, 1).unwrap_err()), Some(io::ErrorKind::InvalidInput));
    assert!(array.write(6, &[1, 2, 3]).is_err() && array.read(5, &mut part).is_err());
    let range = 5..9;
    assert!(array.update(range, |_| panic!("not inside")).is_err());

    // In place, by another process.
    let sum = |array: Array<i32>| {
        let _guard = array.lock().unwrap();
        for index in 1..array.len() {
            let (before, here) = (array.at(index - 1).unwrap(), array.at(index).unwrap());
            array.set(index, before + here).unwrap();
        }
    };
    Process::spawn(sum, array.clone()).unwrap().join().unwrap();
    assert_eq!(array.to_vec(), [680, 1306, 2240, 3061, 3062, 3064, 3067, 3071]);
    array.update(1..=2, |number| *number = -*number).unwrap();
    assert_eq!(array.to_vec()[..4], [680, -1306, -2240, 3061]);
    assert!(Array::<u8>::new(0).unwrap().is_empty());
    assert!(Array::<u64>::new(usize::MAX / 2).is_err());
}

/// 64 MiB go to a worker and back by their descriptor: in less time and memory than one copy of them would take.
fn a_large_array_is_not_copied() {
    const LEN: usize = (64 << 20) / size_of::<f64>();
    let array = Array::<f64>::new(LEN).unwrap();
    array.set(LEN - 1, 21.0).unwrap();
    let double = |array: Array<f64>| {
        let last = array.len() - 1;
        array.set(last, 2.0 * array.at(last).unwrap()).unwrap();
        (array, peak_memory())
    };
    let start = Instant::now();
    let child = Process::spawn(double, array.clone()).unwrap();
    let (back, peak) = child.join().unwrap();
    println!("64 MiB there and back in {:?}, {peak} KiB in the worker", start.elapsed());
    assert_eq!((back.at(LEN - 1), array.at(LEN - 1)), (Some(42.0), Some(42.0)));
    back.set(0, 1.0).unwrap();
    assert_eq!(array.at(0), Some(1.0), "the same memory");
    assert!(peak < 32 << 10, "a copy would take 64 MiB");
}

/// The most memory that this process has had resident, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

/// The one shared segment that this process has open, to be written to.
fn the_segment() -> File {
    let mut descriptors =
        std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let is_shared = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("memfd:mp-sync"))
    };
    File::options().read(true).write(true).open(descriptors.find(is_shared).unwrap()).unwrap()
}

/// Whatever a peer writes over what stands before the values, the array is as long as it was.
#[test]
fn a_peer_that_writes_over_the_header_of_an_array() {
    isolated(|| {
        let (array, header) = (Array::from_slice(&[1_u64, 2, 3]).unwrap(), 24 + 8);
        let (segment, (ours, theirs)) = (the_segment(), pipe().unwrap());
        for word in 0..header {
            let mut before = [0; 8];
            segment.read_exact_at(&mut before, 8 * word).unwrap();
            for harm in [0, 1, 1 << 32, 1 << 40, 1 << 61, u64::MAX] {
                segment.write_all_at(&u64::to_ne_bytes(harm), 8 * word).unwrap();
                assert_eq!((array.len(), array.to_vec()), (3, vec![1, 2, 3]));
                array.update(.., |number| *number += 0).unwrap();
                assert_eq!((array.at(2), array.at(3)), (Some(3), None));
                drop(array.lock_timeout(Duration::ZERO));
                ours.send(&array).unwrap();
                let received = theirs.recv::<Array<u64>>();
                assert!(received.is_err() || received.is_ok_and(|received| received.len() == 3));
            }
            segment.write_all_at(&before, 8 * word).unwrap();
        }
    });
}

fn an_array_dies_with_its_holders() {
    let array = Array::<u32>::new(4).unwrap();
    let hold = |array: Array<u32>| {
        let _guard = array.lock().unwrap();
        array.set(0, 1).unwrap();
        std::process::abort();
    };
    let child = Process::<()>::spawn(hold, array.clone()).unwrap();
    child.join().unwrap_err();
    let guard = array.lock_timeout(LONG).unwrap_err().recover().unwrap();
    assert_eq!(array.at(0), Some(1));
    drop(guard);
    drop(array.lock().unwrap());
}

#[test]
fn handles_over_a_connection() {
    isolated(|| {
        let (ours, theirs) = pipe().unwrap();
        let (value, array) = (Value::new(5_u8).unwrap(), Array::from_slice(&[1_u64, 2]).unwrap());
        theirs.send(&(&value, &array)).unwrap();
        let (received, row): (Value<u8>, Array<u64>) = ours.recv().unwrap();
        received.set(6).unwrap();
        row.set(1, 9).unwrap();
        assert_eq!((value.get().unwrap(), array.to_vec()), (6, vec![1, 9]));
    });
}

fn named_memory() {
    let ours = SharedMemory::create(512).unwrap();
    assert!(ours.len() >= 512 && ours.name().starts_with("mp_"));
    ours.memory().write(0, 42_u8).unwrap();
    let theirs = SharedMemory::open(ours.name()).unwrap();
    assert_eq!(theirs.memory().read::<u8>(0).unwrap(), 42);
    let taken = SharedMemory::create_named(ours.name(), 1).unwrap_err();
    assert_eq!(kind(taken), Some(io::ErrorKind::AlreadyExists));
    // By name and by handle, in another process.
    let write = |(name, handle): (String, SharedMemory)| {
        SharedMemory::open(name).unwrap().memory().write(1, 1_u8).unwrap();
        handle.memory().write(2, 2_u8).unwrap();
    };
    Process::spawn(write, (ours.name().to_owned(), ours.clone())).unwrap().join().unwrap();
    assert_eq!(theirs.memory().read::<[u8; 3]>(0).unwrap(), [42, 1, 2]);
    // An opener that ends takes nothing away, the creator does.
    drop(theirs);
    let name = SharedMemory::open(ours.name()).unwrap().name().to_owned();
    drop(ours);
    assert_eq!(kind(SharedMemory::open(name).unwrap_err()), Some(io::ErrorKind::NotFound));
}

#[test]
fn bad_names_and_lengths() {
    isolated(|| {
        let invalid = Some(io::ErrorKind::InvalidInput);
        assert_eq!(kind(SharedMemory::create(0).unwrap_err()), invalid);
        for name in ["", "/", "a/b", "nul\0", &"x".repeat(300)] {
            assert_eq!(kind(SharedMemory::create_named(name, 8).unwrap_err()), invalid, "{name}");
            assert_eq!(kind(SharedMemory::open(name).unwrap_err()), invalid, "{name}");
        }
        let missing = mp_testkit::unique_name("mp-core");
        assert_eq!(kind(SharedMemory::open(missing).unwrap_err()), Some(io::ErrorKind::NotFound));
    });
}

#[test]
fn unlinked_once() {
    isolated(|| {
        let memory =
            SharedMemory::create_persistent(mp_testkit::unique_name("mp-core"), 8).unwrap();
        let name = memory.name().to_owned();
        drop(memory);
        let memory = SharedMemory::open(&name).unwrap();
        memory.unlink().unwrap();
        assert_eq!(kind(memory.unlink().unwrap_err()), Some(io::ErrorKind::NotFound));
        memory.memory().write(0, 1_u8).unwrap();
        // Its handle cannot travel any more.
        let (ours, theirs) = pipe().unwrap();
        theirs.send(&memory).unwrap();
        assert!(ours.recv::<SharedMemory>().is_err());
    });
}
