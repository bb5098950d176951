//! A real-time signal carries a number to another process, and every one arrives, in order. A standard signal does not.

use std::{
    env,
    io::{BufRead, BufReader, Error, Result},
    process::{Command, Stdio},
};

use mp_signal::{Block, Signal, SignalSet, queue};

fn main() -> Result<()> {
    if env::args().nth(1).as_deref() == Some("receive") { receive() } else { send() }
}

/// Starts this program once more, as the receiver, and sends it twice five values.
fn send() -> Result<()> {
    let mut receiver = Command::new(env::current_exe()?)
        .arg("receive")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = receiver.stdout.take().ok_or(Error::other("it has an output"))?;
    let mut lines = BufReader::new(output).lines();
    // It says so once it blocks the signals: before, they would kill it.
    println!("the receiver says: {}", lines.next().ok_or(Error::other("it has ended"))??);

    for value in 1..=5 {
        queue(&receiver, Signal::rt(0)?, value)?;
        queue(&receiver, Signal::USR1, value)?;
    }
    println!("sent 5 of {} and 5 of {}", Signal::rt(0)?, Signal::USR1);
    // It begins to take them when its input ends.
    drop(receiver.stdin.take());
    for line in lines {
        println!("the receiver says: {}", line?);
    }
    receiver.wait()?;
    Ok(())
}

fn receive() -> Result<()> {
    let block = Block::new(SignalSet::from([Signal::rt(0)?, Signal::USR1]))?;
    println!("I am process {} and ready", std::process::id());
    std::io::stdin().lines().for_each(drop);
    while let Ok(info) = block.try_wait() {
        let value = info.value().map(|value| value.as_i32());
        let (signal, sender) = (info.signal(), info.pid());
        println!("{signal} ({}) with {value:?} from {sender:?}", signal.description());
    }
    Ok(())
}
