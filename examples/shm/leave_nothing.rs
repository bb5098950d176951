//! A System V segment that cannot be left behind: it is removed while it is attached, so the kernel frees it when the last
//! process detaches it, even if that is killed.

use std::{
    env,
    error::Error,
    io::{BufRead, BufReader},
    process::{self, Command, Stdio},
};

use mp_shm::sysv::{self, Key, SharedMemory};

fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(id) => hold(id.parse()?),
        None => share(),
    }
}

fn share() -> Result<(), Box<dyn Error>> {
    let mut shared = SharedMemory::create_new(Key::PRIVATE, 4096)?;
    let id = shared.id();
    shared.remove()?;
    println!("segment {id} is removed, and still used:");

    let mut child = Command::new(env::current_exe()?)
        .arg(id.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    print!("{line}");
    println!("the parent reads: {}", shared.memory().read::<u32>(0)?);
    println!("attached {} times", shared.stat()?.attached);

    drop(shared);
    println!("the parent detached it: attached {} times", sysv::stat(id)?.attached);
    child.kill()?;
    child.wait()?;
    match sysv::stat(id) {
        Ok(stat) => println!("not what was to be shown: {stat:?}"),
        Err(error) => println!("the child was killed: {error}"),
    }
    Ok(())
}

/// The child attaches a segment that is removed already, and waits to be killed.
fn hold(id: i32) -> Result<(), Box<dyn Error>> {
    let shared = SharedMemory::open_id(id)?;
    shared.memory().write(0, process::id())?;
    println!("the child {} has written its number", process::id());
    std::io::stdin().lines().for_each(drop);
    Ok(())
}
