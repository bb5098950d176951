//! A pidfile: a second instance is refused, and after a `kill -9` the next one takes over at once.

use std::{
    env,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

use mp_flock::{PidFile, PidFileError};

fn main() -> io::Result<()> {
    if let Some(path) = env::args().nth(1) {
        return run(Path::new(&path));
    }
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("server.pid");

    let mut first = start(&path)?;
    start(&path)?.wait()?;
    println!("the pidfile says {:?}", PidFile::owner(&path)?);

    println!("kill -9 {}", first.id());
    first.kill()?;
    first.wait()?;
    let left = std::fs::read_to_string(&path)?;
    println!("left behind: {}, locked by {:?}", left.trim_end(), PidFile::owner(&path)?);

    let mut third = start(&path)?;
    drop(third.stdin.take());
    third.wait()?;
    println!("it ended by itself; the file exists: {}", path.exists());
    Ok(())
}

/// Starts this program once more and shows the first line it says.
fn start(path: &Path) -> io::Result<Child> {
    let mut child = Command::new(env::current_exe()?)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or(io::Error::other("it has an output"))?;
    if let Some(line) = BufReader::new(output).lines().next() {
        println!("{}", line?);
    }
    Ok(child)
}

/// A server: runs until its input ends.
fn run(path: &Path) -> io::Result<()> {
    match PidFile::create(path) {
        Ok(_running) => {
            println!("process {}: I run", std::process::id());
            io::stdin().read_to_end(&mut Vec::new()).map(drop)
        }
        Err(PidFileError::Running(pid)) => {
            println!("process {}: refused, {pid:?} runs already", std::process::id());
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
