//! Ends of the crate `ipc-channel` are handed to a child, with no name to agree on, and a killed child is an error, not a hang.

use std::error::Error;

use mp_core::{
    Ipc, Process,
    ipc_channel::ipc::{self, IpcReceiver, IpcSender},
};

type Job = (String, IpcSender<usize>);

/// Replies to each job on the channel that came with it.
fn count_letters(jobs: Ipc<IpcReceiver<Job>>) {
    while let Ok((text, reply)) = jobs.recv() {
        // Whoever asked may be gone.
        let _ = reply.send(text.chars().filter(|char| char.is_alphabetic()).count());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (jobs, theirs) = ipc::channel::<Job>()?;
    let child = Process::spawn(count_letters, theirs.into())?;
    for text in ["to be", "or not to be"] {
        let (reply, answer) = ipc::channel()?;
        jobs.send((text.to_owned(), reply))?;
        println!("`{text}` has {} letters", answer.recv()?);
    }
    child.kill()?;
    let (reply, answer) = ipc::channel()?;
    let sent = jobs.send(("that is the question".to_owned(), reply));
    match sent.and_then(|()| answer.recv()) {
        Ok(letters) => println!("it has {letters} letters"),
        Err(error) => println!("the child was killed: {error}"),
    }
    if let Err(error) = child.join() {
        println!("and this is how it ended: {error}");
    }
    Ok(())
}
