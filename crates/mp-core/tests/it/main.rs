//! Processes, pools and queues, as users see them. Each test has a process of its own, which must leave nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::exit,
    reason = "a test panics where it fails, and workers exit to see what comes of it"
)]

mod barrier;
mod bytes;
mod connection;
mod context;
mod corpus;
mod executor;
mod family;
mod inject;
#[cfg(feature = "ipc-channel")]
mod ipc;
mod joinable;
mod methods;
mod namespace;
mod odd_users;
mod pool;
mod pool_control;
mod pool_copy;
mod pool_death;
mod pool_end;
mod pool_faults;
mod pool_hostile;
mod pool_large;
mod pool_python;
mod pool_storm;
mod pool_workers;
mod process;
mod process_api;
mod queue;
mod queue_more;
mod shareable_list;
mod shared;
mod sync;
mod thread_pool;

use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use mp_core::{Process, StartMethod, start_method};

/// All ways to start a process that work whatever this one does.
const METHODS: [StartMethod; 2] = [StartMethod::Forkserver, StartMethod::Spawn];

/// Longer than anything here takes, so that a hang is a failure.
const LONG: Duration = Duration::from_secs(30);

/// Starts what stays for the life of a process, the thread that watches children and the fork server, where that is the
/// default: no leaks.
fn warm_up() {
    Process::spawn(|()| (), ()).unwrap().join().unwrap();
    let has_server = start_method() == StartMethod::Forkserver;
    let server: &[_] = if has_server { &["mp-forkserver", "mp-spare"] } else { &[] };
    mp_testkit::accept_children(server);
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
