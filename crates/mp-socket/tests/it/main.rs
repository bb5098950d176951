//! The integration tests of mp-socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not `#[test]` functions")]

mod activation;
mod allocations;
mod backends;
mod conformance;
mod descriptors;
mod frames;
mod internet;
mod interop;
mod kills;
mod listeners;
mod peers;
#[cfg(feature = "serde")]
mod travels;

use std::{fs, os::fd::AsFd, time::Duration};

/// Long enough for anything that is going to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the thread, of this process or another, sleeps in the kernel.
fn wait_asleep(pid: u32, thread: impl std::fmt::Display) {
    let path = format!("/proc/{pid}/task/{thread}/stat");
    loop {
        let stat = fs::read_to_string(&path).unwrap();
        if stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")) {
            return;
        }
        std::thread::yield_now();
    }
}

/// Runs `wait` in a thread, and `act` once that sleeps.
fn once_asleep<T: Send>(wait: impl FnOnce() -> T + Send, act: impl FnOnce()) -> T {
    let (send, tid) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            send.send(nix::unistd::gettid()).unwrap();
            wait()
        });
        wait_asleep(std::process::id(), tid.recv().unwrap());
        act();
        thread.join().unwrap()
    })
}

/// The flags of the open socket, which other holders see too.
fn flags(socket: &impl AsFd) -> i32 {
    nix::fcntl::fcntl(socket.as_fd(), nix::fcntl::FcntlArg::F_GETFL).unwrap()
}
