//! With `join` the parent waits for its child; without, it goes on, and a child that it leaves behind ends with it.

#![allow(clippy::unwrap_used, reason = "a panic of a child comes out of `join`")]

use std::time::{Duration, Instant};

use mp_core::{Connection, Process, RecvError, Result, SendOnly, one_way_pipe, pipe};

/// Works for `time`.
fn work(time: Duration) -> u64 {
    let start = Instant::now();
    (0..).take_while(|_| start.elapsed() < time).fold(0, |rounds, _| rounds + 1)
}

/// A parent that ends without waiting for its own child, which would send a message after a second.
fn leave(out: Connection<SendOnly>) {
    let child = |out: Connection<SendOnly>| {
        work(Duration::from_secs(1));
        out.send("still here").unwrap();
    };
    drop(Process::spawn(child, out).unwrap());
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

    let (receiver, sender) = one_way_pipe()?;
    let start = Instant::now();
    let parent = Process::spawn(leave, sender)?;
    match receiver.recv::<String>() {
        Err(RecvError::Closed) => {
            println!(
                "a parent ended without join, and its child with it, after {:?}",
                start.elapsed()
            );
        }
        Ok(message) => println!("the child of a parent that has ended says: {message}"),
        Err(error) => return Err(error.into()),
    }
    Ok(parent.join()?)
}
