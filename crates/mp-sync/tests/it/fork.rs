//! A child has another thread number than its parent, and perhaps no robust list.

use std::sync::atomic::Ordering::Relaxed;

use mp_testkit::{fork_child, isolated};
use nix::libc;

use crate::shared::Shared;

fn own_number() -> u32 {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// Takes the lock in this process and dies of SIGKILL inside.
fn die_inside(shared: &Shared) -> ! {
    let _guard = shared.lock().lock().unwrap();
    assert_eq!(shared.word().load(Relaxed), own_number(), "the holder is the child");
    // Not by `getpid`, which a library may have cached.
    let number = own_number();
    // SAFETY: integers only.
    unsafe { libc::syscall(libc::SYS_kill, number, libc::SIGKILL) };
    unreachable!("killed");
}

#[test]
fn a_forked_child_is_another_holder() {
    isolated(|| {
        let shared = Shared::new();
        drop(shared.lock().lock().unwrap());
        for _ in 0..3 {
            let child = fork_child(|| die_inside(&shared));
            assert!(child.wait().code().is_none(), "killed");
            assert!(shared.lock().try_lock().unwrap().owner_died());
        }
    });
}

/// A raw `clone(2)` runs no `atfork` handler, and the kernel knows no robust list of the child.
#[test]
fn a_cloned_child_is_another_holder() {
    isolated(|| {
        let shared = Shared::new();
        drop(shared.lock().lock().unwrap());
        for _ in 0..3 {
            // SAFETY: like `fork`, without glibc's knowledge of it; the child uses only what is on its stack and dies.
            let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            if pid == 0 {
                die_inside(&shared);
            }
            let mut status = 0;
            // SAFETY: `status` is valid for writes.
            let reaped = unsafe { libc::waitpid(pid as i32, &raw mut status, 0) };
            assert!(i64::from(reaped) == pid && libc::WIFSIGNALED(status), "killed: {status:x}");
            assert!(shared.lock().try_lock().unwrap().owner_died());
        }
    });
}

/// The number of a generation must differ from each that an ancestor's thread may have left in the child's storage.
#[test]
fn generations_do_not_meet() {
    isolated(|| {
        let shared = Shared::new();
        drop(shared.lock().lock().unwrap());
        let child = fork_child(|| {
            // Another thread is the first of this process to take a lock; then the one that was inherited.
            let take = || {
                let _guard = shared.lock().lock().unwrap();
                assert_eq!(shared.word().load(Relaxed), own_number());
            };
            std::thread::scope(|scope| scope.spawn(take).join().unwrap());
            take();
            let grandchild = fork_child(|| die_inside(&shared));
            grandchild.wait();
            i32::from(!shared.lock().try_lock().unwrap().owner_died())
        });
        assert_eq!(child.wait().code(), Some(0));
    });
}
