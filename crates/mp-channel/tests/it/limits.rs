//! What a limit refuses is an error that names it, and leaves nothing behind.

use std::{fs, io::ErrorKind};

use mp_channel::{PopError, PushError, Ring};
use mp_testkit::{Failure, Fault, Victim, fork_child, inject, isolated, skip};
use nix::{
    libc,
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, getrlimit, setrlimit},
};

#[test]
fn descriptors() {
    isolated(|| {
        let open = || fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
        let (before, (_, hard)) = (open(), getrlimit(Resource::RLIMIT_NOFILE).unwrap());
        let mut refused = 0;
        // The numbers that are open need not be the lowest.
        for limit in 0.. {
            setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
            let ring = Ring::builder().leases(4, 1).create();
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
            let Err(error) = ring else { break };
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
            assert_eq!(open(), before, "with a limit of {limit}");
            refused += 1;
        }
        // A ring has a segment, a file for large records and an event; leases have a table and a file.
        assert!(refused >= 5, "{refused}");
    });
}

#[test]
fn file_sizes() {
    isolated(|| {
        setrlimit(Resource::RLIMIT_FSIZE, 1 << 20, 1 << 20).unwrap();
        let error = Ring::builder().bytes(2 << 20).create().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
        let error = Ring::builder().create().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "the window does not fit: {error}");
    });
}

/// The limit came later than the ring, as in a process that got it from another one: no signal, and no record in part.
#[test]
fn a_limit_on_file_sizes_that_comes_later() {
    isolated(|| {
        let ring = Ring::builder().items(8).bytes(4096).create().unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 1 << 20, 1 << 20).unwrap();
        let huge = vec![7; (16 << 20) + 1];
        match ring.push(&huge).unwrap_err() {
            PushError::Os(error) => assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}"),
            error => panic!("{error}"),
        }
        assert!(ring.is_empty());
        // What is mapped has its memory already, or gets it within the size that the file has.
        let mut popped = Vec::new();
        for len in [0, 1000, 2 << 20] {
            ring.push(&huge[..len]).unwrap();
            ring.pop(&mut popped).unwrap();
            assert!(popped == huge[..len]);
        }
    });
}

/// Creates a ring, and moves a record of each kind through it: inside, in the window, and alone.
fn use_a_ring() -> Result<(), Box<dyn std::error::Error>> {
    let ring = Ring::builder().items(8).bytes(4096).leases(4, 1).create()?;
    let mut popped = Vec::new();
    for len in [100, 70_000, (16 << 20) + 1] {
        let record = vec![len as u8; len];
        if let Err(error) = ring.push(&record) {
            assert!(matches!(error, PushError::Os(_)), "{error}");
            assert!(ring.is_empty(), "what failed left nothing");
            return Err(error.into());
        }
        if let Err(error) = ring.pop(&mut popped) {
            assert!(matches!(error, PopError::Os(_)), "{error}");
            assert_eq!(ring.len(), 1, "a record that could not be taken stays");
            return Err(error.into());
        }
        assert!(popped == record);
    }
    Ok(())
}

/// Memory that is not there is asked for before it is touched: an error at every such call, never `SIGBUS`.
#[test]
fn no_memory() {
    isolated(|| {
        for failure in [Failure::NoMemory, Failure::NoSpace] {
            let fault = Fault::Fail(failure);
            let report = inject(Victim::Operator, fault, 60, || {}, use_a_ring);
            println!("{failure:?}: {report}");
            assert!(report.errors >= 5 && report.killed == 0, "{report}");
        }
    });
}

#[test]
fn interrupted() {
    isolated(|| {
        let fault = Fault::Fail(Failure::Interrupted);
        let report = inject(Victim::Operator, fault, 100, || {}, use_a_ring);
        println!("interrupted: {report}");
        assert_eq!(report.errors, 0, "{report}");
    });
}

/// Thread numbers mean something else there, and the locks consist of them.
#[test]
fn another_pid_namespace() {
    isolated(|| {
        let ring = Ring::builder().create().unwrap();
        ring.push(b"before").unwrap();
        let child = fork_child(|| {
            if unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID).is_err() {
                return 2;
            }
            let there = fork_child(|| {
                let error = Ring::attach(ring.parts().clone()).unwrap_err();
                i32::from(
                    error.kind() != ErrorKind::InvalidData || !error.to_string().contains("PID"),
                )
            });
            there.wait().code().unwrap_or(3)
        });
        match child.wait().code() {
            Some(2) => skip("no PID namespace of its own"),
            code => assert_eq!(code, Some(0)),
        }
        ring.pop(&mut Vec::new()).unwrap();
    });
}
