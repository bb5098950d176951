//! What a child has, and what it has not.

use std::{
    fs::{self, File},
    mem::MaybeUninit,
    os::fd::{AsRawFd, RawFd},
    thread,
};

use mp_process::{Builder, Signal};
use mp_testkit::isolated;
use nix::libc;

use crate::{METHODS, each_method, warm_up};

/// The descriptors of this process, without the one that lists them.
fn open_fds() -> Vec<(RawFd, String)> {
    let mut fds: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            Some((entry.file_name().to_str()?.parse().ok()?, target))
        })
        .filter(|(_, target)| !target.ends_with("/fd"))
        .collect();
    fds.sort();
    fds
}

#[test]
fn only_its_own_descriptors() {
    isolated(|| {
        warm_up();
        let inheritable = File::open("/dev/null").unwrap();
        nix::fcntl::fcntl(&inheritable, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        assert!(inheritable.as_raw_fd() > 3);
        for builder in METHODS.map(|method| Builder::new().start_method(method)) {
            for _ in 0..3 {
                let fds = builder.spawn(|()| open_fds(), ()).unwrap().join().unwrap();
                let numbers: Vec<_> = fds.iter().map(|(fd, _)| *fd).collect();
                assert_eq!(numbers, [0, 1, 2, 3], "{fds:?}");
                assert!(fds[3].1.starts_with("socket:"), "{fds:?}");
            }
        }
    });
}

#[test]
fn its_socket_is_not_inherited() {
    isolated(|| {
        each_method(|builder| {
            let list = |()| {
                let output = std::process::Command::new("ls").arg("/proc/self/fd").output();
                String::from_utf8(output.unwrap().stdout).unwrap()
            };
            let fds = builder.spawn(list, ()).unwrap().join().unwrap();
            // The last one is the list itself.
            assert_eq!(fds.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
        });
    });
}

#[test]
fn closed_standard_streams_are_not_reused() {
    isolated(|| {
        warm_up();
        // The process that closes its standard input and output is not this one: the harness needs them.
        let child = Builder::new().spawn(
            |()| {
                for stream in 0..2 {
                    #[expect(unsafe_code, reason = "what is tested")]
                    // SAFETY: this process does not use it.
                    unsafe {
                        libc::close(stream);
                    }
                }
                let fds = mp_process::spawn(|()| open_fds(), ()).unwrap().join().unwrap();
                let fresh = Builder::new().start_method(mp_process::StartMethod::Spawn);
                (fds, fresh.spawn(|()| open_fds(), ()).unwrap().join().unwrap())
            },
            (),
        );
        let (forked, spawned) = child.unwrap().join().unwrap();
        assert_eq!(forked[0], (0, "/dev/null".to_owned()));
        assert_eq!(spawned[0], (0, "/dev/null".to_owned()));
        assert_eq!(
            (&forked[1].1, &spawned[1].1),
            (&"/dev/null".to_owned(), &"/dev/null".to_owned())
        );
    });
}

/// Of `/proc/self/status`, as bit sets.
fn signal_state(_: ()) -> Vec<(String, u64)> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter_map(|line| line.split_once(":\t"))
        .filter(|(name, _)| ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"].contains(name))
        .map(|(name, bits)| (name.to_owned(), u64::from_str_radix(bits, 16).unwrap()))
        .collect()
}

#[test]
fn signals_are_as_fresh() {
    isolated(|| {
        let _blocked = mp_signal::Block::new([Signal::USR1, Signal::TERM]).unwrap();
        mp_signal::Disposition::Ignore.set(Signal::HUP).unwrap();
        mp_signal::Disposition::Ignore.set(Signal::INT).unwrap();
        each_method(|builder| {
            let pipe = 1 << (Signal::PIPE.as_raw() - 1);
            // The C library keeps two to itself, and lets nobody ask or change what they do.
            let reserved: u64 = 0b11 << 31;
            for (name, bits) in builder.spawn(signal_state, ()).unwrap().join().unwrap() {
                // As in every Rust program, a closed pipe is an error.
                let expected = if name == "SigIgn" { pipe } else { 0 };
                assert_eq!(bits & !reserved, expected, "{name}");
            }
        });
    });
}

/// Locks a mutex of this kind twice in a row, with an unlock between, and tells its owner as the C library noted it.
#[expect(unsafe_code, reason = "mutexes of the C library")]
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "one argument covers them all")]
fn mutex_owner(kind: i32, robust: i32) -> i32 {
    let mut attributes = MaybeUninit::uninit();
    let mut mutex = MaybeUninit::<libc::pthread_mutex_t>::uninit();
    // SAFETY: initialized in order, used by one thread, and not moved.
    unsafe {
        assert_eq!(libc::pthread_mutexattr_init(attributes.as_mut_ptr()), 0);
        assert_eq!(libc::pthread_mutexattr_settype(attributes.as_mut_ptr(), kind), 0);
        assert_eq!(libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), robust), 0);
        assert_eq!(libc::pthread_mutex_init(mutex.as_mut_ptr(), attributes.as_ptr()), 0);
        assert_eq!(libc::pthread_mutex_lock(mutex.as_mut_ptr()), 0);
        // `__lock`, `__count`, `__owner`: glibc's layout.
        let owner = mutex.as_ptr().cast::<i32>().add(2).read();
        assert_eq!(libc::pthread_mutex_unlock(mutex.as_mut_ptr()), 0);
        assert_eq!(libc::pthread_mutex_lock(mutex.as_mut_ptr()), 0);
        assert_eq!(libc::pthread_mutex_unlock(mutex.as_mut_ptr()), 0);
        owner
    }
}

/// Whether the kernel knows a list of robust mutexes of this thread.
#[expect(unsafe_code, reason = "a system call")]
fn has_robust_list() -> bool {
    let (mut head, mut len) = (std::ptr::null_mut::<u8>(), 0_usize);
    // SAFETY: both are valid for writes.
    let asked = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
    asked == 0 && !head.is_null()
}

#[test]
fn the_c_library_knows_who_it_is() {
    fn task(_: ()) -> (u32, i32, i32, i32, bool, i32, i32) {
        let in_thread = thread::spawn(|| mutex_owner(libc::PTHREAD_MUTEX_RECURSIVE, 0));
        (
            std::process::id(),
            nix::unistd::gettid().as_raw(),
            mutex_owner(libc::PTHREAD_MUTEX_RECURSIVE, libc::PTHREAD_MUTEX_STALLED),
            mutex_owner(libc::PTHREAD_MUTEX_NORMAL, libc::PTHREAD_MUTEX_ROBUST),
            has_robust_list(),
            in_thread.join().unwrap(),
            nix::unistd::getppid().as_raw(),
        )
    }
    isolated(|| {
        each_method(|builder| {
            let child = builder.spawn(task, ()).unwrap();
            let pid = child.pid();
            let (id, tid, recursive, robust, listed, in_thread, parent) = child.join().unwrap();
            let own = pid.cast_signed();
            assert_eq!((id, tid, recursive, robust), (pid, own, own, own));
            assert!(listed);
            assert!(in_thread != own && in_thread > 1);
            assert_eq!(parent, std::process::id().cast_signed());
        });
    });
}

#[test]
fn threads_of_a_child_may_panic_and_be_joined() {
    isolated(|| {
        each_method(|builder| {
            let task = |n: u32| {
                let threads: Vec<_> =
                    (0..n).map(|n| thread::spawn(move || assert!(n != 2))).collect();
                threads.into_iter().filter_map(|thread| thread.join().err()).count()
            };
            assert_eq!(builder.spawn(task, 5).unwrap().join().unwrap(), 1);
        });
    });
}
