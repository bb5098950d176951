//! A writer is killed in the middle of a message: the reader gets every whole one, and is told of the other.

use std::{
    env, io,
    os::fd::AsFd,
    process::{Command, Stdio},
};

use mp_pipe::{Framed, PipeWriter};

/// Larger than the pipe: the writer is always within a message.
const LEN: usize = 1 << 20;

fn main() -> io::Result<()> {
    if env::args().nth(1).is_some() {
        return write_until_killed();
    }
    let (reader, writer) = mp_pipe::pipe()?;
    println!("a pipe of {} bytes, for messages of {LEN}", reader.capacity()?);

    let mut child =
        Command::new(env::current_exe()?).arg("writer").stdout(Stdio::from(writer)).spawn()?;
    let mut messages = Framed::new(reader);
    for number in 0..3_u8 {
        let message = messages.recv()?.unwrap_or_default();
        let is_whole = message.len() == LEN && message.iter().all(|byte| *byte == number);
        println!("message {number} is whole: {is_whole}");
    }

    // Message 3 has begun, or is about to.
    println!("kill -9 {}", child.id());
    child.kill()?;
    child.wait()?;
    match messages.recv() {
        Ok(_) => println!("it was killed between two messages"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}

/// Writes messages to standard output, each of one repeated byte.
fn write_until_killed() -> io::Result<()> {
    let stdout = io::stdout().as_fd().try_clone_to_owned()?;
    let mut messages = Framed::new(PipeWriter::from_fd(stdout)?);
    for number in 0..=u8::MAX {
        messages.send(&vec![number; LEN])?;
    }
    Ok(())
}
