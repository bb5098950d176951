use mp_flock::{ByteRange, Flock, Kind, Mode, Ofd, Posix, holders};
use mp_testkit::{Gate, fork_child, isolated, wait_for_kill};
use tempfile::NamedTempFile;

#[test]
fn all_kinds_are_listed_with_their_process() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let gate = Gate::new();
        let child = fork_child(|| {
            let theirs = file.reopen().unwrap();
            let _flock = Flock::shared().lock(&theirs).unwrap();
            let _ofd = Ofd::exclusive().range(0..8).unwrap().lock(&theirs).unwrap();
            let _posix = Posix::shared().range(8..).unwrap().lock(&theirs).unwrap();
            gate.open();
            wait_for_kill()
        });
        child.wait_at(&gate);
        let mine = file.reopen().unwrap();
        let mut found = holders(&mine).unwrap();
        found.sort_by_key(|holder| holder.kind().to_string());
        let facts: Vec<_> =
            found.iter().map(|h| (h.kind(), h.mode(), h.range(), h.is_waiting())).collect();
        let whole = ByteRange::WHOLE_FILE;
        assert_eq!(
            facts,
            [
                (Kind::Flock, Mode::Shared, whole, false),
                (Kind::Ofd, Mode::Exclusive, ByteRange::new(0..8).unwrap(), false),
                (Kind::Posix, Mode::Shared, ByteRange::new(8..).unwrap(), false),
            ]
        );
        assert!(found.iter().all(|holder| holder.pid() == Some(child.id())), "{found:?}");
        let in_the_way = Posix::exclusive().range(8..).unwrap().holder(&mine).unwrap().unwrap();
        assert_eq!((in_the_way.kind(), in_the_way.pid()), (Kind::Posix, Some(child.id())));
        let in_the_way = Ofd::exclusive().range(0..8).unwrap().holder(&mine).unwrap().unwrap();
        assert_eq!((in_the_way.kind(), in_the_way.pid()), (Kind::Ofd, None));
        child.kill();
        assert!(holders(&mine).unwrap().is_empty());
    });
}

#[test]
fn an_flock_in_the_way_is_told_but_not_our_own() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let [one, two] = [0; 2].map(|_| file.reopen().unwrap());
        let first = Flock::shared().lock(&one).unwrap();
        assert!(Flock::exclusive().holder(&one).unwrap().is_none(), "it could be converted");
        assert!(Flock::shared().holder(&two).unwrap().is_none());
        let holder = Flock::exclusive().holder(&two).unwrap().unwrap();
        assert_eq!((holder.kind(), holder.pid()), (Kind::Flock, Some(std::process::id())));
        // Two open files of one process look the same in the table.
        let _second = Flock::shared().lock(&two).unwrap();
        assert!(Flock::exclusive().holder(&one).unwrap().is_some());
        drop(first);
    });
}

#[test]
fn waiters_are_listed_as_such() {
    isolated(|| {
        let file = NamedTempFile::new().unwrap();
        let lock = Flock::exclusive().lock(file.reopen().unwrap()).unwrap();
        let waiter = fork_child(|| {
            drop(Flock::exclusive().lock(file.reopen().unwrap()).unwrap());
            0
        });
        let waiting = loop {
            if let Some(found) = holders(&lock).unwrap().into_iter().find(|h| h.is_waiting()) {
                break found;
            }
            std::thread::yield_now();
        };
        assert_eq!(waiting.pid(), Some(waiter.id()));
        drop(lock);
        assert!(waiter.wait().success());
    });
}

/// The device in `/proc/locks` is that of the file system, which on some is not that of `stat`.
#[test]
fn other_file_systems() {
    isolated(|| {
        for directory in ["/dev/shm", "/tmp", "."] {
            let Ok(file) = NamedTempFile::new_in(directory) else { continue };
            let lock = Flock::exclusive().lock(file.as_file()).unwrap();
            assert_eq!(holders(&lock).unwrap().len(), 1, "{directory}");
        }
        let name = c"mp-flock";
        let memory = nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::empty());
        let lock = Ofd::exclusive().lock(memory.unwrap()).unwrap();
        assert_eq!(holders(&lock).unwrap()[0].pid(), Some(std::process::id()));
    });
}
