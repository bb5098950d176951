//! Locks of files.

use std::{env, fs};

use criterion::Criterion;
use mp_benches::raw;
use mp_flock::{Flock, Ofd, Posix};
use nix::libc;

use super::{compare, name};

pub(crate) fn locks(criterion: &mut Criterion) {
    let path = env::temp_dir().join(name("lock"));
    let mut options = fs::File::options();
    options.read(true).write(true).create(true).truncate(true);
    let open = || options.open(&path).unwrap();
    let (file, other) = (open(), open());
    fs::remove_file(&path).expect("the file was just made");

    for (name, flags) in [("raw-flock", 0), ("raw-flock-try", libc::LOCK_NB)] {
        let take = || match flags {
            0 => drop(Flock::exclusive().lock(&file).unwrap()),
            _ => drop(Flock::exclusive().try_lock(&file).unwrap()),
        };
        compare(criterion, name, take, || {
            assert_eq!(raw::flock(&file, libc::LOCK_EX | flags), 0);
            assert_eq!(raw::flock(&file, libc::LOCK_UN), 0);
        });
    }
    let held = Flock::exclusive().lock(&other).unwrap();
    let refused = || assert!(Flock::exclusive().try_lock(&file).is_err());
    let raw_refused = || raw::refused(raw::flock(&file, libc::LOCK_EX | libc::LOCK_NB));
    compare(criterion, "raw-flock-busy", refused, raw_refused);
    drop(held);

    let take = || drop(Ofd::exclusive().lock(&file).unwrap());
    compare(criterion, "raw-ofd", take, || record(&file, libc::F_OFD_SETLKW, libc::F_OFD_SETLK));
    let held = Ofd::exclusive().lock(&other).unwrap();
    let refused = || assert!(Ofd::exclusive().try_lock(&file).is_err());
    let raw_refused = || raw::refused(raw::record_lock(&file, libc::F_OFD_SETLK, libc::F_WRLCK));
    compare(criterion, "raw-ofd-busy", refused, raw_refused);
    drop(held);
    let take = || drop(Posix::exclusive().lock(&file).unwrap());
    compare(criterion, "raw-posix-record", take, || record(&file, libc::F_SETLKW, libc::F_SETLK));
}

/// Locks all bytes of a file, and unlocks them.
fn record(file: &fs::File, lock: libc::c_int, unlock: libc::c_int) {
    assert_eq!(raw::record_lock(file, lock, libc::F_WRLCK), 0);
    assert_eq!(raw::record_lock(file, unlock, libc::F_UNLCK), 0);
}
