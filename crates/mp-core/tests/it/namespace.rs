//! A process of another PID namespace: the handles write process and thread numbers, which mean something else there.

use std::{fmt::Debug, mem};

use mp_core::{
    Barrier, Condition, Connection, Event, JoinableQueue, Lock, Queue, RLock, RecvError, Semaphore,
    SimpleQueue, Value, pipe,
};
use mp_testkit::{fork_child, isolated, skip};
use nix::{
    sched::{CloneFlags, unshare},
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};
use serde::{Serialize, de::DeserializeOwned};

/// Receives a handle, which is refused with a reason that a user understands.
fn refused<H: DeserializeOwned + Debug>(peer: &Connection) {
    let Err(RecvError::Undecodable(error)) = peer.recv::<H>() else {
        panic!("another PID namespace has the handle");
    };
    assert!(error.to_string().contains("another PID namespace"), "{error}");
}

fn send(peer: &Connection, handle: &(impl Serialize + ?Sized)) {
    peer.send(handle).unwrap();
}

#[test]
fn handles_are_refused_in_another_one() {
    isolated(|| {
        let (ours, theirs) = pipe().unwrap();
        let (lock, queue) = (Lock::new().unwrap(), Queue::<u32>::bounded(4).unwrap());
        queue.put(7).unwrap();
        let child = fork_child(|| {
            if unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID).is_err() {
                return 2;
            }
            // Its children are there, not it itself.
            let there = fork_child(|| {
                refused::<Lock>(&theirs);
                refused::<Queue<u32>>(&theirs);
                refused::<SimpleQueue<u32>>(&theirs);
                refused::<JoinableQueue<u32>>(&theirs);
                refused::<RLock>(&theirs);
                refused::<Semaphore>(&theirs);
                refused::<Condition>(&theirs);
                refused::<Event>(&theirs);
                refused::<Barrier>(&theirs);
                refused::<Value<u64>>(&theirs);
                // The connection goes on.
                i32::from(theirs.recv::<String>().unwrap() != "the end")
            });
            // Not by the test kit, which may need a thread for it: a process whose children are elsewhere can have no more.
            let status = waitpid(Pid::from_raw(there.id().cast_signed()), None);
            mem::forget(there);
            i32::from(!matches!(status, Ok(WaitStatus::Exited(_, 0))))
        });
        send(&ours, &lock);
        send(&ours, &queue);
        send(&ours, &SimpleQueue::<u32>::new().unwrap());
        send(&ours, &JoinableQueue::<u32>::bounded(4).unwrap());
        send(&ours, &RLock::new().unwrap());
        send(&ours, &Semaphore::new(1).unwrap());
        send(&ours, &Condition::new().unwrap());
        send(&ours, &Event::new().unwrap());
        send(&ours, &Barrier::new(2).unwrap());
        send(&ours, &Value::new(1_u64).unwrap());
        send(&ours, "the end");
        match child.wait().code() {
            Some(2) => skip("no PID namespace of its own"),
            code => assert_eq!(code, Some(0)),
        }
        drop(lock.try_lock().unwrap());
        assert_eq!(queue.get().unwrap(), 7);
    });
}
