//! With `join` the parent waits for its child at once; without, when it ends itself, unless the child is a daemon.

#![allow(clippy::unwrap_used, reason = "a panic of a child comes out of `join`")]

use std::time::{Duration, Instant};

use mp_core::{Connection, Process, RecvError, Result, SendOnly, one_way_pipe, pipe};

/// Works for `time`.
fn work(time: Duration) -> u64 {
    let start = Instant::now();
    (0..).take_while(|_| start.elapsed() < time).fold(0, |rounds, _| rounds + 1)
}

/// A parent that does not join its own child, which sends a message after a while.
fn leave((out, is_daemon): (Connection<SendOnly>, bool)) {
    let child = |out: Connection<SendOnly>| {
        work(Duration::from_millis(200));
        out.send("done").unwrap();
    };
    drop(Process::builder().daemon(is_daemon).spawn(child, out).unwrap());
}

fn main() -> Result<()> {
    let time = Duration::from_millis(50);

    let start = Instant::now();
    let rounds = Process::spawn(work, time)?.join()?;
    println!("with join: the child's {rounds} rounds are here after {:?}", start.elapsed());

    let start = Instant::now();
    let child = Process::spawn(work, time)?;
    println!(
        "without: the parent goes on after {:?}; the child is alive: {}",
        start.elapsed(),
        child.is_alive()
    );
    child.join()?;
    println!("and joined later: it took {:?}", start.elapsed());

    // Nor is a process that nobody has a handle of any more a zombie: it is reaped when it ends.
    let (ours, theirs) = pipe()?;
    drop(Process::spawn(|peer: Connection| peer.send(&std::process::id()).is_ok(), theirs)?);
    println!("process {} did its work without a handle", ours.recv::<u32>()?);

    for is_daemon in [false, true] {
        let (receiver, sender) = one_way_pipe()?;
        let parent = Process::spawn(leave, (sender, is_daemon))?;
        let child = if is_daemon { "a daemon" } else { "its child" };
        match receiver.recv::<String>() {
            Err(RecvError::Closed) => println!("a parent ended without join, and {child} with it"),
            Ok(message) => println!("a parent ended without join, after {child} said: {message}"),
            Err(error) => return Err(error.into()),
        }
        parent.join()?;
    }
    Ok(())
}
