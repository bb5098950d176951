//! A server knows who its client is, cannot be lied to, and sees it die: peer credentials and peer pidfd.

use std::{
    env, io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mp_socket::{Address, Deadline, SeqpacketListener, SeqpacketSocket};

const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    if let Some(path) = env::args().nth(1) {
        return be_a_client(&path);
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("server.sock");
    let listener = SeqpacketListener::bind_with_mode(&Address::path(&path)?, 0o600)?;

    let mut client = Command::new(env::current_exe()?).arg(&path).stdin(Stdio::piped()).spawn()?;
    let connection = listener.accept_timeout(PATIENCE)?;
    let mut buffer = [0; 64];
    let len = connection.recv_timeout(&mut buffer, PATIENCE)?.unwrap_or_default();
    println!("the client says:  {}", String::from_utf8_lossy(&buffer[..len]));
    let peer = connection.peer_credentials()?;
    println!("the kernel says:  I am process {}, user {}", peer.pid, peer.uid);
    println!("which is true:    {}", peer.pid == client.id());

    match connection.peer_pidfd() {
        Ok(process) => {
            println!("it runs:          {}", !process.has_exited()?);
            let start = Instant::now();
            process.send_signal(9)?;
            // The death is the end of the connection: no timeout has to pass.
            let end = connection.recv_timeout(&mut buffer, PATIENCE)?;
            println!("killed, end seen: {} after {:?}", end.is_none(), start.elapsed());
            // Its descriptors were closed a little before it was dead.
            println!("it is dead:       {}", process.wait_exit(Deadline::after(PATIENCE))?);
        }
        Err(error) => {
            println!("{error}");
            client.kill()?;
        }
    }
    println!("{}", client.wait()?);
    Ok(())
}

fn be_a_client(path: &str) -> io::Result<()> {
    let connection = SeqpacketSocket::connect_timeout(&Address::path(path)?, PATIENCE)?;
    connection.send(b"I am process 1, user 0")?;
    io::read_to_string(io::stdin()).map(drop)
}
