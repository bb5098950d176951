//! What a limit refuses is an error that names it, and leaves nothing behind.

use std::{fs, io::ErrorKind};

use mp_channel::Ring;
use mp_testkit::isolated;
use nix::{
    libc,
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
