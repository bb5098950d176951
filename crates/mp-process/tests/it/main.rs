//! Processes, from outside the crate. Each test is a process of its own, so that what this crate keeps (its thread, the fork
//! server) is made anew, and what is left behind is seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bytes;
mod calls;
mod connection;
mod corpus;
mod ends;
mod fallbacks;
mod fork;
mod handles;
mod hygiene;
mod inject;
mod lifetime;
mod messages;
mod place;
mod scale;
mod setup;
mod streams;
mod tree;

use mp_process::{Builder, Child, StartMethod};

/// The methods that a process with several threads, such as every test, may use.
const METHODS: [StartMethod; 2] = [StartMethod::Forkserver, StartMethod::Spawn];

/// Runs `test` with each start method, and then expects what the crate keeps for ever, and nothing else, to be there.
fn each_method(test: impl Fn(&Builder)) {
    warm_up();
    for method in METHODS {
        test(&Builder::new().start_method(method));
    }
}

/// Runs `test` by each method; by fork in a process of one thread, as fork wants it.
fn every_method(test: fn(StartMethod)) {
    warm_up();
    METHODS.into_iter().for_each(test);
    mp_process::spawn(test, StartMethod::Fork).unwrap().join().unwrap();
}

/// What the fork server and the process that it makes ahead are called.
const SERVER: [&str; 2] = ["mp-forkserver", "mp-spare"];

/// Starts what the crate keeps for the rest of the process.
fn warm_up() {
    assert_eq!(mp_process::spawn(|n: u8| n, 7).unwrap().join().unwrap(), 7);
    mp_testkit::accept_children(&SERVER);
}

/// Waits until only the fork server and its spare process are left of this process's children, the orphans that it has
/// adopted included.
fn reap_orphans() {
    lifetime::eventually("only the server and its spare are left", || {
        for (pid, _) in lifetime::children() {
            let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
            // It may run still.
            let _ = nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
        }
        lifetime::only_the_server()
    });
}

/// The end of a child that must not return.
fn failure<R: serde::de::DeserializeOwned + std::fmt::Debug>(
    child: Child<R>,
) -> mp_process::ProcessError {
    child.join().unwrap_err()
}

/// Stays until a signal ends the process.
fn wait_for_kill<A>(_: A) {
    mp_testkit::wait_for_kill()
}
