//! The program of the README: a process, a queue and a pool, with no setup.

#![allow(clippy::unwrap_used, reason = "a panic of the child comes out of `join`")]

use mp_core::{Pool, Process, Queue};

#[rustfmt::skip]
fn greet((name, out): (String, Queue<String>)) { out.put(format!("hello {name}")).unwrap(); }

fn main() -> mp_core::Result<()> {
    let out = Queue::bounded(16)?;
    let child = Process::spawn(greet, ("A".into(), out.clone()))?;
    println!("{}", out.get()?);
    child.join()?;

    let squares = Pool::new(4)?.map(|n: u64| n * n, 1..=8)?;
    assert_eq!(squares, [1, 4, 9, 16, 25, 36, 49, 64]);
    Ok(())
}
