//! Container runtimes answer `ENOSYS` or `EPERM` to system calls that their profile does not know.

use mp_process::{Builder, Signal};
use mp_testkit::isolated;
use nix::libc;

use crate::{METHODS, wait_for_kill, warm_up};

/// Makes this process and its descendants get `errno` from each of `calls`.
#[expect(unsafe_code, reason = "a seccomp filter")]
fn refuse(calls: &[libc::c_long], errno: i32) {
    const LOAD_NUMBER: libc::sock_filter = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let answer = |k| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let mut filter = vec![LOAD_NUMBER];
    for &call in calls {
        let number = u32::try_from(call).unwrap();
        // If it is not this one, over the answer.
        filter.push(libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: number });
        filter.push(answer(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()));
    }
    filter.push(answer(libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: integers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: a valid program, which the kernel copies.
    let set = unsafe { libc::syscall(libc::SYS_seccomp, 1, 0, &raw const program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

const CALLS: [libc::c_long; 3] =
    [libc::SYS_pidfd_open, libc::SYS_pidfd_send_signal, libc::SYS_close_range];

fn everything_works() {
    warm_up();
    for builder in METHODS.map(|method| Builder::new().start_method(method)) {
        assert_eq!(builder.spawn(|n: u8| n, 7).unwrap().join().unwrap(), 7);
        let child = builder.spawn(wait_for_kill, ()).unwrap();
        child.terminate().unwrap();
        let error = child.join().unwrap_err();
        assert!(error.to_string().contains("SIGTERM"), "{error}");
        let count = |()| std::fs::read_dir("/proc/self/fd").unwrap().count();
        // Three streams, its socket, and the list itself.
        assert_eq!(builder.spawn(count, ()).unwrap().join().unwrap(), 5);
        let fork_too = |n: u32| {
            let forked = mp_process::fork(|| n + 1).unwrap();
            let killed = mp_process::fork(|| wait_for_kill(())).unwrap();
            killed.send_signal(Signal::TERM).unwrap();
            (forked.join().unwrap(), killed.join().is_err())
        };
        assert_eq!(builder.spawn(fork_too, 1).unwrap().join().unwrap(), (2, true));
    }
}

#[test]
fn calls_that_do_not_exist() {
    isolated(|| {
        refuse(&[&CALLS[..], &[libc::SYS_clone3]].concat(), libc::ENOSYS);
        everything_works();
    });
}

#[test]
fn calls_that_are_forbidden() {
    // Not `clone3`, without which the C library itself makes no threads.
    isolated(|| {
        refuse(&CALLS, libc::EPERM);
        everything_works();
    });
}
