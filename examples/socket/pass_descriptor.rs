//! A file is opened here and read there: its descriptor is handed to another process, its name is not.

use std::{
    env,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    time::Duration,
};

use mp_socket::SeqpacketSocket;

const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    if env::args().nth(1).is_some() {
        return read_what_comes();
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("secret");
    writeln!(File::create(&path)?, "for whoever holds the descriptor")?;
    let file = File::open(&path)?;
    std::fs::remove_file(&path)?;
    println!("process {}: the file is open and has no name any more", std::process::id());

    // The child gets one end of a pair as its standard input.
    let (ours, theirs) = SeqpacketSocket::pair()?;
    let mut child = Command::new(env::current_exe()?)
        .arg("reader")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    ours.send_with_fds(b"read this", &[file.as_fd()])?;

    let mut buffer = [0; 64];
    let answer = ours.recv_timeout(&mut buffer, PATIENCE)?;
    println!("process {}: it has read {:?} bytes", std::process::id(), answer.map(|_| buffer[0]));
    // The child's death would be an answer too: the end of the connection.
    println!("the end: {}", ours.recv_timeout(&mut buffer, PATIENCE)?.is_none());
    child.wait()?;
    Ok(())
}

fn read_what_comes() -> io::Result<()> {
    let socket = SeqpacketSocket::from_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut buffer = [0; 64];
    let Some(received) = socket.recv_with_fds_timeout(&mut buffer, PATIENCE)? else {
        return Ok(());
    };
    let order = String::from_utf8_lossy(&buffer[..received.len]).into_owned();
    for fd in received.fds {
        let text = io::read_to_string(File::from(fd))?;
        println!("process {}: {order}: {}", std::process::id(), text.trim_end());
        socket.send(&[text.len() as u8])?;
    }
    Ok(())
}
