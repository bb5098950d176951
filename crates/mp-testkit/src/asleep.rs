use std::{fmt, fs, process, sync::mpsc, thread};

use nix::unistd::gettid;

use crate::proc::Process;

/// Waits until a thread, of this process or another, sleeps in the kernel.
///
/// # Panics
///
/// Where there is no such thread, or none any more.
#[track_caller]
pub fn wait_asleep(pid: u32, thread: impl fmt::Display) {
    let path = format!("/proc/{pid}/task/{thread}/stat");
    loop {
        let stat = fs::read_to_string(&path).expect("the thread is there");
        if Process::parse(&stat).is_some_and(|thread| thread.state == 'S') {
            return;
        }
        thread::yield_now();
    }
}

/// Runs `wait` in a thread, and `act` once that sleeps.
#[track_caller]
pub fn once_asleep<T: Send>(wait: impl FnOnce() -> T + Send, act: impl FnOnce()) -> T {
    let (send, tid) = mpsc::channel();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            send.send(gettid()).expect("somebody waits for it");
            wait()
        });
        wait_asleep(process::id(), tid.recv().expect("the thread tells it first"));
        act();
        thread.join().expect("the wait does not panic")
    })
}
