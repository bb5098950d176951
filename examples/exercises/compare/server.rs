//! A server that answers each question after some time, and who asks it.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    time::{Duration, Instant},
};

use mp_core::{Fd, wait, wait_deadline};

/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(20);

/// Answers questions, many at once, until it is killed.
pub(crate) fn serve(listener: Fd<UnixListener>) {
    let clients = listener.as_fd();
    let mut waiting: VecDeque<(Instant, UnixStream)> = VecDeque::new();
    loop {
        let ready = match waiting.front() {
            Some(&(due, _)) => wait_deadline(&[&clients], due).unwrap(),
            None => wait(&[&clients]).unwrap(),
        };
        if !ready.is_empty() {
            let (client, _) = listener.accept().unwrap();
            waiting.push_back((Instant::now() + LATENCY, client));
        }
        while waiting.front().is_some_and(|&(due, _)| due <= Instant::now()) {
            let Some((_, client)) = waiting.pop_front() else { break };
            // One who has left is no reason to leave the others.
            let _ = answer(client);
        }
    }
}

fn answer(mut client: UnixStream) -> std::io::Result<()> {
    let mut question = [0; 8];
    client.read_exact(&mut question)?;
    client.write_all(&(2 * u64::from_le_bytes(question)).to_le_bytes())
}

/// The I/O-bound task: asks the server, and waits for the answer.
pub(crate) fn ask((server, question): (PathBuf, u64)) -> u64 {
    let mut stream = UnixStream::connect(server).unwrap();
    stream.write_all(&question.to_le_bytes()).unwrap();
    read_answer(stream)
}

pub(crate) fn read_answer(mut stream: UnixStream) -> u64 {
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).unwrap();
    u64::from_le_bytes(answer)
}
