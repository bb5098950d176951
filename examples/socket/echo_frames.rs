//! An echo server of framed messages that takes over the path of its killed predecessor.

use std::{
    env,
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use mp_socket::{Address, Framed, UnixListener, UnixStream};

const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    if let Some(path) = env::args().nth(1) {
        return serve(&Address::path(path)?);
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("echo.sock");
    let address = Address::path(&path)?;

    let mut first = start(&path)?;
    let second = UnixListener::bind(&address);
    println!(
        "while it lives:  {}",
        second.err().map_or_else(String::new, |error| error.to_string())
    );
    first.kill()?;
    first.wait()?;
    println!("killed; the path is still there: {}", path.exists());

    let mut next = start(&path)?;
    let mut echo = Framed::new(UnixStream::connect_timeout(&address, PATIENCE)?);
    for message in ["hello", "", &"long ".repeat(100_000)] {
        echo.send_timeout(message.as_bytes(), PATIENCE)?;
        let answer = echo.recv_timeout(PATIENCE)?;
        println!("{} bytes came back: {}", message.len(), answer == Some(message.as_bytes()));
    }
    drop(echo);
    next.wait()?;
    println!("it ended by itself; the path is still there: {}", path.exists());
    Ok(())
}

/// Starts this program once more as the server, and waits until it listens.
fn start(path: &Path) -> io::Result<Child> {
    let mut child = Command::new(env::current_exe()?).arg(path).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    if let Some(line) = BufReader::new(output).lines().next() {
        println!("{}", line?);
    }
    Ok(child)
}

/// Serves one client.
fn serve(address: &Address) -> io::Result<()> {
    let listener = UnixListener::bind(address)?;
    println!("process {} listens", std::process::id());
    let mut client = Framed::new(listener.accept_timeout(PATIENCE)?);
    while let Some(message) = client.recv_timeout(PATIENCE)?.map(<[u8]>::to_vec) {
        client.send_timeout(&message, PATIENCE)?;
    }
    Ok(())
}
