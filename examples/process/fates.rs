//! Every way a process can end, and how its parent learns it.

use std::time::Duration;

use mp_process::{Builder, Child, JoinTimeoutError, SpawnError};

/// What the children are told to do.
const FATES: [&str; 6] = ["return", "panic", "exit", "abort", "recurse", "hang"];

fn meet(fate: String) -> usize {
    match fate.as_str() {
        "panic" => panic!("as I was told"),
        #[expect(clippy::exit, reason = "one of the ways to end")]
        "exit" => std::process::exit(3),
        "abort" => std::process::abort(),
        "recurse" => recurse(1),
        "hang" => loop {
            std::thread::park();
        },
        _ => fate.len(),
    }
}

/// Until the stack is full.
fn recurse(depth: usize) -> usize {
    let frame = std::hint::black_box([depth; 1000]);
    if depth == 0 { 0 } else { recurse(depth + 1) + frame[1] }
}

fn main() -> Result<(), SpawnError> {
    // All run at once; each has its own process, so none disturbs another.
    let children = FATES
        .map(|fate| Builder::new().name(fate).spawn(meet, fate.to_owned()))
        .into_iter()
        .collect::<Result<Vec<Child<usize>>, SpawnError>>()?;
    for child in children {
        let name = child.name().to_owned();
        match child.join_timeout(Duration::from_millis(500)) {
            Ok(result) => println!("{name}: returned {result}"),
            Err(JoinTimeoutError::Process(error)) => println!("{name}: {error}"),
            Err(JoinTimeoutError::TimedOut(child)) => {
                println!("{name}: still runs as process {}; killing it", child.pid());
                child.kill()?;
                let error = child.join().map_or_else(|error| error.to_string(), |n| n.to_string());
                println!("{name}: {error}");
            }
        }
    }
    Ok(())
}
