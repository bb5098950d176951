//! Two programs that know nothing of each other but two paths: a chat over named pipes.

use std::{env, io, path::Path, process::Command, time::Duration};

use mp_pipe::{Fifo, Framed, PipeReader, PipeWriter};

const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    if let Some(directory) = env::args().nth(1) {
        return answer(Path::new(&directory));
    }
    let directory = tempfile::tempdir()?;
    // Dropped at the end of this function, which unlinks them.
    let to = Fifo::create_new(directory.path().join("to"), 0o600)?;
    let from = Fifo::create_new(directory.path().join("from"), 0o600)?;

    let nobody = to.open_writer_timeout(Duration::from_millis(20));
    println!("nobody is there yet: {}", nobody.is_err());

    let mut other = Command::new(env::current_exe()?).arg(directory.path()).spawn()?;
    // No matter who opens first: each end waits for the other, and not for ever.
    let mut mouth = Framed::new(to.open_writer_timeout(PATIENCE)?);
    let mut ear = Framed::new(from.open_reader_timeout(PATIENCE)?);

    for line in ["hello", "how are you?", "bye"] {
        println!("A: {line}");
        mouth.send_timeout(line.as_bytes(), PATIENCE)?;
        let answer = ear.recv_timeout(PATIENCE)?.unwrap_or_default();
        println!("B: {}", String::from_utf8_lossy(answer));
    }
    drop(mouth);
    println!("A has left; B too: {}", ear.recv_timeout(PATIENCE)?.is_none());
    other.wait()?;
    Ok(())
}

/// The other program.
fn answer(directory: &Path) -> io::Result<()> {
    let reader: PipeReader = Fifo::open(directory.join("to"))?.open_reader_timeout(PATIENCE)?;
    let writer: PipeWriter = Fifo::open(directory.join("from"))?.open_writer_timeout(PATIENCE)?;
    let (mut ear, mut mouth) = (Framed::new(reader), Framed::new(writer));
    while let Some(line) = ear.recv_timeout(PATIENCE)? {
        let line = String::from_utf8_lossy(line).to_uppercase();
        mouth.send_timeout(line.as_bytes(), PATIENCE)?;
    }
    Ok(())
}
