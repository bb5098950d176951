//! With programs that nobody here wrote.

use std::{io::ErrorKind, process::Command, time::Duration};

use mp_sem::{
    posix::Semaphore,
    sysv::{Key, OpenOptions, SemaphoreSet, WaitError},
};
use mp_testkit::{isolated, python_with_ipc, run, unique_key, unique_name};

#[test]
fn posix_ipc_of_python() {
    isolated(|| {
        let [ours, theirs] =
            [unique_name("sem"), unique_name("sem")].map(|name| format!("/{name}"));
        let semaphore = Semaphore::create_new(&ours, 2).unwrap();
        let script = "
import posix_ipc, sys
ours = posix_ipc.Semaphore(sys.argv[1])
assert ours.value == 1
ours.acquire(0)
try:
    ours.acquire(0)
    assert False
except posix_ipc.BusyError:
    pass
ours.release(); ours.release(); ours.release()
theirs = posix_ipc.Semaphore(sys.argv[2], posix_ipc.O_CREX, initial_value=5)
";
        let Some(mut python) = python_with_ipc(script) else { return };
        semaphore.acquire().unwrap().forget();
        run(python.args([&ours, &theirs])).unwrap();
        assert_eq!(semaphore.value().unwrap(), 3);
        let theirs = Semaphore::open(&theirs).unwrap();
        assert_eq!(theirs.value().unwrap(), 5);
        drop(theirs.try_acquire().unwrap());
        Semaphore::unlink(theirs.name().unwrap()).unwrap();
    });
}

#[test]
fn sysv_ipc_of_python() {
    isolated(|| {
        let (ours, theirs) = (unique_key(), unique_key());
        let set = SemaphoreSet::create_new(ours, &[2]).unwrap();
        let script = "
import sysv_ipc, sys
ours = sysv_ipc.Semaphore(int(sys.argv[1]))
assert ours.value == 2 and ours.o_time != 0
ours.undo = True
ours.acquire()
ours.undo = False
ours.release(); ours.release()
theirs = sysv_ipc.Semaphore(int(sys.argv[2]), sysv_ipc.IPC_CREX, initial_value=4)
";
        let Some(mut python) = python_with_ipc(script) else { return };
        let keys = [ours, theirs].map(|key| key.as_raw().to_string());
        run(python.args(&keys)).unwrap();
        assert_eq!(set.value(0).unwrap(), 4, "3 of its releases, and the undo of its end");

        // It sets the value by `semctl`, which the kernel does not note: to be opened as it is.
        let short = Duration::from_millis(5);
        let error = OpenOptions::new().init_timeout(short).open(theirs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let theirs = OpenOptions::new().init_timeout(Duration::ZERO).open(theirs).unwrap();
        assert_eq!(theirs.values().unwrap(), [4]);
        drop(theirs.acquire(0).unwrap());
        theirs.remove().unwrap();
    });
}

#[test]
fn ipcs_and_ipcrm() {
    isolated(|| {
        let key = unique_key();
        let set = SemaphoreSet::create_new(key, &[1, 2, 3]).unwrap();
        let Some(table) = run(Command::new("ipcs").arg("-s")) else { return };
        let row = table.lines().find(|line| line.starts_with(&key.to_string())).unwrap();
        let columns: Vec<_> = row.split_whitespace().collect();
        assert_eq!(columns[1], set.id().to_string());
        assert_eq!(columns[3..], ["600", "3"]);

        run(Command::new("ipcrm").arg("-s").arg(set.id().to_string())).unwrap();
        assert!(matches!(set.acquire(0), Err(WaitError::Removed)));
    });
}

#[test]
fn ipcmk() {
    isolated(|| {
        let Some(text) = run(Command::new("ipcmk").args(["-S", "2", "-p", "0640"])) else { return };
        let id = text.rsplit(' ').next().unwrap().trim().parse().unwrap();
        let set = SemaphoreSet::from_id(id).unwrap();
        assert_ne!(set.key(), Key::PRIVATE);
        assert_eq!((set.len(), set.values().unwrap()), (2, vec![0, 0]));
        set.release(1, 1).unwrap();
        assert_eq!(SemaphoreSet::open(set.key()).unwrap().id(), id, "now it has been operated on");
        set.remove().unwrap();
    });
}
