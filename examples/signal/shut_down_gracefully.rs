//! A server that polls its input and, by a self-pipe, for signals: on SIGTERM it finishes the job at hand and ends.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, PipeReader, Read, Write},
    os::fd::AsFd,
    process::{Command, Stdio},
};

use mp_signal::{Signal, handler::Wake, send};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

fn main() -> io::Result<()> {
    if env::args().nth(1).as_deref() == Some("serve") { serve() } else { supervise() }
}

/// Starts this program once more, as the server, gives it two jobs and asks it to end.
fn supervise() -> io::Result<()> {
    let mut server = Command::new(env::current_exe()?)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let missing = || io::Error::other("the server has no pipe");
    let mut jobs = server.stdin.take().ok_or_else(missing)?;
    let mut answers = BufReader::new(server.stdout.take().ok_or_else(missing)?).lines();
    let mut show_next = || answers.next().map_or(Ok(()), |line| line.map(|it| println!("{it}")));
    show_next()?;
    for job in ["a", "b"] {
        jobs.write_all(job.as_bytes())?;
        show_next()?;
    }
    println!("sending {} ({})", Signal::TERM, Signal::TERM.description());
    send(&server, Signal::TERM)?;
    show_next()?;
    println!("the server ended with {}", server.wait()?);
    Ok(())
}

fn serve() -> io::Result<()> {
    let (stop, writer) = io::pipe()?;
    let _wake = Wake::register([Signal::TERM, Signal::INT], writer)?;
    println!("server: ready");
    // Not through the buffer of `stdin()`, of which `poll` knows nothing.
    let mut jobs = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    while wait_for_job(&jobs, &stop)? {
        let mut job = [0];
        if jobs.read(&mut job)? == 0 {
            break;
        }
        println!("server: did job {}", char::from(job[0]));
    }
    println!("server: asked to stop, all jobs done");
    Ok(())
}

/// Whether there is a job, rather than a signal.
fn wait_for_job(jobs: &File, stop: &PipeReader) -> io::Result<bool> {
    let mut fds = [stop.as_fd(), jobs.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    // A handler interrupts `poll`; its byte is in the pipe by then.
    while poll(&mut fds, PollTimeout::NONE).is_err_and(|error| error == nix::Error::EINTR) {}
    Ok(fds[0].any() != Some(true))
}
